"""What `coalmine doctor` finds about traces: whether they can be written, and how late they are."""

from console.doctor.findings import ok, problem, warning
from routing.errors import SettingsError
from routing.store.redis.health import HealthFinding
from tasks.composition.composition import Coalmine
from tasks.telemetry.otlp import check_installed

#: Seconds of events that may wait to be sent before a person should know.
_LATE_SECONDS = 600.0


def traces(coalmine: Coalmine) -> HealthFinding:
    """Off is fine. This command may run where no worker does, so a missing extra is a warning."""
    if not coalmine.settings.telemetry.is_on:
        return ok("traces", "no traces are sent")
    try:
        check_installed()
    except SettingsError as error:
        happened, _, remedy = str(error).rpartition(": ")
        return warning("traces", happened, remedy)
    place, newest = coalmine.traces.place(), coalmine.events.newest(1)
    if place is None:
        remedy = "see that beat and a worker of the queue control run with this setting"
        return warning("traces", "telemetry.endpoint is set, and nothing was ever sent", remedy)
    seconds = _at(newest[0].id) - _at(place) if newest else 0.0
    if seconds > _LATE_SECONDS:
        remedy = "see what workers log of the tick `trace`: the endpoint may be away"
        return problem("traces", f"events of {seconds / 60:.0f} minutes were not sent yet", remedy)
    return ok("traces", "sent as they happen")


def _at(event: str) -> float:
    """When an event was written, by its id in the stream."""
    return int(event.partition("-")[0]) / 1000
