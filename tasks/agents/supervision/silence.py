"""What the watchdog does about a turn that says nothing: a pure decision.

Silence is the time since the turn's last event, or since its agent ceased to wait for a person. The session
stores the last measure taken (its `stage`); any event resets that, and the measures begin anew.
"""

from dataclasses import dataclass
from enum import IntEnum

from tasks.agents.session.record import SessionRecord


class Measure(IntEnum):
    """Each is taken once in one silence, the mildest first."""

    NONE = 0
    WARN = 1  # an event for people
    NUDGE = 2  # a mail to the agent
    CANCEL = 3  # the turn is ended as stalled


@dataclass(frozen=True, kw_only=True, slots=True)
class SilenceLimits:
    """Seconds without an event after which each measure is taken."""

    warn_seconds: float
    nudge_seconds: float
    cancel_seconds: float

    def measure(self, silent_seconds: float) -> Measure:
        """The strongest that is due."""
        due = {
            Measure.WARN: self.warn_seconds,
            Measure.NUDGE: self.nudge_seconds,
            Measure.CANCEL: self.cancel_seconds,
        }
        return max((each for each, after in due.items() if silent_seconds >= after), default=Measure.NONE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SilenceFinding:
    """What the watchdog found in one turn."""

    is_lost: bool = False  # its lease ran out: nobody runs it
    measure: Measure = Measure.NONE
    silent_seconds: float = 0.0


def finding(
    record: SessionRecord, *, now: float, patience: SilenceLimits, waits_for_person: bool,
    waited_until: float | None = None,
) -> SilenceFinding:  # fmt: skip
    """Decide by the record as it was read at `now`, seconds since the epoch, the server's.

    A turn whose lease is alive and that speaks, or waits for a person, is left alone. `waited_until` is when
    the last such wait ended, by answer or deadline: silence counts from there.
    """
    if record.lease_until is None or record.lease_until <= now:
        return SilenceFinding(is_lost=True)
    silent = max(0.0, now - max(record.last_activity, waited_until or 0.0))
    if waits_for_person or record.pid is None:  # nothing has been started yet: the lease is all there is
        return SilenceFinding(silent_seconds=silent)
    measure = patience.measure(silent)
    return SilenceFinding(measure=measure if measure > record.stage else Measure.NONE, silent_seconds=silent)
