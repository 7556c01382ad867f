"""Taking issues in: nothing that changed is missed, and silence is not an answer."""

from collections.abc import Callable
from typing import Literal

import pytest
import redis
from structlog.testing import capture_logs

from console.output.happenings import happening
from routing.backlog.intake import LOOK_SECONDS
from routing.backlog.item import BacklogState
from routing.backlog.refusal import Gate
from routing.errors import NotFoundError
from routing.events import BACKLOG_CYCLE, BACKLOG_STATE, BACKLOG_UNKNOWN_BLOCKER, ISSUE_UNREADABLE
from routing.forges.errors import ForgeGoneError, ForgeMovedError, ForgeRefusedError, ForgeUnreachableError
from routing.issues.issue import Issue, IssueListing, IssueProblem, IssueRef
from routing.jobs.job import JobState
from routing.store.backlog.delivery_store import DeliveryStore, NewDelivery
from tasks.composition.worker import Worker
from tasks.issues.collector import BLOCKED_SECONDS, UNSETTLED_SECONDS
from tests.fakes.memory_forge import MemoryForge
from tests.fakes.mishaps import Mishap, Mishaps
from tests.fleets.forge_fleet import ForgeFleet
from tests.fleets.stepped_fleet import SteppedClock

Fleets = Callable[..., ForgeFleet]


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet, whose repositories are busy: nothing is dispatched."""
    return lambda *forges, **changes: ForgeFleet(redis_client, *forges, **({"enabled": False} | changes))


@pytest.fixture
def fleet(fleet_of: Fleets) -> ForgeFleet:
    """With one forge."""
    return fleet_of()


def state(fleet: ForgeFleet, ref: IssueRef) -> BacklogState:
    """The state of an item."""
    return fleet.item(ref).state


def tell(fleet: ForgeFleet, ref: IssueRef) -> None:
    """A webhook names an issue."""
    app = fleet.hands.app
    DeliveryStore(app.redis, app.keys, app.clock).accept(
        NewDelivery(digest=str(ref), issue=str(ref), hint={"digest": str(ref)}, event={})
    )


def settle(fleet: ForgeFleet) -> None:
    """Every issue was last changed long enough ago, and was read whole since."""
    fleet.clock.forward(UNSETTLED_SECONDS + 1)
    fleet.poll()
    fleet.forge.calls.clear()


def test_no_agent_is_paid_for_a_repository_that_none_can_work_for(fleet_of: Fleets) -> None:
    """The reason is shown with each issue; the first look after the repair starts one."""
    fleet = fleet_of(enabled=True)
    fault = "it has a branch coalmine; rename it"
    fleet.forge.faults["acme/shop"] = fault
    issue = fleet.forge.person_opens(1)
    fleet.poll()
    with capture_logs() as logs:
        assert [fleet.dispatch(), fleet.dispatch()] == [[], []]

    refusal = fleet.item(issue).refusal
    assert refusal is not None
    assert (refusal.gate, refusal.reason) == (Gate.UNFIT, fault)
    assert [one["reason"] for one in logs if one["log_level"] == "warning"] == [fault]
    fleet.forge.faults.clear()
    assert len(fleet.dispatch()) == 1


def test_what_people_decide_is_followed_where_no_agent_can_work(fleet_of: Fleets) -> None:
    """An issue that was closed leaves the queue, and the job at work on another one ends."""
    fleet = fleet_of(enabled=True)
    working, waiting = fleet.forge.person_opens(1), fleet.forge.person_opens(2)
    fleet.poll()
    (job,) = fleet.dispatch()
    fleet.forge.faults["acme/shop"] = "it is archived"
    for ref in (working, waiting):
        fleet.forge.person_closes(ref)
    fleet.poll()
    assert state(fleet, waiting) is BacklogState.COMPLETED
    assert fleet.hands.app.jobs.find(job).state is JobState.CANCELLED


def test_what_a_poll_could_not_take_in_is_noted_until_it_can(fleet: ForgeFleet) -> None:
    """A file, an issue whose forge refuses a question, a repository that cannot be listed."""
    problems = fleet.parts.problems
    broken = IssueProblem(where="7.md", message="its front matter is not YAML")
    fleet.forge.problems = (broken,)
    ref = fleet.forge.person_opens(1)
    fleet.mishaps.plan(Mishap(error=lambda: ForgeRefusedError("not for you"), call="dependencies"))
    fleet.poll()
    assert problems.read(["github:acme/shop"]) == {
        "github:acme/shop": [
            broken, IssueProblem(where=str(ref), message="was not taken in: not for you")
        ]
    }  # fmt: skip
    fleet.mishaps.plan(Mishap(error=lambda: ForgeRefusedError("not for you"), call="list_issues"))
    fleet.poll()
    (only,) = problems.read(["github:acme/shop"])["github:acme/shop"]
    assert (only.where, only.message) == ("github:acme/shop", "was not looked through: not for you")
    fleet.forge.problems = ()
    fleet.poll()
    assert problems.read(["github:acme/shop"]) == {}


def test_people_hear_of_what_cannot_be_read_once(fleet: ForgeFleet) -> None:
    """However many polls find it; again when it says something else, or was in order meanwhile."""
    broken = IssueProblem(where="7\udcff.md", message="its front matter is not YAML" + "!" * 600)
    other = IssueProblem(where=broken.where, message="has no number")

    def heard() -> list[tuple[str, str]]:
        found = fleet.parts.coalmine.events.newest(100)
        return [(one.subject, one.data["reason"][:13]) for one in found if one.kind == ISSUE_UNREADABLE]

    fleet.forge.problems = (broken,)
    with capture_logs() as logs:
        for _ in range(3):
            fleet.poll()
    assert heard() == [("7?.md", "its front mat")]
    assert [line["event"] for line in logs].count("issue.unreadable") == 1
    for problems, times in [((broken, other), 2), ((), 2), ((broken,), 3)]:
        fleet.forge.problems = problems
        fleet.poll()
        assert len(heard()) == times
    (newest,) = fleet.parts.coalmine.events.newest(1)
    shown = happening(newest, None)
    assert shown is not None
    assert shown.words.startswith("its front matter is not YAML")


def test_an_issue_that_does_not_change_costs_nothing_but_its_place_in_the_list(fleet: ForgeFleet) -> None:
    """However many there are, and however often they are listed."""
    for number in range(1, 6):
        fleet.forge.person_opens(number)
    fleet.poll()
    settle(fleet)
    for _ in range(3):
        fleet.poll()
    assert [name for name, _ in fleet.forge.calls] == ["list_issues"] * 3


def test_a_change_in_the_second_of_the_look_is_seen(fleet: ForgeFleet) -> None:
    """Forges tell times to the second: what was read in it may have changed in it."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    before = fleet.forge.issues[ref].updated_at
    fleet.forge.person_edits(ref, "Blocked by: #2")
    fleet.forge.person_opens(2)
    assert fleet.forge.issues[ref].updated_at == before
    fleet.poll()
    assert state(fleet, ref) is BacklogState.BLOCKED


def test_an_edited_body_is_read_anew(fleet: ForgeFleet) -> None:
    """Its priority, and what it waits for, are those of the new text."""
    ref, other = fleet.forge.person_opens(1, "Blocked by: #2"), fleet.forge.person_opens(2)
    fleet.poll()
    settle(fleet)
    assert state(fleet, ref) is BacklogState.BLOCKED
    fleet.forge.person_edits(ref, "No more.")
    fleet.forge.label(other, "priority:1")
    fleet.poll()
    assert (state(fleet, ref), fleet.item(other).metadata.priority) == (BacklogState.READY, 1)


def test_what_the_forges_own_fields_say_counts(fleet: ForgeFleet) -> None:
    """Beside the text; and it is undone there."""
    ref, other = fleet.forge.person_opens(1), fleet.forge.person_opens(2)
    fleet.forge.issues[ref].blocked_by.append(other)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.BLOCKED
    fleet.forge.issues[ref].blocked_by.clear()
    fleet.poll()
    assert state(fleet, ref) is BacklogState.READY


def test_a_blocked_issue_is_read_anew_now_and_then(fleet: ForgeFleet) -> None:
    """A forge need not count a dependency that came or went as a change of the issue."""
    blocker, ref = fleet.forge.person_opens(1), fleet.forge.person_opens(2)
    fleet.forge.issues[ref].blocked_by.append(blocker)
    settle(fleet)
    assert state(fleet, ref) is BacklogState.BLOCKED
    fleet.forge.issues[ref].blocked_by.clear()
    fleet.poll()
    assert fleet.forge.calls_of("dependencies") == 0
    fleet.clock.forward(BLOCKED_SECONDS + 1)
    fleet.poll()
    assert (state(fleet, ref), fleet.forge.calls_of("dependencies")) == (BacklogState.READY, 1)


def test_blockers_that_cannot_be_read_are_not_none(fleet: ForgeFleet) -> None:
    """An issue is not taken in before they are known."""
    ref, other = fleet.forge.person_opens(1), fleet.forge.person_opens(2)
    fleet.forge.issues[ref].blocked_by.append(other)
    fleet.mishaps.plan(Mishap(call="dependencies", error=lambda: ForgeUnreachableError("no")))
    fleet.poll()
    assert fleet.parts.backlog.known(ref) is None
    fleet.poll()
    assert state(fleet, ref) is BacklogState.BLOCKED


@pytest.mark.parametrize("error", [ForgeUnreachableError, ForgeRefusedError])
def test_who_asked_is_asked_again_until_the_forge_tells(
    fleet: ForgeFleet, error: type[ForgeUnreachableError]
) -> None:
    """Also of an issue that has not changed for long."""
    ref = fleet.forge.person_opens(1)
    fleet.clock.forward(UNSETTLED_SECONDS + 1)
    fleet.mishaps.lasting["requested_by"] = lambda: error("not now")
    fleet.poll()
    assert fleet.item(ref).requested_by == ""
    fleet.mishaps.lasting.clear()
    fleet.poll()
    assert fleet.item(ref).requested_by == "ann"


def test_a_label_that_is_taken_off_and_put_on_by_another(fleet: ForgeFleet) -> None:
    """The issue leaves the queue, and comes back by the one who asked for it now."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    settle(fleet)
    fleet.forge.unlabel(ref, "coalmine")
    fleet.poll()
    assert state(fleet, ref) is BacklogState.CANCELLED
    fleet.forge.label(ref, "coalmine", by="out")
    fleet.poll()
    assert (state(fleet, ref), fleet.item(ref).requested_by) == (BacklogState.READY, "out")


def test_who_asked_is_forgotten_with_the_label(fleet: ForgeFleet) -> None:
    """Another's label does not stand for the first one's while the forge does not say whose it is."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    assert fleet.item(ref).requested_by == "ann"
    fleet.forge.unlabel(ref, "coalmine")
    fleet.poll()
    fleet.forge.mishaps.lasting["requested_by"] = lambda: ForgeUnreachableError("away")
    fleet.forge.label(ref, "coalmine", by="out")
    fleet.poll()
    assert (state(fleet, ref), fleet.item(ref).requested_by) == (BacklogState.READY, "")
    fleet.forge.mishaps.lasting.clear()
    fleet.poll()
    assert fleet.item(ref).requested_by == "out"


def test_labels_of_other_case_are_the_same(fleet: ForgeFleet) -> None:
    """A forge shows a label as it was first written: what asks for agents, and what asks for a person."""
    ref = fleet.forge.person_opens(1, label="Coalmine")
    fleet.forge.label(ref, "Ready-For-Human")
    fleet.poll()
    assert fleet.parts.backlog.known(ref) is None
    fleet.parts.collector.read(fleet.parts.sites["github"], ref)
    assert state(fleet, ref) is BacklogState.ESCALATED
    fleet.poll()
    assert state(fleet, ref) is BacklogState.ESCALATED
    fleet.forge.unlabel(ref, "Ready-For-Human")
    fleet.parts.collector.read(fleet.parts.sites["github"], ref)
    assert state(fleet, ref) is BacklogState.READY


def test_an_issue_that_was_hidden_comes_back_as_it_was(fleet: ForgeFleet) -> None:
    """A forge says gone of what a token may not see: nothing about the issue changes by that."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    settle(fleet)
    hidden = fleet.forge.issues.pop(ref)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.CANCELLED
    fleet.forge.issues[ref] = hidden
    fleet.poll()
    assert state(fleet, ref) is BacklogState.READY


def test_closed_and_opened_again_by_hand(fleet: ForgeFleet) -> None:
    """Done is done, and what waited is ready in the same step; opened again it is to be done."""
    ref, waits = fleet.forge.person_opens(1), fleet.forge.person_opens(2, "Blocked by: #1")
    fleet.poll()
    settle(fleet)
    fleet.forge.person_closes(ref)
    fleet.poll()
    assert (state(fleet, ref), state(fleet, waits)) == (BacklogState.COMPLETED, BacklogState.READY)
    moves = [(event.subject[-2:], event.data["to"], event.at) for event in fleet.hands.events(BACKLOG_STATE)]
    assert moves[-2:] == [("#1", "completed", moves[-1][2]), ("#2", "ready", moves[-1][2])]
    fleet.forge.person_reopens(ref)
    fleet.poll()
    assert (state(fleet, ref), state(fleet, waits)) == (BacklogState.READY, BacklogState.BLOCKED)


def test_a_blocker_that_nobody_knows_is_satisfied_with_a_warning(fleet: ForgeFleet) -> None:
    """Reported once."""
    ref = fleet.forge.person_opens(1, "Blocked by: #99")
    for _ in range(3):
        fleet.poll()
        fleet.clock.forward(61)
    assert state(fleet, ref) is BacklogState.READY
    assert len(fleet.hands.events(BACKLOG_UNKNOWN_BLOCKER)) == 1


def test_a_blocker_that_a_webhook_brings_is_asked_about_then(fleet: ForgeFleet) -> None:
    """No poll is waited for: there may be none. What is open is asked about again."""
    done = fleet.forge.person_opens(8, label="")
    fleet.forge.person_closes(done)
    later = fleet.forge.person_opens(9, label="")
    refs = [fleet.forge.person_opens(number, f"Blocked by: #{number + 7}") for number in (1, 2)]
    for ref in refs:
        tell(fleet, ref)
    fleet.parts.collector.look()
    assert [state(fleet, ref) for ref in refs] == [BacklogState.READY, BacklogState.BLOCKED]
    fleet.forge.person_closes(later)
    fleet.clock.forward(61)
    fleet.parts.collector.look()
    assert state(fleet, refs[1]) is BacklogState.READY


def test_a_blocker_that_was_moved_blocks_as_long_as_it_is_open(
    fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not unknown: the forge says where it is, and whether it is done."""
    ref = fleet.forge.person_opens(1, "Blocked by: #9")
    moved: dict[str, Literal["open", "closed"]] = {"state": "open"}
    read = fleet.forge.read_issue

    def reading(asked: IssueRef) -> Issue:
        if asked.number == 9:
            message = "moved"
            raise ForgeMovedError(message, state=moved["state"])
        return read(asked)

    monkeypatch.setattr(fleet.forge, "read_issue", reading)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.BLOCKED
    moved["state"] = "closed"
    fleet.clock.forward(61)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.READY


def test_a_blocker_of_which_the_forge_is_silent_is_neither_open_nor_closed(fleet: ForgeFleet) -> None:
    """The issue is pending until the forge says."""
    ref = fleet.forge.person_opens(1, "Blocked by: #9")
    fleet.forge.person_opens(9, label="")
    fleet.mishaps.lasting["read_issue"] = lambda: ForgeUnreachableError("no answer")
    for _ in range(3):
        fleet.poll()
        fleet.clock.forward(61)
    assert state(fleet, ref) is BacklogState.PENDING
    fleet.mishaps.lasting.clear()
    fleet.poll()
    assert state(fleet, ref) is BacklogState.BLOCKED
    fleet.forge.person_closes(fleet.forge.issues[ref].ref.model_copy(update={"number": 9}))
    fleet.clock.forward(61)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.READY


def test_issues_that_wait_for_each_other_stay_where_they_are(fleet: ForgeFleet) -> None:
    """Each says so, until one edge is taken away."""
    refs = [fleet.forge.person_opens(number, f"Blocked by: #{number % 3 + 1}") for number in (1, 2, 3)]
    fleet.poll()
    assert {state(fleet, ref) for ref in refs} == {BacklogState.BLOCKED}
    assert {event.subject for event in fleet.hands.events(BACKLOG_CYCLE)} == set(map(str, refs))
    fleet.forge.person_edits(refs[0], "no more")
    fleet.poll()
    assert [state(fleet, ref).value for ref in refs] == ["ready", "blocked", "blocked"]


@pytest.mark.parametrize("switch", [False, True], ids=["served", "kill switch"])
def test_blockers_in_other_repositories_and_on_other_forges(fleet_of: Fleets, *, switch: bool) -> None:
    """A forge that may not be asked is silent: what waits for it waits, and is never taken for free."""
    clock = SteppedClock()
    here = MemoryForge(clock, repos=("acme/a", "acme/b"), mishaps=Mishaps())
    there = MemoryForge(clock, name="gitea", repos=("acme/x",), mishaps=Mishaps())
    fleet = fleet_of(here, there, clock=clock, gitea={"kill_switch": switch})
    near = here.person_opens(1, "Blocked by: acme/b#2", repo="acme/a")
    here.person_opens(2, repo="acme/b", label="")
    far = here.person_opens(3, repo="acme/b")
    here.issues[far].blocked_by.append(there.person_opens(4, repo="acme/x"))
    for _ in range(3):
        fleet.poll()
        fleet.clock.forward(61)
    assert state(fleet, near) is BacklogState.BLOCKED
    assert state(fleet, far) is (BacklogState.PENDING if switch else BacklogState.BLOCKED)
    assert (there.calls == []) is switch
    there.person_closes(there.issues[next(iter(there.issues))].ref)
    here.person_closes(near.model_copy(update={"repo": "acme/b", "number": 2}))
    fleet.clock.forward(61)
    fleet.poll()
    assert state(fleet, near) is BacklogState.READY
    assert state(fleet, far) is (BacklogState.PENDING if switch else BacklogState.READY)


def test_one_repository_that_is_not_there_does_not_hide_the_next(fleet_of: Fleets) -> None:
    """It is logged, and its items stay."""
    fleet = fleet_of(MemoryForge(SteppedClock(), repos=("acme/a", "acme/b"), mishaps=Mishaps()))
    first = fleet.forge.person_opens(1, repo="acme/a")
    fleet.poll()
    second = fleet.forge.person_opens(2, repo="acme/b")
    fleet.forge.mishaps.plan(Mishap(call="list_issues", error=lambda: ForgeGoneError("moved")))
    fleet.poll()
    assert (state(fleet, first), state(fleet, second)) == (BacklogState.READY, BacklogState.READY)


@pytest.mark.parametrize("call", ["list_issues", "dependencies"])
def test_a_mistake_of_ours_with_one_issue_hides_no_other(fleet_of: Fleets, call: str) -> None:
    """Whatever is raised for one repository, or for one issue, the poll goes on."""
    fleet = fleet_of(MemoryForge(SteppedClock(), repos=("acme/a", "acme/b"), mishaps=Mishaps()))
    fleet.forge.person_opens(1, repo="acme/a")
    second = fleet.forge.person_opens(2, repo="acme/b")
    fleet.forge.mishaps.plan(Mishap(call=call, error=lambda: KeyError("a mistake of ours")))
    fleet.poll()
    assert state(fleet, second) is BacklogState.READY


def test_a_mistake_of_ours_with_one_delivery_hides_no_other(fleet: ForgeFleet) -> None:
    """The other issue is looked at in the same tick, and this one again later."""
    refs = [fleet.forge.person_opens(number) for number in (1, 2)]
    for ref in refs:
        tell(fleet, ref)
    fleet.forge.mishaps.plan(Mishap(call="read_issue", error=lambda: KeyError("a mistake of ours")))
    assert fleet.parts.collector.look() == 1
    assert state(fleet, refs[1]) is BacklogState.READY
    fleet.clock.forward(LOOK_SECONDS + 1)
    assert fleet.parts.collector.look() == 1
    assert state(fleet, refs[0]) is BacklogState.READY


def test_a_listing_that_was_cut_says_so(fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with more issues than are read is reported, and items that the reading lacks stay."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    cut = IssueListing(issues=(), complete=False)
    monkeypatch.setattr(fleet.forge, "list_issues", lambda _repo, _label: cut)
    with capture_logs() as logs:
        fleet.poll()
    (warned,) = [line for line in logs if line["event"] == "poll.cut"]
    assert (warned["repository"], warned["log_level"]) == ("github:acme/shop", "warning")
    assert "http.max_pages" in warned["reason"]
    assert state(fleet, ref) is BacklogState.READY


def test_what_was_finished_long_ago_is_forgotten(fleet: ForgeFleet) -> None:
    """The sweep sees to it: the backlog does not grow for ever."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.forge.person_closes(ref)
    fleet.poll()
    assert state(fleet, ref) is BacklogState.COMPLETED
    fleet.clock.forward(31 * 86_400)
    Worker(coalmine=fleet.hands.app).sweep()
    with pytest.raises(NotFoundError):
        fleet.item(ref)
