"""What `coalmine doctor` finds out about trackers: settings, access, states, and where work goes.

Nothing is written to a tracker. Each is asked with a client that does not retry, in a thread of its own, so
one that hangs delays no other. Settings are judged first: a tracker that is not served is not asked anything.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from console.doctor.findings import ok, problem, warning
from console.doctor.forges import HASTE, access_finding
from routing.errors import CoalmineError
from routing.forges.errors import ForgeInvalidError, ForgeRefusedError, ForgeUnreachableError
from routing.http.connection import Surroundings
from routing.store.redis.health import HealthFinding, Status
from routing.trackers.config import TrackerConfig
from routing.trackers.registry import TRACKER_KINDS
from routing.trackers.site import TrackerSite
from tasks.composition.sites import trackers_of
from tasks.settings.settings import Settings


def trackers(settings: Settings) -> list[HealthFinding]:
    """Everything about trackers; all are asked at the same time.

    The findings are in the order of the settings. Each tracker there has some, even one that is named alone.
    """
    if not settings.tracker:
        titles = " and ".join(kind.title for kind in TRACKER_KINDS.values())
        return [ok("trackers", f"{titles} are not set up")]
    with ThreadPoolExecutor(max_workers=len(settings.tracker)) as pool:
        found = pool.map(lambda tracker: list(_tracker(tracker, settings)), settings.tracker)
        return [finding for findings in found for finding in findings]


def _tracker(tracker: TrackerConfig, settings: Settings) -> Iterator[HealthFinding]:
    """The findings about one. Runs in a thread; its connections are closed before it ends."""
    yield _set_up(tracker)
    yield _places(tracker, settings)
    if not tracker.is_served:
        return
    alone = settings.model_copy(update={"tracker": (tracker,)})
    site = trackers_of(alone, Surroundings(limits=HASTE))[tracker.name]
    try:
        for look in (_access, _states, _issues):
            finding = _answered(site, look)
            yield finding
            if finding.check == f"access-{site.name}" and finding.status is not Status.OK:
                return
    except ForgeUnreachableError as error:
        remedy = f"see that tracker.{tracker.name}.base_url is right and can be reached from here"
        yield problem(f"access-{tracker.name}", f"the tracker does not answer: {error}", remedy)
    finally:
        site.forge.close_connections()


def _set_up(tracker: TrackerConfig) -> HealthFinding:
    """What keeps it from work, by its settings, in the order of setting one up: each may be on purpose."""
    check, section = f"tracker-{tracker.name}", f"set tracker.{tracker.name}"
    if (lack := tracker.lack) is not None:
        return warning(check, lack.because, f"{section}.{lack.setting}")
    for lacks, message, remedy in (
        (
            tracker.kill_switch,
            "its kill switch is on: nothing is read or dispatched",
            "kill_switch = false when work may begin",
        ),
        (
            not tracker.enabled,
            "it is not enabled: issues are read, and none is dispatched",
            "enabled = true when work may begin",
        ),
        (
            tracker.label is None,
            "it has no label: every open issue of its project is for agents",
            "label if only some are meant",
        ),
    ):
        if lacks:
            return warning(check, message, f"{section}.{remedy}")
    every = f"{tracker.poll_interval_seconds:g} s"
    return ok(check, f"issues of {tracker.project} with the label {tracker.label}, a look every {every}")


def _places(tracker: TrackerConfig, settings: Settings) -> HealthFinding:
    """Whether the repositories that work goes to are those of forges that are served, and of some at all."""
    check, section = f"places-{tracker.name}", f"tracker.{tracker.name}"
    served = {forge.name: forge.served for forge in settings.forge if forge.is_served}
    unknown = []
    for place in tracker.places:
        forge, _, repo = place.partition(":")
        if forge not in served or served[forge].spelled(repo) is None:
            unknown.append(place)
    if unknown:
        message = f"no forge of the settings serves {', '.join(unknown[:5])}, so its issues do not begin"
        remedy = f"add it to the repositories of its forge, or correct {section}.repository and .route"
        return problem(check, message, remedy)
    if tracker.repository is None:
        what = "issues that no route fits" if tracker.route else "all issues"
        return warning(check, f"{what} wait for a person", f"set {section}.repository, or more of .route")
    return ok(check, f"work goes to {', '.join(tracker.places[:5])}")


def _answered(site: TrackerSite, look: Callable[[TrackerSite], HealthFinding]) -> HealthFinding:
    """A look, with what a refusal means; silence is passed on."""
    section = f"tracker.{site.name}"
    try:
        return look(site)
    except ForgeUnreachableError:
        raise
    except ForgeRefusedError as error:
        remedy = f"give {section}.token a valid one; docs/trackers.md says what it must be allowed"
        return problem(f"access-{site.name}", f"the token was refused: {error}", remedy)
    except ForgeInvalidError as error:
        remedy = f"correct {section}.project, and the filter if it has one"
        return problem(f"issues-{site.name}", str(error), remedy)
    except CoalmineError as error:
        return problem(f"access-{site.name}", str(error), f"correct {section}.base_url and .project")


def _access(site: TrackerSite) -> HealthFinding:
    """What the token may do in the project."""
    remedy = f"correct tracker.{site.name}.project, or what the token may see"
    access = site.forge.access(site.config.project or "")
    return access_finding(f"access-{site.name}", access, remedy=remedy, page="docs/trackers.md")


def _states(site: TrackerSite) -> HealthFinding:
    """Whether the workflow has the states that issues are moved to."""
    missing, check = site.forge.missing_states(), f"states-{site.name}"
    if missing:
        message = f"the project has no state called {', '.join(missing)}, so issues are not moved there"
        return problem(check, message, f"correct tracker.{site.name}.states and .stop_states")
    return ok(check, "the states that issues are moved to are there")


def _issues(site: TrackerSite) -> HealthFinding:
    """How many issues are for agents; a filter that the tracker does not understand is refused here."""
    listing = site.forge.list_issues(site.config.project or "", site.config.label)
    more = "" if listing.complete else "at least "
    return ok(f"issues-{site.name}", f"{more}{len(listing.issues)} open issues are for agents")
