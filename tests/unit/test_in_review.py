"""Work that people merge: its issue stays open and in review, and what people do with the request ends it."""

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.events import JOB_IN_REVIEW
from routing.forges.change_request import ChangeState
from routing.forges.commit_status import StatusState
from routing.forges.errors import ForgeUnreachableError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobRequest, JobState
from tasks.issues.request_text import change_text
from tests.fleets.forge_fleet import ForgeFleet

DAY = 86_400.0
IN_REVIEW, IN_PROGRESS, FOR_HUMAN = "agent-in-review", "agent-in-progress", "ready-for-human"


@pytest.fixture
def fleet(redis_client: redis.Redis) -> ForgeFleet:
    """A fleet where people merge."""
    return ForgeFleet(redis_client, merge="never")


def in_review(fleet: ForgeFleet, number: int = 1) -> IssueRef:
    """An issue whose job has pushed green work, and was looked at."""
    ref = fleet.forge.person_opens(number)
    fleet.round()
    return ref


def job_of(fleet: ForgeFleet, ref: IssueRef) -> Job:
    """Its newest job."""
    return fleet.jobs(ref)[-1]


def test_green_work_is_left_open_until_a_person_merges_it(fleet: ForgeFleet) -> None:
    """Job, issue, label, checklist and backlog say so; the merge ends all of it."""
    ref = in_review(fleet)
    job, item = job_of(fleet, ref), fleet.item(ref)
    assert (job.state, job.is_in_review, job.reason) == (
        JobState.WAITING, True, "done, and left to people to merge",
    )  # fmt: skip
    assert (item.state, item.in_review, item.aside) == (BacklogState.IN_PROGRESS, True, job.reason)
    assert fleet.forge.issues[ref].state == "open"
    assert {IN_REVIEW} == set(fleet.forge.issues[ref].labels) - {"coalmine"}
    assert "- [x] CI" in fleet.forge.checklists(ref)[0]
    assert "In review" in fleet.forge.checklists(ref)[0]
    assert fleet.signals(job) == ["ci_green"]
    fleet.rounds(3)
    assert fleet.hands.kinds().count(JOB_IN_REVIEW) == 1
    fleet.forge.person_merges(job.branch)
    fleet.clock.forward(DAY)
    fleet.rounds(2)
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.SUCCEEDED, BacklogState.COMPLETED)
    assert fleet.forge.issues[ref].state == "closed"
    assert set(fleet.forge.issues[ref].labels) == {"coalmine"}
    assert fleet.signals(job) == ["ci_green", "merged"]
    assert "Done — issue closed" in fleet.forge.checklists(ref)[0]


def test_without_a_ci_the_push_is_in_review(redis_client: redis.Redis) -> None:
    """Nobody judges it but people; no fact says that it was green."""
    fleet = ForgeFleet(redis_client, merge="never", ci=False)
    ref = in_review(fleet)
    assert job_of(fleet, ref).is_in_review
    assert fleet.signals(job_of(fleet, ref)) == []


def test_its_slot_is_free_and_what_waits_for_it_is_not(fleet: ForgeFleet) -> None:
    """Other issues go on; one that is built upon it waits for the merge."""
    ref = in_review(fleet)
    other = fleet.forge.person_opens(2)
    after = fleet.forge.person_opens(3, body="Blocked by: #1")
    fleet.rounds(3)
    assert job_of(fleet, other).is_in_review
    assert (fleet.item(after).state, fleet.jobs(after)) == (BacklogState.BLOCKED, [])
    fleet.forge.person_merges(job_of(fleet, ref).branch)
    fleet.clock.forward(DAY)
    fleet.rounds(2)
    assert fleet.jobs(after)


def test_more_of_it_than_may_wait_holds_slots(redis_client: redis.Redis) -> None:
    """Nobody is buried under requests; each of them is in review all the same."""
    fleet = ForgeFleet(redis_client, merge="never", waiting_per_repo=2)
    refs = [fleet.forge.person_opens(number) for number in range(1, 6)]
    fleet.rounds(8)
    shown = [bool(fleet.jobs(ref)) and fleet.item(ref).in_review for ref in refs]
    assert shown == [True, True, True, False, False]


def test_a_request_that_is_closed_hands_the_issue_back(fleet: ForgeFleet) -> None:
    """People decide what becomes of it; the version is worth 0."""
    ref = in_review(fleet)
    fleet.forge.person_drops(job_of(fleet, ref).branch)
    fleet.clock.forward(DAY)
    fleet.rounds(2)
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.CANCELLED, BacklogState.ESCALATED)
    assert set(fleet.forge.issues[ref].labels) == {"coalmine", FOR_HUMAN}
    assert "closed_unmerged" in fleet.signals(job_of(fleet, ref))


@pytest.mark.parametrize("deed", ["close", "unlabel"])
def test_an_issue_that_is_taken_back_ends_its_review(fleet: ForgeFleet, deed: str) -> None:
    """The request stays for people; nothing more is done for it."""
    ref = in_review(fleet)
    if deed == "close":
        fleet.forge.person_closes(ref)
    else:
        fleet.forge.unlabel(ref, "coalmine")
    fleet.rounds(2)
    assert job_of(fleet, ref).state is JobState.CANCELLED
    assert IN_REVIEW not in fleet.forge.issues[ref].labels
    assert fleet.forge.changes[0].state is ChangeState.OPEN


def test_people_take_as_long_as_they_like(fleet: ForgeFleet) -> None:
    """No limit for a verdict of CI ends it, not even where the forge is away for hours."""
    ref = in_review(fleet)
    for _ in range(30):
        fleet.clock.forward(DAY)
        fleet.watch()
    assert job_of(fleet, ref).is_in_review
    fleet.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("no answer")
    for _ in range(5):
        fleet.clock.forward(9000)
        fleet.watch()
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert job_of(fleet, ref).is_in_review


def test_it_is_looked_at_less_often_the_longer_it_waits(fleet: ForgeFleet) -> None:
    """A hundred requests that are open for days cost few calls."""
    in_review(fleet)
    fleet.clock.forward(DAY)
    fleet.watch()
    before = fleet.forge.calls_of("statuses")
    for _ in range(60):
        fleet.clock.forward(5)
        fleet.watch()
    assert fleet.forge.calls_of("statuses") == before + 1


@pytest.mark.parametrize("of_all", [False, True], ids=["its branch", "the main branch"])
def test_a_webhook_has_it_looked_at_at_once(fleet: ForgeFleet, *, of_all: bool) -> None:
    """A merge after days is seen in the next tick; what is said of other work hastens nothing."""
    ref = in_review(fleet)
    fleet.clock.forward(DAY)
    fleet.watch()
    branch = job_of(fleet, ref).branch
    fleet.forge.person_merges(branch)
    deliveries = fleet.hands.app.deliveries
    for repository, other in (("github:acme/other", branch), ("github:acme/shop", "coalmine/../x")):
        deliveries.note_work(repository, other)
    fleet.clock.forward(5)
    fleet.watch()
    assert job_of(fleet, ref).is_in_review
    deliveries.note_work("github:acme/shop", "" if of_all else branch)
    fleet.clock.forward(5)
    fleet.watch()
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED
    assert deliveries.take_work() == []


def test_checks_that_turn_red_in_review_are_repaired(fleet: ForgeFleet) -> None:
    """A person ran them again, days later: the hour for corrective turns begins then."""
    ref = in_review(fleet)
    fleet.clock.forward(3 * DAY)
    fleet.watch()
    first = job_of(fleet, ref).result.commit
    fleet.forge.say(first, StatusState.FAILURE, text="it is red by now")
    fleet.clock.forward(300)
    fleet.watch()
    sent_back = job_of(fleet, ref)
    assert (sent_back.state, sent_back.fix_forwards) == (JobState.QUEUED, 1)
    assert (fleet.item(ref).in_review, fleet.item(ref).aside) == (False, "")
    fleet.acts[1] = ["red", "green"]
    for _ in range(2):
        fleet.work()
        fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    assert job_of(fleet, ref).result.commit != first
    assert job_of(fleet, ref).is_in_review
    assert set(fleet.forge.issues[ref].labels) == {"coalmine", IN_REVIEW}


@pytest.mark.parametrize("merges", [True, False])
def test_the_request_closes_the_issue_where_people_merge(*, merges: bool) -> None:
    """Where we merge, the end is recorded first."""
    job = Job(
        id="0123456789abcdef", request=JobRequest(template="a", task="x", issue="github:acme/shop#7"),
        state=JobState.WAITING, template="a", version=1, content_hash="h", created_at=0.0,
    )  # fmt: skip
    assert change_text(job, closes=not merges)[1].startswith("For #7." if merges else "Closes #7.")


def test_a_webhook_before_an_outage_ends_no_review(fleet: ForgeFleet) -> None:
    """Looking at once says nothing about how long the forge has been silent."""
    ref = in_review(fleet)
    for _ in range(3):
        fleet.clock.forward(DAY)
        fleet.watch()
    fleet.hands.app.deliveries.note_work("github:acme/shop", "")
    fleet.watch()
    fleet.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("no answer")
    fleet.clock.forward(5)
    fleet.watch()
    assert job_of(fleet, ref).is_in_review
    assert job_of(fleet, ref).state is JobState.WAITING


def test_notes_that_were_lost_end_no_review(fleet: ForgeFleet) -> None:
    """They expire by themselves; the silence begins when it is first met."""
    ref = in_review(fleet)
    fleet.clock.forward(3 * DAY)
    fleet.hands.redis.hdel(fleet.hands.app.job_store.keys.run(job_of(fleet, ref).id), "reviewed_at")
    fleet.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("no answer")
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING


def test_an_issue_is_held_for_as_long_as_its_work_is_in_review(fleet: ForgeFleet) -> None:
    """Longer than anything is kept: a second job for it would be paid, and would work against the first."""
    ref = in_review(fleet)
    key = fleet.hands.app.job_store.keys.issue(str(ref))
    assert fleet.hands.redis.ttl(key) == -1
    fleet.forge.person_merges(job_of(fleet, ref).branch)
    fleet.clock.forward(DAY)
    fleet.rounds(2)
    assert job_of(fleet, ref).state is JobState.SUCCEEDED
    assert fleet.hands.redis.ttl(key) > 0


def test_work_in_review_leaves_places_to_what_waits_for_a_green_main(redis_client: redis.Redis) -> None:
    """The two are counted apart."""
    fleet = ForgeFleet(redis_client, merge="never", waiting_per_repo=1, acts={2: ["red"]})
    in_review(fleet)
    other = fleet.forge.person_opens(2)
    fleet.poll()
    assert fleet.dispatch()
    fleet.forge.say(fleet.forge.repositories["acme/shop"].tip(), StatusState.FAILURE)
    fleet.work()
    fleet.watch()
    assert fleet.item(other).main_red
    assert fleet.item(other).aside
