"""Pushed work through the real watcher: each row of the table, and what the forge is asked on the way."""

from collections.abc import Callable

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.events import FORGE_TOKEN_ACCEPTED, FORGE_TOKEN_REFUSED
from routing.forges.commit_status import StatusState
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeError,
    ForgeGoneError,
    ForgeHeldError,
    ForgeInvalidError,
    ForgeOutcomeUnknownError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from tasks.settings.issue_settings import IssueSettings, WatchSettings
from tests.fakes.mishaps import ANY, Mishap, Mishaps, ProcessDiedError
from tests.fleets.forge_fleet import ForgeFleet

Fleets = Callable[..., ForgeFleet]

LONG = 100_000.0


@pytest.fixture
def fleet_of(redis_client: redis.Redis) -> Fleets:
    """Makes the test's fleet."""
    return lambda **changes: ForgeFleet(redis_client, **changes)


def pushed(fleet: ForgeFleet, number: int = 1, *, repo: str = "acme/shop") -> IssueRef:
    """An issue whose job has pushed what the test says it does."""
    ref = fleet.forge.person_opens(number, repo=repo)
    fleet.poll()
    fleet.dispatch()
    fleet.work()
    return ref


def job_of(fleet: ForgeFleet, ref: IssueRef) -> Job:
    """Its only job."""
    (job,) = fleet.jobs(ref)
    return job


def asked_about(fleet: ForgeFleet, commit: str) -> int:
    """How often CI's word on a commit was asked for."""
    return sum(name == "statuses" and given[1] == commit for name, given in fleet.forge.calls)


def test_green_is_success(fleet_of: Fleets) -> None:
    """The job succeeds, the issue is closed, and the slot is free."""
    fleet = fleet_of()
    ref = pushed(fleet)
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.SUCCEEDED, BacklogState.COMPLETED)
    assert fleet.forge.issues[ref].state == "closed"
    assert fleet.forge.changes[0].branch == job_of(fleet, ref).branch


def test_a_forge_without_ci_is_done_with_the_push(fleet_of: Fleets) -> None:
    """Nobody is asked what nobody says."""
    fleet = fleet_of(acts={1: ["silent"]}, ci=False)
    ref = pushed(fleet)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED
    assert "CI: there is none" in fleet.forge.checklists(ref)[0]


def test_red_is_repaired_and_a_judged_commit_is_not_asked_about_again(fleet_of: Fleets) -> None:
    """Until a new commit is pushed, the forge is not asked for CI."""
    fleet = fleet_of(acts={1: ["red", "silent"]})
    ref = pushed(fleet)
    first = job_of(fleet, ref).result.commit
    fleet.watch()
    sent_back = job_of(fleet, ref)
    assert (sent_back.state, sent_back.fix_forwards, sent_back.judged) == (JobState.QUEUED, 1, (first,))
    for _ in range(3):
        fleet.watch()
    fleet.work()
    for _ in range(3):
        fleet.watch()
    assert asked_about(fleet, first) == 1
    assert asked_about(fleet, job_of(fleet, ref).result.commit) == 3
    assert "fix-forwards (corrective turns): 1 of 5" in fleet.forge.checklists(ref)[0]


def test_red_to_the_last_turn_is_frozen(fleet_of: Fleets) -> None:
    """After as many corrective turns as there may be; a person is asked."""
    fleet = fleet_of(acts={1: ["red"] * 9}, settings=IssueSettings(watch=WatchSettings(fix_forwards=2)))
    ref = pushed(fleet)
    fleet.until_quiet()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.ESCALATED, 2)
    assert fleet.item(ref).state is BacklogState.FROZEN
    assert fleet.signals(job_of(fleet, ref)).count("ci_red") == 3
    assert "frozen" in fleet.signals(job_of(fleet, ref))
    assert "2 of 2 corrective turns" in fleet.forge.checklists(ref)[0]


def test_red_too_late_is_frozen(fleet_of: Fleets) -> None:
    """No corrective turn is begun an hour after the first push."""
    fleet = fleet_of(acts={1: ["red", "red"]})
    ref = pushed(fleet)
    fleet.watch()
    fleet.work()
    fleet.clock.forward(3600)
    fleet.watch()
    assert fleet.item(ref).state is BacklogState.FROZEN
    assert "3600 s have passed" in job_of(fleet, ref).reason


def test_a_retry_by_a_person_has_its_own_hour(fleet_of: Fleets) -> None:
    """What an earlier run took is not held against it, and the issue is in progress again."""
    fleet = fleet_of(
        acts={1: ["red", "red", "green"]}, settings=IssueSettings(watch=WatchSettings(fix_forwards=1))
    )
    ref = pushed(fleet)
    fleet.watch()
    fleet.clock.forward(3601)
    fleet.work()
    fleet.watch()
    assert fleet.item(ref).state is BacklogState.FROZEN
    fleet.acts[1] = ["red", "green"]
    fleet.hands.app.jobs.retry(job_of(fleet, ref).id, by="ann")
    fleet.work()
    fleet.watch()
    assert (job_of(fleet, ref).state, job_of(fleet, ref).fix_forwards) == (JobState.QUEUED, 1)
    fleet.work()
    fleet.forge.mishaps.lasting["close"] = lambda: ForgeUnreachableError("wait")
    fleet.watch()
    fleet.forge.mishaps.lasting.clear()
    fleet.until_quiet()
    assert (job_of(fleet, ref).state, fleet.forge.issues[ref].state) == (JobState.SUCCEEDED, "closed")


def test_silence_is_waited_for_and_then_reported(fleet_of: Fleets) -> None:
    """No verdict in two hours is nobody's fault, and a person looks."""
    fleet = fleet_of(acts={1: ["silent"]})
    ref = pushed(fleet)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    assert "- [~] CI" in fleet.forge.checklists(ref)[0]
    fleet.clock.forward(LONG)
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.ESCALATED, BacklogState.ESCALATED)
    assert fleet.signals(job_of(fleet, ref)) == ["no_verdict"]


@pytest.mark.parametrize(
    ("merges", "words"), [(True, "deployed: merged when CI is green"), (False, "a merge is left to people")]
)
def test_the_checklist_says_who_will_merge(fleet_of: Fleets, words: str, *, merges: bool) -> None:
    """While CI is awaited: nobody is to merge by hand what is merged without them."""
    fleet = fleet_of(acts={1: ["silent"]}, merge="green" if merges else "never")
    ref = pushed(fleet)
    fleet.watch()
    assert words in fleet.forge.checklists(ref)[0]


@pytest.mark.parametrize("opened", [False, True], ids=["no change request", "a change request"])
def test_a_forge_that_stays_away_ends_the_wait_too(fleet_of: Fleets, *, opened: bool) -> None:
    """Whatever the last call was; the issue shows the end when the forge is back."""
    fleet = fleet_of(acts={1: ["silent"]})
    ref = pushed(fleet)
    if opened:
        fleet.watch()
    fleet.forge.mishaps = Mishaps()
    fleet.forge.mishaps.lasting[ANY] = lambda: ForgeUnreachableError("no answer")
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.clock.forward(LONG)
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.ESCALATED, BacklogState.ESCALATED)
    fleet.forge.mishaps.lasting.clear()
    fleet.watch()
    assert "ready-for-human" in fleet.forge.issues[ref].labels


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("words", ["422, head is invalid", "422, no commits between main and it"])
def test_a_change_that_is_refused_after_a_push_is_asked_for_again(
    fleet_of: Fleets, words: str, times: int
) -> None:
    """A forge's copies know the branch a moment later; green CI alone closes no issue."""
    fleet = fleet_of(acts={1: ["silent"]})
    fleet.mishaps.plan(
        *(
            Mishap(call="open_change", nth=one + 1, error=lambda: ForgeInvalidError(words))
            for one in range(times)
        )
    )
    ref = pushed(fleet)
    fleet.watch()
    fleet.forge.say(job_of(fleet, ref).result.commit, StatusState.SUCCESS)
    for _ in range(times):
        assert job_of(fleet, ref).state is JobState.WAITING
        fleet.clock.forward(60)
        fleet.watch()
    assert (job_of(fleet, ref).state, len(fleet.forge.changes)) == (JobState.SUCCEEDED, 1)


def test_work_that_is_on_main_already_needs_no_change(fleet_of: Fleets) -> None:
    """Somebody merged it before it could be requested: there are no commits between."""
    fleet = fleet_of(acts={1: ["silent"]})
    fleet.mishaps.lasting["open_change"] = lambda: ForgeInvalidError("422, no commits between main and it")
    ref = pushed(fleet)
    fleet.forge.repositories["acme/shop"].merge(job_of(fleet, ref).result.commit, "Merge it")
    fleet.watch()
    fleet.forge.say(job_of(fleet, ref).result.commit, StatusState.SUCCESS)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED


def test_tries_at_a_change_are_spaced(fleet_of: Fleets) -> None:
    """Not one for each tick."""
    fleet = fleet_of(acts={1: ["silent"]})
    fleet.mishaps.lasting["open_change"] = lambda: ForgeInvalidError("422")
    pushed(fleet)
    for _ in range(60):
        fleet.watch()
        fleet.clock.forward(1)
    assert fleet.forge.calls_of("open_change") == 5  # at 0, 2, 6, 14 and 30 s


def test_a_change_that_stays_invalid_is_left_to_a_person_with_the_forges_words(fleet_of: Fleets) -> None:
    """After ten minutes, and not as a forge that could not be reached."""
    fleet = fleet_of(acts={1: ["silent"]})
    fleet.mishaps.lasting["open_change"] = lambda: ForgeInvalidError("422, base is invalid")
    ref = pushed(fleet)
    fleet.watch()
    fleet.clock.forward(601)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.ESCALATED
    assert "422, base is invalid" in job_of(fleet, ref).reason
    assert fleet.signals(job_of(fleet, ref))[-1] == "setup"


@pytest.mark.parametrize("call", ["statuses", "open_change"])
def test_a_token_that_ends_after_the_push_is_waited_for_and_notified_once(
    fleet_of: Fleets, call: str
) -> None:
    """Longer than for CI; then CI has its whole time."""
    fleet = fleet_of(acts={1: ["silent"]})
    ref = pushed(fleet)
    if call == "statuses":
        fleet.watch()
    fleet.mishaps.lasting[call] = lambda: ForgeTokenError("401, bad credentials")
    for _ in range(2):
        fleet.watch()
        fleet.clock.forward(LONG)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    assert fleet.hands.kinds().count(FORGE_TOKEN_REFUSED) == 1
    fleet.mishaps.lasting.clear()
    fleet.clock.forward(61)
    fleet.watch()
    assert fleet.hands.kinds().count(FORGE_TOKEN_ACCEPTED) == 1
    fleet.forge.say(job_of(fleet, ref).result.commit, StatusState.SUCCESS)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED


@pytest.mark.parametrize("error", [ForgeUnreachableError, ForgeTokenError])
def test_a_merge_that_may_succeed_later_is_not_tried_without_end(
    fleet_of: Fleets, error: type[ForgeError]
) -> None:
    """A person is asked when the time for it is over; a token has more of it."""
    fleet = fleet_of(merge="green")
    fleet.mishaps.lasting["merge"] = lambda: error("not now")
    ref = pushed(fleet)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.clock.forward(LONG if error is ForgeUnreachableError else 259_201)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.ESCALATED
    assert "green, but not merged within" in job_of(fleet, ref).reason


@pytest.mark.parametrize("has_ci", [False, True])
def test_nothing_is_done_while_its_change_request_is_refused(fleet_of: Fleets, *, has_ci: bool) -> None:
    """A token may be replaced; if it is not, a person hears what is missing, and no version is blamed."""
    fleet = fleet_of(ci=has_ci)
    fleet.mishaps.lasting["open_change"] = lambda: ForgeRefusedError("403")
    ref, other = pushed(fleet), fleet.forge.person_opens(2)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.mishaps.lasting.clear()
    fleet.clock.forward(2)
    fleet.watch()
    assert (job_of(fleet, ref).state, len(fleet.forge.changes)) == (JobState.SUCCEEDED, 1)
    fleet.mishaps.lasting["open_change"] = lambda: ForgeRefusedError("403")
    fleet.round()
    fleet.clock.forward(LONG)
    fleet.watch()
    assert "change request" in job_of(fleet, other).reason
    assert fleet.signals(job_of(fleet, other))[-1] == "authentication"


def test_a_change_whose_answer_was_lost_is_not_opened_twice(fleet_of: Fleets) -> None:
    """It is there when it is asked for again."""
    fleet = fleet_of()
    fleet.mishaps.plan(Mishap(call="open_change", after=True, error=lambda: ForgeOutcomeUnknownError("lost")))
    ref = pushed(fleet)
    fleet.watch()
    fleet.clock.forward(2)
    fleet.watch()
    assert (job_of(fleet, ref).state, len(fleet.forge.changes)) == (JobState.SUCCEEDED, 1)


@pytest.mark.parametrize("error", [ForgeRefusedError, ForgeInvalidError, ForgeGoneError])
def test_a_merge_that_is_refused_is_left_to_a_person(fleet_of: Fleets, error: type[ForgeError]) -> None:
    """Green, pushed, and said so; whatever the forge has against it, it is not asked for ever."""
    fleet = fleet_of(merge="green")
    fleet.mishaps.lasting["merge"] = lambda: error("405, branch protection")
    ref = pushed(fleet)
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.item(ref).state) == (JobState.ESCALATED, BacklogState.ESCALATED)
    assert "green, but not merged: 405" in job_of(fleet, ref).reason
    assert "ci_green" in fleet.signals(job_of(fleet, ref))


def test_a_merge_whose_answer_was_lost_is_found(fleet_of: Fleets) -> None:
    """It is not made again, and is a fact of the job."""
    fleet = fleet_of(merge="green")
    fleet.mishaps.plan(Mishap(call="merge", after=True, error=lambda: ForgeOutcomeUnknownError("lost")))
    ref = pushed(fleet)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED
    assert fleet.signals(job_of(fleet, ref)) == ["ci_green", "merged"]
    assert fleet.forge.calls_of("merge") == 1


@pytest.mark.parametrize("error", [ForgeUnreachableError("away"), KeyError("a mistake of ours")])
def test_what_one_job_meets_stops_no_other(fleet_of: Fleets, error: Exception) -> None:
    """Each is looked at by itself, whatever is raised for the one before."""
    fleet = fleet_of(per_repo=2, judge_merges=False)
    refs = [pushed(fleet, number) for number in (1, 2)]
    fleet.mishaps.plan(Mishap(call="statuses", error=lambda: error))
    fleet.watch()
    states = sorted(job_of(fleet, ref).state for ref in refs)
    assert states == [JobState.SUCCEEDED, JobState.WAITING]
    fleet.watch()
    assert [job_of(fleet, ref).state for ref in refs] == [JobState.SUCCEEDED] * 2


def test_a_job_of_a_forge_that_is_not_served_waits(fleet_of: Fleets) -> None:
    """Until it is again: a setting that is missing for a day loses nothing."""
    fleet = fleet_of()
    ref = pushed(fleet)
    sites = dict(fleet.parts.sites)
    fleet.parts.sites.clear()  # type: ignore[attr-defined]
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.parts.sites.update(sites)  # type: ignore[attr-defined]
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.SUCCEEDED


def test_a_forge_that_stays_out_of_the_settings_ends_the_wait(fleet_of: Fleets) -> None:
    """A person is asked, and no version is blamed."""
    fleet = fleet_of()
    ref = pushed(fleet)
    fleet.parts.sites.clear()  # type: ignore[attr-defined]
    fleet.clock.forward(LONG)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.ESCALATED
    assert "not among the settings" in job_of(fleet, ref).reason
    assert fleet.signals(job_of(fleet, ref)) == ["unreachable"]


def test_ci_is_not_asked_about_work_that_is_being_repaired(fleet_of: Fleets) -> None:
    """A job whose turn runs is shown, and nothing is decided about it."""
    fleet = fleet_of(acts={1: ["red"]})
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    asked = fleet.forge.calls_of("statuses")  # about the main branch
    fleet.hands.claim(fleet.jobs(ref)[0].id)
    fleet.watch()
    assert fleet.jobs(ref)[0].state is JobState.RUNNING
    assert fleet.forge.calls_of("statuses") == asked
    assert "- [~] tests red" in fleet.forge.checklists(ref)[0]


@pytest.mark.parametrize("act", ["fails", "lost"])
def test_issue_whose_job_failed_looks_the_same_whether_worker_or_sweep_decided(
    fleet_of: Fleets, act: str
) -> None:
    """After the last attempt, by the worker or by the sweep: escalated, labelled, and its slot is free."""
    fleet = fleet_of(acts={1: ["fails"]})
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    (job,) = fleet.dispatch()
    if act == "lost":
        for _ in range(3):
            fleet.hands.claim(job, lease_seconds=5)
            fleet.clock.forward(6)
            fleet.hands.app.jobs.reap(at=fleet.clock())
    else:
        fleet.work()
    fleet.watch()
    assert fleet.item(ref).state is BacklogState.ESCALATED
    assert list(fleet.forge.issues[ref].labels) == ["coalmine", "ready-for-human"]
    assert fleet.hands.app.job_store.active_on([str(ref)])[0][0] == ""


@pytest.mark.parametrize("by", ["job", "issue"])
def test_a_job_that_is_cancelled_while_a_tick_is_at_others_opens_no_request(
    fleet_of: Fleets, by: str
) -> None:
    """What the tick has read long ago is looked at again, and so is the issue."""
    fleet = fleet_of(per_repo=2)
    refs = [fleet.forge.person_opens(number) for number in (1, 2)]
    fleet.poll()
    while fleet.dispatch():
        pass
    fleet.work()
    branches = {job_of(fleet, ref).branch: ref for ref in refs}

    def meanwhile() -> ForgeError:
        of = next(str(given[1]) for name, given in fleet.forge.calls if name == "open_change")
        (other,) = set(refs) - {branches[of]}
        if by == "job":
            fleet.hands.app.jobs.cancel(job_of(fleet, other).id, by="ann", at=fleet.clock())
        else:
            fleet.forge.person_closes(other)
        return ForgeUnreachableError("it is slow")

    fleet.mishaps.plan(Mishap(error=meanwhile, call="open_change"))
    fleet.parts.watcher.tick()
    assert fleet.forge.calls_of("open_change") == 1
    assert sorted(job_of(fleet, ref).state for ref in refs) == [JobState.CANCELLED, JobState.WAITING]


@pytest.mark.parametrize("error", [ForgeRefusedError, ForgeInvalidError])
@pytest.mark.parametrize("red", [True, False])
def test_an_issue_that_cannot_be_read_before_a_step_goes_to_a_person(
    fleet_of: Fleets, error: type[ForgeError], *, red: bool
) -> None:
    """A token that may not see issues any more: asked again for two hours, and no longer."""
    fleet = fleet_of(acts={1: ["red"]} if red else {}, merge="green")
    ref = pushed(fleet)
    fleet.forge.person_comments(ref, "hello")
    fleet.mishaps.lasting["read_issue"] = lambda: error("you may not see that")
    fleet.watch()
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.clock.forward(7200)
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, "you may not see that" in job.reason) == (JobState.ESCALATED, True)


def test_a_merge_queue_that_gets_on_is_waited_for(fleet_of: Fleets) -> None:
    """However long it is; one that stands still for two hours is a person's."""
    fleet = fleet_of(merge="green")
    fleet.forge.has_queue, fleet.forge.queue = True, [901, 902, 903]
    ref = pushed(fleet)
    for _ in range(3):
        fleet.watch()
        fleet.clock.forward(6000)
        fleet.forge.queue.pop(0)
    fleet.watch()
    assert job_of(fleet, ref).state is JobState.WAITING
    fleet.clock.forward(7200)
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, "it is in the queue" in job.reason) == (JobState.ESCALATED, True)


@pytest.mark.parametrize("by", ["job", "label"])
def test_a_cancelled_job_does_not_stay_in_the_merge_queue(fleet_of: Fleets, by: str) -> None:
    """Else it would be merged although nobody wants it."""
    fleet = fleet_of(merge="green")
    fleet.forge.has_queue, fleet.forge.queue = True, [901]
    ref = pushed(fleet)
    fleet.watch()
    number = fleet.forge.changes[0].number
    assert fleet.forge.queue == [901, number]
    if by == "job":
        fleet.hands.app.jobs.cancel(job_of(fleet, ref).id, by="ann", at=fleet.clock())
    else:
        fleet.forge.unlabel(ref, "coalmine")
    fleet.watch()
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.forge.queue) == (JobState.CANCELLED, [901])


def test_work_on_what_was_taken_out_of_its_branch_is_a_persons_at_once(fleet_of: Fleets) -> None:
    """A request would bring that back: it is not asked for again, and the version is not blamed."""
    fleet = fleet_of(acts={1: ["silent"]})
    ref = pushed(fleet)
    gone = ForgeBaseGoneError("coalmine/1", target="main", commit="1" * 40)
    fleet.mishaps.plan(Mishap(error=lambda: gone, call="open_change"))
    fleet.watch()
    job = job_of(fleet, ref)
    assert (job.state, str(gone) in job.reason) == (JobState.ESCALATED, True)
    assert fleet.forge.calls_of("open_change") == 1


def test_a_refused_request_is_tried_each_minute_and_its_words_are_tame(fleet_of: Fleets) -> None:
    """However often it was refused; what is noted of the forge's words is short and commands no terminal."""
    fleet = fleet_of()
    ref = pushed(fleet)
    fleet.mishaps.lasting["open_change"] = lambda: ForgeInvalidError(f"422: \x1b[31m{'no ' * 500}")
    for tries in range(1, 11):
        fleet.watch()
        assert fleet.forge.calls_of("open_change") == tries
        fleet.clock.forward(61)
    said = fleet.parts.runs.read(job_of(fleet, ref).id).change_said
    assert "422" in said
    assert said.isprintable()
    assert len(said) <= 300


class QueueOfADeadProcess(list[int | None]):
    """A merge queue that takes a change, and whose answer nobody is there to hear."""

    def append(self, number: int | None) -> None:
        """It is in."""
        super().append(number)
        raise ProcessDiedError


def test_a_merge_that_was_queued_by_a_process_that_died_is_withdrawn(fleet_of: Fleets) -> None:
    """Nobody but the forge knows that it is in the queue, when people take the label off."""
    fleet = fleet_of(merge="green")
    fleet.forge.has_queue, fleet.forge.queue = True, QueueOfADeadProcess([901])
    ref = pushed(fleet)
    fleet.watch()
    assert fleet.deaths == 1
    assert fleet.forge.queue == [901, fleet.forge.changes[0].number]
    fleet.forge.unlabel(ref, "coalmine")
    fleet.clock.forward(60)
    fleet.watch()
    fleet.watch()
    assert (job_of(fleet, ref).state, fleet.forge.queue) == (JobState.CANCELLED, [901])


@pytest.mark.parametrize("late", [False, True])
def test_a_merge_that_a_persons_checkout_is_in_the_way_of_waits_for_them(
    fleet_of: Fleets, *, late: bool
) -> None:
    """It is shown, and holds nobody else up; after two hours a person is asked."""
    fleet = fleet_of(merge="green")
    ref = pushed(fleet)
    fleet.mishaps.lasting["merge"] = lambda: ForgeHeldError("main is checked out with changes in cart.txt")
    for _ in range(2):
        fleet.watch()
    assert (job_of(fleet, ref).state, fleet.parts.backlog.busy()) == (JobState.WAITING, {})
    assert "changes in cart.txt" in fleet.forge.checklists(ref)[0]
    if late:
        fleet.clock.forward(7200)
    else:
        fleet.mishaps.lasting.clear()
    fleet.watch()
    job = job_of(fleet, ref)
    assert job.state is (JobState.ESCALATED if late else JobState.SUCCEEDED)
    assert ("changes in cart.txt" in job.reason) is late
