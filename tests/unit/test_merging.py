"""The two steps that change branches, where something is in their way, or people are quicker."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from routing.errors import ConflictError
from routing.forges.commit_status import StatusState
from routing.forges.errors import ForgeOutcomeUnknownError, ForgeTokenError, ForgeUnreachableError
from routing.forges.local.config import LocalConfig
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from tasks.issues.merging import left_to_merge
from tests.fakes.mishaps import Mishap
from tests.fleets.forge_fleet import ForgeFleet

Fleets = Callable[..., ForgeFleet]


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet, which merges what is green."""
    return lambda **changes: ForgeFleet(redis_client, merge="green", **changes)


def pushed(fleet: ForgeFleet) -> IssueRef:
    """An issue whose job has pushed what the test says it does."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    fleet.work()
    return ref


def red_as_main(fleet: ForgeFleet) -> IssueRef:
    """An issue whose work failed as the main branch did, which somebody has repaired since."""
    ref = pushed(fleet)
    fleet.forge.say(fleet.forge.repositories["acme/shop"].tip(), StatusState.FAILURE)
    fleet.watch()
    repaired = fleet.forge.repositories["acme/shop"].squash("Repair the build")
    fleet.forge.say(repaired, StatusState.SUCCESS)
    return ref


def job_of(fleet: ForgeFleet, ref: IssueRef) -> Job:
    """Its only job."""
    (job,) = fleet.jobs(ref)
    return job


def test_work_without_a_request_cannot_be_brought_up_to_date(fleet_of: Fleets) -> None:
    """Nobody knows what to update: a person does, and the version is not blamed."""
    fleet = fleet_of(acts={1: ["red"]})
    ref = red_as_main(fleet)
    fleet.forge.changes.clear()
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, fleet.signals(job)) == (JobState.ESCALATED, ["main_red"])
    assert "but it has no change request" in job.reason


def test_a_token_that_ends_before_an_update_is_waited_for(fleet_of: Fleets) -> None:
    """It is repaired, and the work goes on."""
    fleet = fleet_of(acts={1: ["red"]})
    ref = red_as_main(fleet)
    fleet.mishaps.lasting["bring_up_to_date"] = lambda: ForgeTokenError("bad credentials")
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert job_of(fleet, ref).base_commit == fleet.forge.repositories["acme/shop"].tip()


def test_a_job_that_is_cancelled_right_before_its_merge_is_not_merged(
    fleet_of: Fleets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher has asked whether it goes on, and asks the forge for the newest commit of main."""
    fleet = fleet_of()
    ref = pushed(fleet)
    newest = fleet.forge.newest

    def cancelled_meanwhile(*asked: object, **given: object) -> object:
        fleet.hands.app.jobs.cancel(job_of(fleet, ref).id, by="ann", at=fleet.clock())
        return newest(*asked, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet.forge, "newest", cancelled_meanwhile)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.CANCELLED
    assert fleet.forge.calls_of("merge") == 0


def test_work_that_nobody_wants_is_not_brought_up_to_date(
    fleet_of: Fleets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label is taken off while the watcher reads CI: the branch is left as it is."""
    fleet = fleet_of(acts={1: ["red"]})
    ref = red_as_main(fleet)
    statuses = fleet.forge.statuses

    def unlabelled_meanwhile(*asked: object, **given: object) -> object:
        fleet.forge.unlabel(ref, "coalmine")
        return statuses(*asked, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet.forge, "statuses", unlabelled_meanwhile)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.CANCELLED
    assert fleet.forge.calls_of("bring_up_to_date") == 0


def test_a_merge_whose_answer_was_lost_is_not_cancelled(fleet_of: Fleets) -> None:
    """It was perhaps made, and it was: the next look finds it."""
    fleet = fleet_of()
    ref = pushed(fleet)
    fleet.mishaps.plan(Mishap(error=lambda: ForgeOutcomeUnknownError("no answer"), call="merge", after=True))
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    with pytest.raises(ConflictError):
        fleet.hands.app.jobs.cancel(job_of(fleet, ref).id, by="ann", at=fleet.clock())
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, "merged" in fleet.signals(job)) == (JobState.SUCCEEDED, True)


def test_a_branch_that_a_person_pushed_to_is_not_updated_by_us(fleet_of: Fleets) -> None:
    """What they made of it is judged by the forge when it merges."""
    fleet = fleet_of()
    ref = pushed(fleet)
    repository = fleet.forge.repositories["acme/shop"]
    head = repository.more_work(job_of(fleet, ref).branch, {"theirs.txt": "x"})
    repository.squash("Other work")
    fleet.watch()
    assert fleet.forge.calls_of("bring_up_to_date") == 0
    assert repository.tip(job_of(fleet, ref).branch) == head


def test_a_person_who_pushes_after_our_update_is_not_taken_for_us(fleet_of: Fleets) -> None:
    """The branch held main already, the merge was put off, and then they pushed: it is their commit."""
    fleet = fleet_of()
    ref = pushed(fleet)
    ours = job_of(fleet, ref).result.commit
    fleet.mishaps.lasting["merge"] = lambda: ForgeUnreachableError("away")
    fleet.watch()
    fleet.mishaps.lasting.clear()
    fleet.forge.repositories["acme/shop"].more_work(job_of(fleet, ref).branch, {"theirs.txt": "x"})
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, job.result.commit) == (JobState.SUCCEEDED, ours)


def test_done_work_that_nobody_merged_names_its_branch(fleet_of: Fleets) -> None:
    """Where a folder of issues is the forge; elsewhere its change request shows it."""
    fleet = fleet_of()
    job = job_of(fleet, pushed(fleet))
    served = fleet.site(fleet.forge)
    assert left_to_merge(served, job) == ""
    assert left_to_merge(replace(served, config=LocalConfig()), job) == f"; {job.branch} is left to be merged"
