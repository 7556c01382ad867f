"""What follows the end of a run: each effect by itself, again until it is done, and never twice."""

from collections.abc import Callable

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.issues.issue import IssueRef
from routing.jobs.job import JobState
from tasks.issues.closing import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_BRANCH_TRIES,
    MOST_REFUSALS,
)
from tests.fakes.memory_forge import OWN_LOGIN
from tests.fleets.forge_fleet import ForgeFleet

Fleets = Callable[..., ForgeFleet]


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet."""
    return lambda **changes: ForgeFleet(redis_client, **changes)


def ended(fleet: ForgeFleet) -> IssueRef:
    """An issue whose job has pushed, or failed, and is yet to be watched."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    fleet.work()
    return ref


def active(fleet: ForgeFleet, ref: IssueRef) -> str:
    """The job that keeps others from an issue."""
    return fleet.hands.app.job_store.active_on([str(ref)])[0][0]


@pytest.mark.parametrize("effect", ["comment", "remove_label", "close"])
@pytest.mark.parametrize("error", [ForgeRefusedError, ForgeInvalidError, ForgeGoneError])
def test_one_effect_that_is_refused_keeps_none_of_the_others(
    fleet_of: Fleets, effect: str, error: type[ForgeRefusedError]
) -> None:
    """It is tried again, with pauses, until it is done; the rest is done at once."""
    fleet = fleet_of()
    ref = ended(fleet)
    fleet.mishaps.lasting[effect] = lambda: error("not this")
    fleet.watch()
    issue = fleet.forge.issues[ref]
    done = {
        "comment": len(fleet.forge.checklists(ref)) == 1,
        "remove_label": "agent-in-progress" not in issue.labels,
        "close": issue.state == "closed",
    }
    assert done == {name: name != effect for name in done}
    assert (fleet.jobs(ref)[0].state, fleet.item(ref).state) == (JobState.SUCCEEDED, BacklogState.COMPLETED)
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert active(fleet, ref) != ""
    fleet.clock.forward(FIRST_PAUSE_SECONDS)
    fleet.watch()
    assert active(fleet, ref) == ""
    assert (issue.state, list(issue.labels), len(fleet.forge.checklists(ref))) == ("closed", ["coalmine"], 1)


def test_a_forge_that_refuses_for_days_lets_its_issue_go(fleet_of: Fleets) -> None:
    """It is not asked more often than its pauses allow."""
    fleet = fleet_of()
    ref = ended(fleet)
    fleet.mishaps.lasting["close"] = lambda: ForgeRefusedError("401")
    fleet.watch()
    for _ in range(5):
        fleet.watch()
    assert fleet.forge.calls_of("close") == 1
    for _ in range(MOST_REFUSALS):
        fleet.clock.forward(LONGEST_PAUSE_SECONDS)
        fleet.watch()
    assert (fleet.forge.calls_of("close"), active(fleet, ref)) == (MOST_REFUSALS, "")


@pytest.mark.parametrize("act", ["green", "fails"])
@pytest.mark.parametrize("stage", ["queued", "pushed", "ended"])
def test_an_issue_that_is_gone_ends_no_other_way(fleet_of: Fleets, act: str, stage: str) -> None:
    """There is nobody to tell: the job's end stands, and nothing is left to do."""
    fleet = fleet_of(acts={1: [act]})
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    kept = fleet.forge.issues[ref]
    if stage == "queued":
        del fleet.forge.issues[ref]
    fleet.work()
    if stage == "pushed":
        del fleet.forge.issues[ref]
    if stage == "ended":
        fleet.mishaps.lasting["remove_label"] = lambda: ForgeGoneError("no such issue")
        fleet.watch()
        fleet.mishaps.lasting.clear()
        del fleet.forge.issues[ref]
        fleet.clock.forward(FIRST_PAUSE_SECONDS)
    fleet.watch()
    if act == "fails":
        expected = JobState.ESCALATED
    else:  # nothing is merged for an issue that is gone
        expected = JobState.SUCCEEDED if stage == "ended" else JobState.CANCELLED
    assert (fleet.jobs(ref)[0].state, active(fleet, ref)) == (expected, "")
    assert fleet.hands.app.job_store.with_effects(10) == []
    assert kept.state == "open" or stage == "ended"


def test_a_comment_that_a_person_deleted_is_written_anew(fleet_of: Fleets) -> None:
    """Once."""
    fleet = fleet_of(acts={1: ["silent"]})
    ref = ended(fleet)
    fleet.watch()
    fleet.forge.issues[ref].comments.clear()
    fleet.clock.forward(100_000)
    fleet.watch()
    (text,) = fleet.forge.checklists(ref)
    assert "A person is needed" in text


def test_a_marker_in_somebody_elses_comment_means_nothing(fleet_of: Fleets) -> None:
    """Their comment is left alone, and ours is written beside it."""
    fleet = fleet_of()
    ref = ended(fleet)
    forged = f"All is well <!-- coalmine run {fleet.jobs(ref)[0].id} -->"
    fleet.forge.person_comments(ref, forged, by="mallory")
    fleet.watch()
    authors = {one.author: one.body for one in fleet.forge.issues[ref].comments}
    assert authors["mallory"] == forged
    assert "Done — issue closed" in authors[OWN_LOGIN]


def test_a_person_who_takes_the_label_off_has_it_tried_again(fleet_of: Fleets) -> None:
    """By another job, with a checklist of its own; the first one's stays as it ended."""
    fleet = fleet_of(acts={1: ["fails", "green"]})
    ref = ended(fleet)
    fleet.rounds(2)
    assert fleet.item(ref).state is BacklogState.ESCALATED
    fleet.forge.unlabel(ref, "ready-for-human")
    fleet.until_quiet()
    assert [job.state for job in fleet.jobs(ref)] == [JobState.ESCALATED, JobState.SUCCEEDED]
    assert len(fleet.forge.checklists(ref)) == 2
    assert (fleet.forge.issues[ref].state, list(fleet.forge.issues[ref].labels)) == ("closed", ["coalmine"])


def test_what_a_person_takes_back_is_not_done_again(fleet_of: Fleets) -> None:
    """Another effect that is tried for days closes no issue twice, and asks for no person twice."""
    fleet = fleet_of(acts={2: ["fails"]}, per_repo=2)
    done, handed = ended(fleet), fleet.forge.person_opens(2)
    fleet.poll()
    fleet.dispatch()
    fleet.work()
    fleet.mishaps.lasting["comment"] = lambda: ForgeRefusedError("locked")
    fleet.watch()
    assert fleet.forge.issues[done].state == "closed"
    assert "ready-for-human" in fleet.forge.issues[handed].labels
    fleet.forge.person_reopens(done)
    fleet.forge.unlabel(handed, "ready-for-human")
    fleet.clock.forward(LONGEST_PAUSE_SECONDS)
    fleet.watch()
    assert fleet.forge.calls_of("comment") > 2
    assert fleet.forge.issues[done].state == "open"
    assert "ready-for-human" not in fleet.forge.issues[handed].labels


def test_a_job_that_a_person_retries_is_reported_anew(fleet_of: Fleets) -> None:
    """It is the same job with another end."""
    fleet = fleet_of(acts={1: ["fails", "green"]})
    ref = ended(fleet)
    fleet.watch()
    fleet.forge.unlabel(ref, "ready-for-human")
    fleet.clock.forward(1)
    fleet.hands.app.jobs.retry(fleet.jobs(ref)[0].id, by="ann")
    fleet.work()
    fleet.watch()
    assert [job.state for job in fleet.jobs(ref)] == [JobState.SUCCEEDED]
    assert fleet.forge.issues[ref].state == "closed"


def test_a_person_who_closes_the_issue_meanwhile_has_the_last_word(fleet_of: Fleets) -> None:
    """Its job ends as it ends; the issue is done, and is not opened or closed again."""
    fleet = fleet_of(acts={1: ["fails"]})
    ref = ended(fleet)
    fleet.forge.person_closes(ref)
    fleet.poll()
    fleet.until_quiet()
    assert fleet.item(ref).state is BacklogState.COMPLETED
    assert fleet.forge.history.count((str(ref), "closed")) == 1
    assert len(fleet.jobs(ref)) == 1


def test_an_issue_that_no_forge_has_is_freed_at_once(fleet_of: Fleets) -> None:
    """A job may name whatever its request said."""
    fleet = fleet_of()
    job = fleet.hands.enqueue(issue="JIRA-17", repository="github:acme/shop").job
    fleet.hands.end(job)
    fleet.watch()
    assert fleet.hands.app.job_store.with_effects(10) == []
    assert fleet.hands.app.job_store.active_on(["JIRA-17"]) == [("", 1)]


def test_what_does_not_change_is_not_written_again(fleet_of: Fleets) -> None:
    """A checklist that stands as it should costs no call, however many ticks look at it."""
    fleet = fleet_of(acts={1: ["silent"]})
    ended(fleet)
    for _ in range(5):
        fleet.watch()
    assert (fleet.forge.calls_of("comment"), fleet.forge.calls_of("edit_comment")) == (1, 0)
    assert (fleet.forge.calls_of("add_label"), fleet.forge.calls_of("open_change")) == (1, 1)


@pytest.mark.parametrize("by", ["us", "a person", "off"])
def test_a_branch_goes_once_its_work_is_merged(fleet_of: Fleets, by: str) -> None:
    """By us or by hand, where the setting says so; another work of the fleet keeps its own."""
    merge = "never" if by == "a person" else "green"
    fleet = fleet_of(merge=merge, delete_branches=by != "off", acts={2: ["silent"]}, per_repo=2)
    merged, open_ = (fleet.forge.person_opens(number) for number in (1, 2))
    fleet.rounds(3)
    if by == "a person":
        fleet.forge.person_merges(fleet.jobs(merged)[0].branch)
    for _ in range(3):
        fleet.round()
        fleet.clock.forward(400)
    branches = fleet.forge.repositories["acme/shop"].branches
    assert fleet.jobs(merged)[0].state is JobState.SUCCEEDED
    assert (fleet.jobs(merged)[0].branch in branches) == (by == "off")
    assert fleet.jobs(open_)[0].branch in branches
    assert fleet.forge.calls_of("delete_branch") == (0 if by == "off" else 1)
    assert fleet.complaints == []


@pytest.mark.parametrize("error", [ForgeRefusedError, ForgeInvalidError, ForgeUnreachableError])
def test_a_branch_that_is_not_deleted_keeps_nothing(fleet_of: Fleets, error: type[ForgeError]) -> None:
    """A refusal is logged and final, silence is asked again; the issue is closed and free either way."""
    fleet = fleet_of(delete_branches=True)
    ref = fleet.forge.person_opens(1)
    fleet.mishaps.lasting["delete_branch"] = lambda: error("not this")
    for _ in range(4):
        fleet.round()
        fleet.clock.forward(400)
    assert fleet.forge.issues[ref].state == "closed"
    assert active(fleet, ref) == ""
    calls = fleet.forge.calls_of("delete_branch")
    fleet.mishaps.lasting.clear()
    for _ in range(2):
        fleet.clock.forward(4000)
        fleet.watch()
    gone = fleet.jobs(ref)[0].branch not in fleet.forge.repositories["acme/shop"].branches
    assert gone == (error is ForgeUnreachableError)
    assert (calls == 1) == (not gone)


@pytest.mark.parametrize("repaired", [True, False])
def test_a_branch_is_deleted_once_the_token_is_repaired(fleet_of: Fleets, *, repaired: bool) -> None:
    """A refused token is asked about again, and not without end."""
    fleet = fleet_of(delete_branches=True)
    ref = fleet.forge.person_opens(1)
    fleet.mishaps.lasting["delete_branch"] = lambda: ForgeTokenError("it was revoked")
    for _ in range(4):
        fleet.round()
        fleet.clock.forward(400)
    job = fleet.jobs(ref)[0]
    assert fleet.forge.calls_of("delete_branch") > 1
    if repaired:
        fleet.mishaps.lasting.clear()
    else:
        fleet.parts.runs.note(job.id, branch_tries=MOST_BRANCH_TRIES - 1)
    for _ in range(2):
        fleet.clock.forward(4000)
        fleet.watch()
    asked = fleet.forge.calls_of("delete_branch")
    fleet.mishaps.lasting.clear()
    fleet.clock.forward(4000)
    fleet.watch()
    assert (job.branch in fleet.forge.repositories["acme/shop"].branches) != repaired
    assert fleet.forge.calls_of("delete_branch") == asked
