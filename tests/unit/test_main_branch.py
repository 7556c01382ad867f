"""The main branch beside the work: a failure that it has too, and what a merge would make of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.backlog.refusal import Gate
from routing.forges.change_request import ChangeState
from routing.forges.commit_status import (
    CiReading,
    CiReason,
    CiVerdict,
    CombinedStatus,
    CommitStatus,
    StatusState,
)
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeOutdatedError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from tasks.issues.ci_look import CiLook, failed_checks
from tasks.issues.watch import Finding
from tests.fakes.mishaps import Mishap
from tests.fleets.forge_fleet import ForgeFleet

Fleets = Callable[..., ForgeFleet]

DAY = 86_400.0


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet."""
    return lambda **changes: ForgeFleet(redis_client, **changes)


def pushed(fleet: ForgeFleet, *numbers: int) -> list[IssueRef]:
    """Issues whose jobs have pushed what the test says they do, from the same main branch."""
    refs = [fleet.forge.person_opens(number) for number in numbers]
    fleet.poll()
    while fleet.dispatch():
        pass
    fleet.work()
    return refs


def job_of(fleet: ForgeFleet, ref: IssueRef) -> Job:
    """Its only job."""
    (job,) = fleet.jobs(ref)
    return job


def tip(fleet: ForgeFleet) -> str:
    """The newest commit of the main branch."""
    return fleet.forge.repositories["acme/shop"].tip()


def repaired_main(fleet: ForgeFleet) -> str:
    """Somebody pushes a commit to the main branch, which CI passes."""
    made = fleet.forge.repositories["acme/shop"].squash("Repair the build")
    fleet.forge.say(made, StatusState.SUCCESS)
    return made


def test_a_failure_that_main_has_too_is_waited_out(fleet_of: Fleets) -> None:
    """No corrective turn is paid, nothing counts; once main is repaired, CI judges the work on top of it."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green")
    fleet.forge.judges_updates = False
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    for _ in range(3):
        fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, job.fix_forwards, fleet.signals(job)) == (JobState.WAITING, 0, [])
    assert "waits until the main branch is green" in fleet.forge.checklists(ref)[0]
    repaired = repaired_main(fleet)
    fleet.watch()
    again = job_of(fleet, ref)
    assert (again.state, again.base_commit) == (JobState.WAITING, repaired)
    assert again.result.commit != job.result.commit
    fleet.forge.say(again.result.commit, StatusState.SUCCESS)
    fleet.watch()
    ended = job_of(fleet, ref)
    assert (ended.state, ended.turns, fleet.signals(ended)) == (JobState.SUCCEEDED, 0, ["ci_green", "merged"])


def test_a_main_branch_that_stays_red_is_nobodys_fault(fleet_of: Fleets) -> None:
    """After a day a person is asked; the version is left out of its trial."""
    fleet = fleet_of(acts={1: ["red"]})
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    fleet.clock.forward(DAY)
    fleet.watch()
    fleet.fleet.app.harvester.harvest()
    job = job_of(fleet, ref)
    assert (job.state, fleet.signals(job), job.excluded) == (JobState.ESCALATED, ["main_red"], True)


@pytest.mark.parametrize("settings", [{}, {"wait_for_green_main": False}])
def test_what_main_does_not_have_is_the_versions(fleet_of: Fleets, settings: dict[str, bool]) -> None:
    """Another check that failed, or a fleet that is set not to compare: a corrective turn."""
    fleet = fleet_of(acts={1: ["red"]}, **settings)
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE, context="ci/build" if settings else "ci/docs")
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.QUEUED, 1)


def test_main_that_broke_since_is_looked_at_too(fleet_of: Fleets) -> None:
    """A forge's CI judges the work merged into main: it fails there, although the work began before."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green")
    fleet.forge.judges_updates = False
    (ref,) = pushed(fleet, 1)
    broken = fleet.forge.repositories["acme/shop"].squash("Break the build")
    fleet.forge.say(broken, StatusState.FAILURE)
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.WAITING, 0)
    repaired = repaired_main(fleet)
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).base_commit) == (JobState.WAITING, repaired)


@pytest.mark.parametrize(
    ("said", "context"), [(StatusState.FAILURE, "ci/docs"), (StatusState.PENDING, "ci/build")]
)
def test_main_that_did_not_fail_alike_since_excuses_nothing(
    fleet_of: Fleets, said: StatusState, context: str
) -> None:
    """Another check fails there, or it is yet to be judged: what the work failed is the version's."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green")
    (ref,) = pushed(fleet, 1)
    broken = fleet.forge.repositories["acme/shop"].squash("Other work")
    fleet.forge.say(broken, said, context=context)
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.QUEUED, 1)


def test_work_that_cannot_be_brought_up_to_date_goes_to_a_person(fleet_of: Fleets) -> None:
    """It conflicts with what repaired the main branch: that is not held against the version."""
    fleet = fleet_of(acts={1: ["red"]})
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    repaired_main(fleet)
    refused = Mishap(error=lambda: ForgeRefusedError("conflicts in a.txt"), call="bring_up_to_date")
    fleet.mishaps.plan(refused)
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, fleet.signals(job)) == (JobState.ESCALATED, ["main_red"])
    assert "conflicts in a.txt" in job.reason


def test_two_branches_that_break_each_other_meet_before_the_merge(fleet_of: Fleets) -> None:
    """Each is green; what the second would make of main is judged, and sent back when it is red."""
    fleet = fleet_of(merge="green", per_repo=2)
    fleet.forge.judges_updates = False
    refs = pushed(fleet, 1, 2)
    fleet.watch()
    (second,) = [ref for ref in refs if job_of(fleet, ref).state is not JobState.SUCCEEDED]
    waiting = job_of(fleet, second)
    assert (waiting.state, waiting.base_commit) == (JobState.WAITING, tip(fleet))
    merged = tip(fleet)
    fleet.forge.say(waiting.result.commit, StatusState.FAILURE, text="price is gone")
    fleet.watch()
    assert (job_of(fleet, second).state, job_of(fleet, second).fix_forwards) == (JobState.QUEUED, 1)
    assert tip(fleet) == merged


def test_branches_are_brought_up_to_date_one_at_a_time(fleet_of: Fleets) -> None:
    """So a merge costs one further run of CI, and not one for each branch that waits."""
    fleet = fleet_of(merge="green", per_repo=3)
    refs = pushed(fleet, 1, 2, 3)
    for merged in (1, 2, 3):
        fleet.watch()
        states = [job_of(fleet, ref).state for ref in refs]
        assert states.count(JobState.SUCCEEDED) == merged
        updated = fleet.forge.calls_of("bring_up_to_date")
        assert updated <= 2 * merged
    commits = fleet.forge.repositories["acme/shop"].commits
    heads = [commits[job_of(fleet, ref).result.commit] for ref in refs]
    assert [len(head.parents) for head in heads].count(2) == 2
    assert [one.state for one in fleet.forge.changes] == [ChangeState.MERGED] * 3


def test_a_green_branch_may_be_merged_as_it_is(fleet_of: Fleets) -> None:
    """The setting spares the runs of CI."""
    fleet = fleet_of(merge="green", per_repo=2, judge_merges=False)
    fleet.forge.judges_updates = False
    refs = pushed(fleet, 1, 2)
    fleet.watch()
    assert {job_of(fleet, ref).state for ref in refs} == {JobState.SUCCEEDED}
    assert fleet.forge.calls_of("bring_up_to_date") == 0


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_forge_merges_only_up_to_date_is_brought_there(fleet_of: Fleets, *, at_once: bool) -> None:
    """Also where that is switched off; a forge may do it after its answer. The result is judged."""
    fleet = fleet_of(merge="green", per_repo=2, judge_merges=False)
    refs = pushed(fleet, 1, 2)
    refused = Mishap(error=lambda: ForgeOutdatedError("need_rebase"), call="merge", nth=2)
    still = Mishap(error=lambda: ForgeUnreachableError("it is at it"), call="bring_up_to_date", after=True)
    fleet.mishaps.plan(refused, *([] if at_once else [still]))
    fleet.watch()
    assert sorted(job_of(fleet, ref).state for ref in refs) == [JobState.SUCCEEDED, JobState.WAITING]
    fleet.watch()
    fleet.watch()
    assert {job_of(fleet, ref).state for ref in refs} == {JobState.SUCCEEDED}
    commits = fleet.forge.repositories["acme/shop"].commits
    heads = [commits[job_of(fleet, ref).result.commit] for ref in refs]
    assert sorted(len(head.parents) for head in heads) == [1, 2]


def test_a_forge_that_is_still_at_it_is_asked_again(fleet_of: Fleets) -> None:
    """GitHub answers before the branch has its new commit."""
    fleet = fleet_of(merge="green", per_repo=2)
    refs = pushed(fleet, 1, 2)
    still = Mishap(
        error=lambda: ForgeUnreachableError("it is at it"), call="bring_up_to_date", nth=2, after=True
    )
    fleet.mishaps.plan(still)
    fleet.watch()
    assert sorted(job_of(fleet, ref).state for ref in refs) == [JobState.SUCCEEDED, JobState.WAITING]
    fleet.watch()
    fleet.watch()
    assert {job_of(fleet, ref).state for ref in refs} == {JobState.SUCCEEDED}


def test_a_check_that_was_run_again_counts_before_work_is_frozen(fleet_of: Fleets) -> None:
    """A corrective turn found nothing to repair, and meanwhile somebody ran the check again."""
    for passed in (True, False):
        fleet = fleet_of(acts={1: ["red"], 2: ["red"]})
        (ref,) = pushed(fleet, 1 if passed else 2)
        fleet.watch()
        claim = fleet.hands.claim(job_of(fleet, ref).id)
        fleet.hands.app.jobs.pushed(
            claim, claim.job.result, reason="the corrective turn committed nothing new"
        )
        if passed:
            fleet.forge.say(claim.job.result.commit, StatusState.SUCCESS)
        fleet.watch()
        ended = job_of(fleet, ref)
        assert ended.state is (JobState.SUCCEEDED if passed else JobState.ESCALATED)
        assert ("frozen" in fleet.signals(ended)) is not passed


@pytest.mark.parametrize(
    ("said", "found"), [(StatusState.FAILURE, Finding.MAIN_RED), (StatusState.SUCCESS, Finding.RED)]
)
def test_where_ci_is_ours_the_main_branch_is_judged_first(
    fleet_of: Fleets, said: StatusState, found: Finding
) -> None:
    """A run is requested where the work began; until it has spoken, red is not held against anybody."""
    fleet = fleet_of(acts={1: ["red"]})
    (ref,) = pushed(fleet, 1)
    job, asked = job_of(fleet, ref), list[str]()
    site = replace(fleet.parts.sites["github"], run_ci=asked.append)
    look = CiLook(run_ci=asked.append)
    assert look.at(site, job, waited_seconds=0.0, held=False).finding is Finding.PENDING
    assert asked == [job.base_commit]
    fleet.forge.say(job.base_commit, said)
    assert look.at(site, job, waited_seconds=0.0, held=False).finding is found
    repaired_main(fleet)  # which is of use to work that failed as main did
    after = Finding.MAIN_REPAIRED if found is Finding.MAIN_RED else found
    assert look.at(site, job, waited_seconds=0.0, held=False).finding is after
    fleet.forge.say(fleet.forge.repositories["acme/shop"].squash("Break the build"), StatusState.FAILURE)
    assert look.at(site, job, waited_seconds=0.0, held=False).finding is found  # our CI judged the work alone


@pytest.mark.parametrize("error", [ForgeGoneError, ForgeInvalidError])
def test_a_base_that_the_forge_knows_no_longer_excuses_nothing(
    fleet_of: Fleets, error: type[ForgeError]
) -> None:
    """It was rewritten, and collected: what the work failed is the version's, and not the forge's silence."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green")
    (ref,) = pushed(fleet, 1)
    fleet.mishaps.plan(Mishap(error=lambda: error("no such commit"), call="statuses", nth=2))
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.QUEUED, 1)


def test_checks_of_two_commits_are_compared_by_what_they_have_in_common() -> None:
    """The same check has another context where it ran for a push; one that decided nothing is left out."""

    def failed(context: str, *decided: str) -> frozenset[tuple[str, str]]:
        now, red = datetime.now(UTC), StatusState.FAILURE
        build = CommitStatus(context=context, name="build", app="actions", state=red, at=now)
        review = CommitStatus(context="review", state=red, at=now)
        reading = CiReading(verdict=CiVerdict.RED, reason=CiReason.FAILED, names=decided)
        return failed_checks(CombinedStatus.of("1" * 40, [build, review]), reading)

    there = failed("CI / build (push)", "CI / build (push)")
    assert failed("CI / build (pull_request)", "CI / build (pull_request)") == there
    assert there == {("actions", "build")}


@pytest.mark.parametrize(("merge", "found"), [("never", Finding.GREEN), ("green", Finding.PEOPLE)])
def test_checks_that_wait_for_people_are_theirs_where_they_merge(
    fleet_of: Fleets, merge: str, found: Finding
) -> None:
    """Where we merge they are waited for; where people do, the work is as green as CI can make it."""
    fleet = fleet_of(merge=merge)
    (ref,) = pushed(fleet, 1)
    job = job_of(fleet, ref)
    fleet.forge.required["main"] = ("ci/build", "review/approvals")
    look = CiLook(run_ci=lambda _: None)
    site = fleet.parts.sites["github"]
    assert look.at(site, job, waited_seconds=0.0, held=False).finding is found


def test_branches_that_were_brought_up_together_do_not_wait_for_each_other(fleet_of: Fleets) -> None:
    """Each had to wait for the repair of main; each further merge makes one of the others current again."""
    fleet = fleet_of(acts={1: ["red"], 2: ["red"], 3: ["red"]}, merge="green", per_repo=3)
    refs = pushed(fleet, 1, 2, 3)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    fleet.watch()
    repaired_main(fleet)
    for merged in (0, 1, 2, 3):
        fleet.watch()
        for ref in refs:
            fleet.forge.say(job_of(fleet, ref).result.commit, StatusState.SUCCESS)
        assert [job_of(fleet, ref).state for ref in refs].count(JobState.SUCCEEDED) == merged


@pytest.mark.parametrize("said", [StatusState.PENDING, None])
def test_a_red_main_that_is_judged_again_is_waited_for(fleet_of: Fleets, said: StatusState | None) -> None:
    """Somebody pushed what may repair it, and CI has not spoken about that yet: still no corrective turn."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green")
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(fleet.forge.repositories["acme/shop"].squash("Break the build"), StatusState.FAILURE)
    fleet.watch()
    hopeful = fleet.forge.repositories["acme/shop"].squash("Repair the build")
    if said is not None:
        fleet.forge.say(hopeful, said)
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.WAITING, 0)


@pytest.mark.parametrize("red", [True, False])
def test_a_branch_that_is_never_brought_up_to_date_is_a_persons(fleet_of: Fleets, *, red: bool) -> None:
    """A forge that says that it is at it, and never does it, holds the repository's place for some hours."""
    fleet = fleet_of(acts={1: ["red"]} if red else {}, merge="green", per_repo=2)
    (ref,) = pushed(fleet, 1)
    if red:
        fleet.forge.say(tip(fleet), StatusState.FAILURE)
    repaired_main(fleet)
    fleet.mishaps.lasting["bring_up_to_date"] = lambda: ForgeUnreachableError("it is at it")
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.clock.forward(7300)
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, "it is at it" in job.reason) == (JobState.ESCALATED, True)


def test_a_branch_is_known_as_ours_although_the_process_died_that_brought_it_up(fleet_of: Fleets) -> None:
    """Between the forge's step and ours: its new head is judged, and nobody is asked who pushed it."""
    fleet = fleet_of(merge="green", per_repo=2)
    fleet.forge.judges_updates = False
    (ref,) = pushed(fleet, 1)
    repaired_main(fleet)
    fleet.mishaps.plan(Mishap(error=lambda: RuntimeError("killed"), call="bring_up_to_date", after=True))
    for _ in range(2):
        fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, job.base_commit) == (JobState.WAITING, tip(fleet))
    fleet.forge.say(job.result.commit, StatusState.SUCCESS)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED


def test_an_issue_that_repairs_main_can_start_while_others_wait_for_that(fleet_of: Fleets) -> None:
    """The repository has one place, and what waits for a green main branch does not hold it."""
    fleet = fleet_of(acts={1: ["red"]}, merge="green", per_repo=1, allow_red=True)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    (waits,) = pushed(fleet, 1)
    fleet.watch()
    assert fleet.item(waits).aside.startswith("waits until the main branch is green")
    (repairs,) = pushed(fleet, 2)
    assert job_of(fleet, repairs).state is JobState.WAITING
    for _ in range(4):
        fleet.watch()
    assert job_of(fleet, repairs).state is JobState.SUCCEEDED
    fleet.forge.say(tip(fleet), StatusState.SUCCESS)
    fleet.watch()
    again = job_of(fleet, waits)
    assert (again.state, again.base_commit) == (JobState.WAITING, tip(fleet))
    fleet.forge.say(again.result.commit, StatusState.SUCCESS)
    fleet.watch()
    assert job_of(fleet, waits).state is JobState.SUCCEEDED


def test_work_that_waits_no_longer_holds_a_place_again(fleet_of: Fleets) -> None:
    """No new issue is started beside it; a forge that does not answer in between changes nothing."""
    fleet = fleet_of(acts={1: ["red"]}, per_repo=1)
    broken = tip(fleet)
    (waits,) = pushed(fleet, 1)
    fleet.forge.say(broken, StatusState.FAILURE)
    fleet.watch()
    fleet.mishaps.plan(Mishap(error=lambda: ForgeUnreachableError("it is away"), call="statuses"))
    fleet.watch()
    assert fleet.parts.backlog.busy() == {}
    fleet.forge.say(job_of(fleet, waits).result.commit, StatusState.FAILURE, context="ci/docs")
    fleet.watch()
    assert (job_of(fleet, waits).state, fleet.parts.backlog.busy()) == (
        JobState.QUEUED,
        {"github:acme/shop": 1},
    )
    other = fleet.forge.person_opens(2)
    fleet.poll()
    assert fleet.dispatch() == []
    assert fleet.item(other).state is BacklogState.READY


def test_a_main_branch_that_turns_red_costs_one_turn(fleet_of: Fleets) -> None:
    """Once one issue's work has shown it, the others wait until it is green; people hear of it once."""
    fleet = fleet_of(acts={number: ["red"] for number in (1, 2, 3)}, per_repo=1, merge="green")
    fleet.forge.judges_updates = False
    refs = [fleet.forge.person_opens(number) for number in (1, 2, 3)]
    for _ in range(4):
        fleet.poll()
        fleet.dispatch()
        fleet.forge.say(tip(fleet), StatusState.FAILURE)
        fleet.work()
        fleet.watch()
    assert [len(fleet.jobs(ref)) for ref in refs] == [1, 0, 0]
    assert fleet.fleet.kinds().count("main.red") == 1
    refused = fleet.item(refs[1]).refusal
    assert refused is not None
    assert refused.gate is Gate.MAIN_RED
    assert str(refs[0]) in refused.reason
    repaired_main(fleet)
    fleet.watch()
    assert fleet.fleet.kinds().count("main.green") == 1
    fleet.forge.say(job_of(fleet, refs[0]).result.commit, StatusState.SUCCESS)
    fleet.watch()
    assert len(fleet.dispatch()) == 1


def begun(fleet: ForgeFleet, *refs: IssueRef) -> list[int]:
    """After a round of ticks that begin work: the issues that have a job."""
    fleet.poll()
    fleet.dispatch()
    return [ref.number for ref in refs if fleet.jobs(ref)]


def test_a_main_branch_that_is_red_at_the_start_costs_no_turn(fleet_of: Fleets) -> None:
    """The forge says so before an issue is begun; people hear once, and work begins once it is green."""
    fleet = fleet_of(per_repo=2)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    refs = [fleet.forge.person_opens(number) for number in (1, 2)]
    for _ in range(5):
        assert begun(fleet, *refs) == []
    assert fleet.forge.calls_of("statuses") == 1
    fleet.clock.forward(61)
    assert begun(fleet, *refs) == []
    assert fleet.forge.calls_of("statuses") == 2
    refused = fleet.item(refs[0]).refusal
    assert refused is not None
    assert (refused.gate, "ci/build" in refused.reason) == (Gate.MAIN_RED, True)
    assert fleet.fleet.kinds().count("main.red") == 1
    repaired_main(fleet)
    fleet.clock.forward(61)
    begun(fleet, *refs)
    assert begun(fleet, *refs) == [1, 2]
    assert fleet.fleet.kinds().count("main.green") == 1
    assert fleet.forge.calls_of("statuses") == 3


def test_a_process_that_begins_anew_knows_what_was_seen_of_main(fleet_of: Fleets) -> None:
    """What is known is kept in the store: people hear of it once, and the forge is asked once."""
    fleet = fleet_of()
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    ref = fleet.forge.person_opens(1)
    assert begun(fleet, ref) == []
    fleet.restart()
    assert begun(fleet, ref) == []
    assert fleet.forge.calls_of("statuses") == 1
    assert fleet.fleet.kinds().count("main.red") == 1


@pytest.mark.parametrize("settings", [{"allow_red": True}, {"wait_for_green_main": False}, {"ci": False}])
def test_main_is_not_asked_for_where_a_red_one_keeps_nothing(
    fleet_of: Fleets, settings: dict[str, bool]
) -> None:
    """Work is begun, and not one request is sent for it."""
    fleet = fleet_of(**settings)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    assert begun(fleet, fleet.forge.person_opens(1)) == [1]
    assert fleet.forge.calls_of("statuses") == 0


@pytest.mark.parametrize("said", [StatusState.PENDING, StatusState.SUCCESS, None])
def test_a_main_branch_without_a_red_verdict_keeps_nobody(fleet_of: Fleets, said: StatusState | None) -> None:
    """CI is at it, has passed it, or nobody judges commits there."""
    fleet = fleet_of()
    if said is not None:
        fleet.forge.say(tip(fleet), said)
    assert begun(fleet, fleet.forge.person_opens(1)) == [1]


@pytest.mark.parametrize("call", ["newest", "statuses"])
@pytest.mark.parametrize("error", [ForgeUnreachableError, ForgeGoneError, ForgeRefusedError])
def test_a_forge_that_says_nothing_of_main_keeps_nobody(
    fleet_of: Fleets, call: str, error: type[ForgeError]
) -> None:
    """It is asked again after the interval."""
    fleet = fleet_of(per_repo=2)
    fleet.mishaps.lasting[call] = lambda: error("it is away")
    assert begun(fleet, fleet.forge.person_opens(1)) == [1]
    fleet.mishaps.lasting.clear()
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    fleet.clock.forward(61)
    assert begun(fleet, fleet.forge.person_opens(2)) == []


def test_a_red_main_is_forgotten_when_no_verdict_renews_it(fleet_of: Fleets) -> None:
    """A forge that is away does not make it green, and does not hold the repository for ever."""
    mains = fleet_of().parts.coalmine.mains
    assert mains.red("github:acme/shop", "1" * 40, reason="CI has failed") == "CI has failed"
    key = mains.keys.main_look("github:acme/shop")
    mains.redis.expire(key, 100)
    assert mains.silent("github:acme/shop") == "CI has failed"
    assert 0 < mains.redis.ttl(key) <= 100
    assert mains.silent("github:acme/other") == ""
    assert 0 < mains.redis.ttl(mains.keys.main_look("github:acme/other")) <= 3600


@pytest.mark.parametrize("said", [StatusState.PENDING, None])
def test_what_may_have_repaired_a_red_main_is_judged_first(
    fleet_of: Fleets, said: StatusState | None
) -> None:
    """Nothing is begun in between, and people hear of it once."""
    fleet = fleet_of()
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    ref = fleet.forge.person_opens(1)
    assert begun(fleet, ref) == []
    hopeful = fleet.forge.repositories["acme/shop"].squash("Repair the build")
    for state in (said, StatusState.FAILURE):
        if state is not None:
            fleet.forge.say(hopeful, state)
        fleet.clock.forward(61)
        assert begun(fleet, ref) == []
    assert fleet.fleet.kinds().count("main.red") == 1


def test_people_hear_once_when_work_shows_what_was_seen_of_main(fleet_of: Fleets) -> None:
    """An issue was begun before main broke; a look has found it red by the time that its work fails."""
    fleet = fleet_of(acts={1: ["red"]}, per_repo=2)
    (first,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    fleet.clock.forward(61)
    other = fleet.forge.person_opens(2)
    assert begun(fleet, other) == []
    fleet.watch()
    assert fleet.item(first).aside
    assert fleet.fleet.kinds().count("main.red") == 1
    fleet.clock.forward(61)
    repaired_main(fleet)
    fleet.watch()
    assert begun(fleet, other) == [2]
    assert fleet.fleet.kinds().count("main.green") == 1


def test_only_so_many_jobs_wait_without_a_place(fleet_of: Fleets) -> None:
    """A main branch that stays red does not have the whole backlog worked on."""
    acts = {number: ["red"] for number in range(1, 9)}
    fleet = fleet_of(acts=acts, per_repo=1, waiting_per_repo=2, allow_red=True)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    refs = [fleet.forge.person_opens(number) for number in range(1, 9)]
    for _ in range(8):
        fleet.poll()
        fleet.dispatch()
        fleet.work()
        fleet.watch()
    begun = [ref for ref in refs if fleet.jobs(ref)]
    assert len(begun) == 3
    assert [fleet.item(ref).aside != "" for ref in begun] == [True, True, False]


def test_work_that_waits_for_people_keeps_no_other_from_being_merged(fleet_of: Fleets) -> None:
    """It was brought up to date and needs a review now; the next green branch goes first."""
    fleet = fleet_of(merge="green", per_repo=2)
    fleet.forge.judges_updates = False
    first, second = pushed(fleet, 1, 2)
    repaired_main(fleet)
    fleet.watch()
    brought_up = next(ref for ref in (first, second) if job_of(fleet, ref).base_commit == tip(fleet))
    (other,) = {first, second} - {brought_up}
    commit = job_of(fleet, brought_up).result.commit
    fleet.forge.say(commit, StatusState.SUCCESS)
    fleet.forge.say(commit, StatusState.PENDING, context="license/cla")
    fleet.forge.required["main"] = ("ci/build", "license/cla")
    fleet.forge.say(job_of(fleet, other).result.commit, StatusState.SUCCESS, context="license/cla")
    for _ in range(3):
        fleet.watch()
        for context in ("ci/build", "license/cla"):
            fleet.forge.say(job_of(fleet, other).result.commit, StatusState.SUCCESS, context=context)
    states = job_of(fleet, other).state, job_of(fleet, brought_up).state
    assert states == (JobState.SUCCEEDED, JobState.WAITING)


def test_an_end_takes_the_red_main_branch_off_its_issue(fleet_of: Fleets) -> None:
    """Else one that is started again shuts its repository, and people never hear that it is green."""
    fleet = fleet_of(acts={1: ["red"]})
    (ref,) = pushed(fleet, 1)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    fleet.watch()
    assert fleet.parts.backlog.red_mains() == {"github:acme/shop": str(ref)}
    fleet.clock.forward(DAY)
    fleet.watch()
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.ESCALATED
    assert not fleet.item(ref).main_red
    assert fleet.fleet.kinds().count("main.green") == 1


def test_a_red_main_branch_is_known_although_too_many_stand_aside(fleet_of: Fleets) -> None:
    """The mark and its event are about the main branch, and not about a place."""
    fleet = fleet_of(acts={1: ["red"], 2: ["red"]}, waiting_per_repo=1, per_repo=2)
    refs = pushed(fleet, 1, 2)
    fleet.forge.say(tip(fleet), StatusState.FAILURE)
    for _ in range(2):
        fleet.watch()
    assert [fleet.item(ref).main_red for ref in refs] == [True, True]
    assert sorted(fleet.item(ref).aside != "" for ref in refs) == [False, True]
    assert fleet.fleet.kinds().count("main.red") == 1
    fleet.forge.say(repaired_main(fleet), StatusState.SUCCESS)
    for _ in range(3):
        fleet.watch()
    assert fleet.parts.backlog.red_mains() == {}
    assert fleet.fleet.kinds().count("main.green") == 1
