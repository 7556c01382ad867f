"""Dispatch: from what is ready to one job, whatever the store, the mailbox and the forge do meanwhile."""

from collections.abc import Callable

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.events import BACKLOG_STATE
from routing.forges.errors import ForgeRefusedError, ForgeUnreachableError
from routing.jobs.job import MAX_REQUEST_BYTES, JobState
from tasks.issues.dispatcher import UNCONFIRMED_SECONDS
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.mishaps import ANY, Mishap, Mishaps, death
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock

Fleets = Callable[..., ForgeFleet]

IN_PROGRESS = "agent-in-progress"


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet."""
    return lambda *forges, **changes: ForgeFleet(redis_client, *forges, **changes)


@pytest.fixture
def fleet(fleet_of: Fleets) -> ForgeFleet:
    """A fleet with one forge."""
    return fleet_of()


def lost(call: str, *, after: bool) -> Mishap:
    """Redis does not answer one call, which it may have carried out."""
    return Mishap(call=call, after=after, error=lambda: redis.ConnectionError("connection lost"))


def test_a_dispatch_takes_the_slot_enqueues_and_then_labels(fleet: ForgeFleet) -> None:
    """In this order: what is shown is never ahead of what is so."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.plan()
    fleet.dispatch()
    order = ["backlog_move", "job_enqueue", "backlog_attach", "add_label"]
    assert [one for one in fleet.mishaps.made if one in order] == order
    item = fleet.item(ref)
    assert (item.state, item.job) == (BacklogState.IN_PROGRESS, fleet.jobs(ref)[0].id)
    assert IN_PROGRESS in fleet.forge.issues[ref].labels


def test_an_unknown_template_gives_the_slot_back(fleet_of: Fleets) -> None:
    """A definite failure: the issue is ready, and dispatched once the template is there."""
    fleet = fleet_of(template="fixer")
    ref = fleet.forge.person_opens(1)
    fleet.rounds(2)
    assert (fleet.item(ref).state, fleet.jobs(ref)) == (BacklogState.READY, [])
    assert IN_PROGRESS not in fleet.forge.issues[ref].labels
    fleet.hands.add("fixer")
    fleet.round()
    assert len(fleet.jobs(ref)) == 1


def test_an_issue_that_cannot_be_a_job_is_handed_to_a_person(fleet: ForgeFleet) -> None:
    """It would fail each time; the person finds the label, and another text makes it ready."""
    ref = fleet.forge.person_opens(1, "x" * (MAX_REQUEST_BYTES + 1))
    fleet.rounds(3)
    assert (fleet.item(ref).state, fleet.jobs(ref)) == (BacklogState.ESCALATED, [])
    assert "bytes" in fleet.item(ref).reason
    assert "ready-for-human" in fleet.forge.issues[ref].labels
    fleet.forge.person_edits(ref, "shorter")
    fleet.forge.unlabel(ref, "ready-for-human")
    fleet.rounds(2)
    assert len(fleet.jobs(ref)) == 1


@pytest.mark.parametrize("after", [False, True], ids=["refused", "lost"])
def test_an_enqueue_without_an_answer_keeps_the_slot_and_is_looked_into(
    fleet: ForgeFleet, after: bool  # noqa: FBT001 - pytest's
) -> None:  # fmt: skip
    """Nothing is tried again before the jobs were asked; then there is one job, by one start."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.plan(lost("job_enqueue", after=after))
    assert fleet.dispatch() == []
    assert len(fleet.jobs(ref)) == int(after)
    for _ in range(2):
        fleet.clock.forward(UNCONFIRMED_SECONDS / 3)
        assert fleet.dispatch() == []
        assert (fleet.item(ref).state, fleet.item(ref).job) == (BacklogState.IN_PROGRESS, "")
    fleet.clock.forward(UNCONFIRMED_SECONDS)
    fleet.dispatch()
    (job,) = fleet.jobs(ref)
    assert (fleet.item(ref).job, fleet.item(ref).fence) == (job.id, 1)


def test_a_job_that_is_found_keeps_its_slot_whatever_became_of_its_issue(fleet: ForgeFleet) -> None:
    """The jobs are asked before the forge: work that is under way is not forgotten."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.plan(lost("job_enqueue", after=True))
    fleet.dispatch()
    fleet.forge.person_closes(ref)
    fleet.clock.forward(UNCONFIRMED_SECONDS * 2)
    fleet.dispatch()
    item = fleet.item(ref)
    assert (item.state, item.job) == (BacklogState.IN_PROGRESS, fleet.jobs(ref)[0].id)


def test_a_start_that_came_to_nothing_is_not_resumed_in_a_pause(fleet: ForgeFleet) -> None:
    """It waits with everything else until a person resumes."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.plan(Mishap(call="job_enqueue", error=death(1).error))
    fleet.dispatch()
    fleet.hands.app.switch.pause("holidays")
    fleet.clock.forward(UNCONFIRMED_SECONDS * 2)
    fleet.dispatch()
    assert fleet.jobs(ref) == []
    fleet.hands.app.switch.resume("back")
    fleet.dispatch()
    assert len(fleet.jobs(ref)) == 1


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (lambda forge, ref: forge.person_closes(ref), BacklogState.COMPLETED),
        (lambda forge, ref: forge.unlabel(ref, "coalmine"), BacklogState.CANCELLED),
        (lambda forge, ref: forge.issues.pop(ref), BacklogState.CANCELLED),
    ],
    ids=["closed", "without its label", "gone"],
)
@pytest.mark.parametrize("at", ["before the start", "after the start"])
def test_an_issue_that_is_not_for_agents_any_more_is_not_dispatched(
    fleet: ForgeFleet, happens: Callable[[object, object], object], state: BacklogState, at: str
) -> None:
    """What was chosen is read once more; a start without a job gives its slot back to the others."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    if at == "after the start":
        fleet.mishaps.plan(Mishap(call="job_enqueue", error=death(1).error))
        fleet.dispatch()
    happens(fleet.forge, ref)
    fleet.clock.forward(UNCONFIRMED_SECONDS * 2)
    other = fleet.forge.person_opens(2)
    fleet.rounds(2)
    assert (fleet.jobs(ref), fleet.item(ref).state) == ([], state)
    assert len(fleet.jobs(other)) == 1


def test_a_label_that_cannot_be_written_comes_later(fleet: ForgeFleet) -> None:
    """And leads to no second dispatch."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.lasting["add_label"] = lambda: ForgeRefusedError("403")
    (job,) = fleet.dispatch()
    fleet.hands.claim(job)
    for _ in range(3):
        assert fleet.dispatch() == []
        fleet.watch()
    assert IN_PROGRESS not in fleet.forge.issues[ref].labels
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert IN_PROGRESS in fleet.forge.issues[ref].labels
    assert len(fleet.jobs(ref)) == 1


def test_a_label_that_comes_after_the_end_does_not_stay(fleet: ForgeFleet) -> None:
    """A forge may be slower than an agent."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    adding = fleet.forge.add_label

    def slowly(*args: object) -> None:
        fleet.forge.add_label = adding  # type: ignore[method-assign]
        fleet.work()
        fleet.watch()
        adding(*args)  # type: ignore[arg-type]

    fleet.forge.add_label = slowly  # type: ignore[method-assign, assignment]
    fleet.dispatch()
    assert fleet.jobs(ref)[0].state is JobState.SUCCEEDED
    assert IN_PROGRESS in fleet.forge.issues[ref].labels
    fleet.watch()
    assert IN_PROGRESS not in fleet.forge.issues[ref].labels


@pytest.mark.parametrize("call", ["read_issue", "dependencies", "permission"])
@pytest.mark.parametrize("error", [ForgeRefusedError("403"), KeyError("a mistake of ours")])
def test_one_repository_that_cannot_be_read_does_not_stop_the_next(
    fleet_of: Fleets, call: str, error: Exception
) -> None:
    """Its issue waits; those of others are dispatched in the same tick, whatever was raised."""
    fleet = fleet_of(MemoryForge(SteppedClock(), repos=("acme/a", "acme/b")))
    first, second = [fleet.forge.person_opens(1, repo=repo) for repo in fleet.forge.repositories]
    fleet.poll()
    fleet.forge.mishaps.plan(Mishap(call=call, error=lambda: error))
    fleet.dispatch()
    assert (len(fleet.jobs(first)), len(fleet.jobs(second))) == (0, 1)


def test_one_start_that_cannot_be_looked_into_does_not_stop_the_rest(fleet_of: Fleets) -> None:
    """Nor keeps it the whole forge from its turn for ever."""
    fleet = fleet_of(MemoryForge(SteppedClock(), repos=("acme/a", "acme/b")))
    first, second = [fleet.forge.person_opens(1, repo=repo) for repo in fleet.forge.repositories]
    fleet.poll()
    fleet.mishaps.plan(Mishap(call="job_enqueue", error=death(1).error))
    fleet.dispatch()
    fleet.clock.forward(UNCONFIRMED_SECONDS * 2)
    fleet.forge.mishaps.plan(Mishap(call="read_issue", error=lambda: ForgeUnreachableError("no answer")))
    fleet.dispatch()
    assert (len(fleet.jobs(first)), len(fleet.jobs(second))) == (0, 1)
    fleet.dispatch()
    assert len(fleet.jobs(first)) == 1


@pytest.mark.parametrize(
    ("stage", "error"),
    [*((stage, ForgeUnreachableError) for stage in range(5)), (1, ForgeRefusedError), (3, ForgeRefusedError)],
)
def test_a_forge_that_is_away_for_ten_rounds_changes_nothing_but_the_time(
    fleet_of: Fleets, stage: int, error: type[ForgeUnreachableError]
) -> None:
    """At each stage of a run: everything waits, and goes on where it was."""
    fleet = fleet_of(acts={1: ["red", "green"], 2: ["fails"]}, ci_seconds=30)
    first, second = fleet.forge.person_opens(1), fleet.forge.person_opens(2, "Blocked by: #1")
    fleet.rounds(stage)
    fleet.forge.mishaps = Mishaps()  # its own: Redis is well
    fleet.forge.mishaps.lasting[ANY] = lambda: error("not now")
    fleet.rounds(10)
    fleet.forge.mishaps = fleet.mishaps
    fleet.until_quiet()
    fleet.clock.forward(3600)  # a forge that refused to show an end is tried again within the hour
    fleet.until_quiet()
    states = [[job.state for job in fleet.jobs(ref)] for ref in (first, second)]
    assert states == [[JobState.SUCCEEDED], [JobState.ESCALATED]]
    assert (fleet.forge.issues[first].state, list(fleet.forge.issues[first].labels)) == (
        "closed",
        ["coalmine"],
    )
    assert list(fleet.forge.issues[second].labels) == ["coalmine", "ready-for-human"]
    assert (len(fleet.forge.checklists(first)), len(fleet.forge.checklists(second))) == (1, 1)


def test_a_store_that_is_away_makes_nothing_twice(fleet: ForgeFleet) -> None:
    """The tick ends, and the next one does what this one could not."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.mishaps.lasting["backlog_move"] = lambda: redis.ConnectionError("down")
    assert fleet.dispatch() == []
    fleet.mishaps.lasting.clear()
    assert len(fleet.dispatch()) == 1
    moves = [event.data["to"] for event in fleet.hands.events(BACKLOG_STATE) if event.subject == str(ref)]
    assert moves.count("in_progress") == 1
