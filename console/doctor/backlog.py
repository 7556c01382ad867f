"""What `coalmine doctor` finds in the backlog, in the intake, and among what jobs wait for: accounts, too."""

from itertools import islice

from console.doctor.findings import ok, problem, warning
from routing.backlog.item import BacklogState
from routing.jobs.turn import HindranceKind
from routing.printable import printable
from routing.store.backlog.delivery_store import MOST_ISSUES
from routing.store.redis.health import HealthFinding
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts

#: Seconds after which a start without a job is stuck: the dispatcher looks into it much earlier.
STUCK_SECONDS = 300.0

#: Seconds for which an issue that a webhook reported may be due before it is a finding.
OVERDUE_SECONDS = 120.0

#: Blocked issues that are looked at, to see why.
MOST_LOOKED_AT = 1_000

#: What a person can do about what a job waits for.
_REMEDIES = {
    HindranceKind.TOKEN: "give the forge's token what it needs, or set a new one where workers are started",
    HindranceKind.GONE: "see that the repository is there, and that the token may see it",
    HindranceKind.AWAY: "wait until the forge answers",
    HindranceKind.MACHINE: "make room on the worker's machine, or do what `coalmine doctor` says there",
    HindranceKind.UNREADABLE: "look at the job's work tree",
    HindranceKind.UNABLE: "start a worker that has what is named, or add it to the settings of this one",
    HindranceKind.LIMIT: "wait until its account is open, see `coalmine account list`",
    HindranceKind.ELSEWHERE: "start a worker on the machine that has the work",
}

#: Closed accounts, and problems of issues, that are named.
MOST_NAMED = 5

_SHOW = "see `coalmine issue list --state blocked`"


def backlog(coalmine: Coalmine) -> HealthFinding:
    """Whether an issue hangs where no tick will move it."""
    store = coalmine.backlog_store
    before = store.now() - STUCK_SECONDS
    working = store.read_sound(store.working())
    stuck = [item for item in working if not item.job and (item.started_at or 0.0) < before]
    if stuck:
        named = ", ".join(str(item.ref) for item in stuck[:3])
        message = f"{len(stuck)} issues are in progress without a job: {named}"
        return problem(
            "backlog", message, "look for `dispatch.` in the log of the worker of the queue control"
        )
    blocked = list(islice(store.listed(BacklogState.BLOCKED), MOST_LOOKED_AT))
    rings = sum(bool(item.ring) for item in blocked)
    held = sum(bool(item.metadata.held) for item in blocked)
    if rings or held:
        message = f"{rings} issues wait for themselves in a cycle, {held} have a body that a person must fix"
        return warning("backlog", message, _SHOW)
    counts = {state: store.count(state) for state in BacklogState}
    there = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in counts.items() if count)
    return ok("backlog", there or "no issue is known")


def unreadable(coalmine: Coalmine) -> HealthFinding:
    """Whether the last poll could not take in an issue, something that looks like one, or a repository."""
    parts = ForgeParts(coalmine=coalmine, run_ci=lambda _commit: None)
    names = parts.served_places()
    found = [
        f"{name}: {one.where} {one.message}" if one.where != name else f"{name} {one.message}"
        for name, listed in parts.problems.read(names).items()
        for one in listed
    ]
    if not found:
        return ok("issues", "all that were listed could be taken in")
    message = f"{len(found)} were not taken in: {'; '.join(found[:MOST_NAMED])}"
    return warning("issues", printable(message), "`coalmine issue list` names all")


def held(coalmine: Coalmine) -> HealthFinding:
    """Whether jobs wait for something that is neither their agent's nor their own to change."""
    queued = coalmine.job_store.read_many(coalmine.job_store.queued(MOST_LOOKED_AT))
    waiting = [(job.id, job.hindrance) for job in queued if job is not None and job.hindrance is not None]
    if not waiting:
        return ok("held jobs", "no job waits for anything but a worker")
    first, hindrance = waiting[0]
    message = f"{len(waiting)} jobs wait; {first}, for instance: {hindrance.kind.value}, {hindrance.words}"
    return warning("held jobs", message, f"{_REMEDIES[hindrance.kind]}; see `coalmine job show {first}`")


def intake(coalmine: Coalmine) -> HealthFinding:
    """Whether issues that webhooks reported are being read from their forges."""
    deliveries = coalmine.deliveries
    count, due = deliveries.waiting()
    message = f"{count} issues that webhooks reported wait to be looked at"
    if count >= MOST_ISSUES:
        remedy = "start a worker for the queue control and beat; until then webhooks are answered 429"
        return problem("intake", f"{message}: no more are taken", remedy)
    if due is not None and deliveries.now() - due > OVERDUE_SECONDS:
        remedy = "see that a worker for the queue control and beat run, and that their forge answers"
        return warning("intake", f"{message}, the first for {deliveries.now() - due:.0f} s", remedy)
    return ok("intake", message)
