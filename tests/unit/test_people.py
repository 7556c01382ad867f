"""People outrank the fleet: what they close, take off, assign, merge or reopen, in every state of the job."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from routing.backlog.item import BacklogState
from routing.forges.commit_status import CombinedStatus, StatusState
from routing.forges.errors import ForgeGoneError, ForgeOutcomeUnknownError, ForgeUnreachableError
from routing.forges.forge import Access, Deed
from routing.issues.issue import IssueRef
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind
from routing.jobs.transitions import after_lost_worker
from routing.jobs.turn import FinishedTurn
from routing.store.backlog.delivery_store import NewDelivery
from tests.fakes.memory_forge import OWN_LOGIN, MemoryForge
from tests.fleets.forge_fleet import ForgeFleet

STAGES = ("queued", "running", "waiting", "corrective queued", "corrective running")
Doing = Callable[[ForgeFleet, IssueRef], object]


@pytest.fixture
def fleet(redis_client: redis.Redis) -> ForgeFleet:
    """A fleet that merges what is green, and whose CI needs some time."""
    return ForgeFleet(redis_client, merge="green", ci_seconds=1e9)


def brought_to(fleet: ForgeFleet, stage: str) -> tuple[IssueRef, Claim | None]:
    """An issue whose job is at a stage, and the claim of its worker while it runs."""
    ref = fleet.forge.person_opens(1)
    fleet.poll()
    fleet.dispatch()
    claim = None
    if stage != "queued":
        claim = fleet.hands.claim(job_of(fleet).id)
    if stage in STAGES[2:]:
        assert claim is not None
        fleet.act_on(claim, "red" if "corrective" in stage else "green")
        if "corrective" in stage:
            fleet.judging.pop()[1]()
        fleet.watch()
        claim = None
    if stage == "corrective running":
        claim = fleet.hands.claim(job_of(fleet).id)
    return ref, claim


def job_of(fleet: ForgeFleet) -> Job:
    """The newest job."""
    return fleet.jobs()[-1]


def looked(fleet: ForgeFleet, claim: Claim | None) -> Job:
    """The job some seconds and one look later; its worker, if it has one, ends it when that is asked for."""
    fleet.clock.forward(6)
    fleet.poll()
    fleet.watch()
    if claim is not None:
        jobs = fleet.hands.app.job_store
        (lease,) = jobs.renew([(claim.job.id, claim.fence)], extend_seconds=30)
        assert lease.held
        assert lease.stop
        fact = fleet.hands.fact(SignalKind.CANCELLED)
        result = JobResult(ended_by=Ending.CANCEL)
        fleet.hands.app.jobs.end(claim, JobState.CANCELLED, reason="cancelled", result=result, signals=[fact])
        fleet.watch()
    fleet.watch()
    return job_of(fleet)


def closes(fleet: ForgeFleet, ref: IssueRef) -> None:
    """As not planned, or as a duplicate."""
    fleet.forge.person_closes(ref)


def takes_the_label_off(fleet: ForgeFleet, ref: IssueRef) -> None:
    """It is not for agents any longer."""
    fleet.forge.unlabel(ref, "coalmine")


def wants_again(fleet: ForgeFleet, ref: IssueRef) -> None:
    """Opens it again, and puts the label on again."""
    fleet.forge.person_reopens(ref)
    fleet.forge.label(ref, "coalmine")


def deletes(fleet: ForgeFleet, ref: IssueRef) -> None:
    """The forge knows it no longer."""
    del fleet.forge.issues[ref]


def drops_the_request(fleet: ForgeFleet, _: IssueRef) -> None:
    """The change is closed without a merge."""
    fleet.forge.person_drops(job_of(fleet).branch)


def merges(fleet: ForgeFleet, _: IssueRef) -> None:
    """By hand, whatever CI says later."""
    fleet.forge.person_merges(job_of(fleet).branch)


def merges_and_closes(fleet: ForgeFleet, ref: IssueRef) -> None:
    """As a forge does with the issue that a merged change names."""
    merges(fleet, ref)
    closes(fleet, ref)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("deed", [closes, takes_the_label_off, deletes])
def test_work_on_an_issue_that_nobody_wants_ends(fleet: ForgeFleet, stage: str, deed: Doing) -> None:
    """In every state: nothing more is run, opened or merged, no person is asked, and the place is free."""
    ref, claim = brought_to(fleet, stage)
    deed(fleet, ref)
    job = looked(fleet, claim)
    assert (job.state, job.reason.startswith("cancelled, as its issue")) == (
        (JobState.CANCELLED, True) if deed is not takes_the_label_off else (JobState.CANCELLED, False)
    )
    assert fleet.hands.app.backlog_store.working() == []
    for _, say in fleet.judging:
        say()
    fleet.rounds(2)
    assert len(fleet.jobs()) == 1
    assert not [one for one in fleet.forge.changes if one.merge_commit]
    if ref in fleet.forge.issues:
        assert "ready-for-human" not in fleet.forge.issues[ref].labels
        assert "agent-in-progress" not in fleet.forge.issues[ref].labels
    if stage in STAGES[2:]:
        assert f"kept on the branch {job.branch}" in job.reason


@pytest.mark.parametrize("stage", STAGES[2:])
def test_work_whose_request_is_closed_ends(fleet: ForgeFleet, stage: str) -> None:
    """It counts against its version; the issue is open still, so a person says whether it is tried again."""
    ref, claim = brought_to(fleet, stage)
    fleet.forge.dropper = "ann"
    drops_the_request(fleet, ref)
    job = looked(fleet, claim)
    assert (job.state, job.branch in job.reason) == (JobState.CANCELLED, True)
    assert "its change request was closed without a merge (by ann); " in job.reason
    assert "closed_unmerged" in fleet.signals(job)
    assert fleet.item(ref).state is BacklogState.ESCALATED
    assert "ready-for-human" in fleet.forge.issues[ref].labels
    for _, say in fleet.judging:
        say()
    fleet.rounds(2)
    assert (len(fleet.jobs()), len(fleet.forge.changes)) == (1, 1)


@pytest.mark.parametrize("deed", [merges, merges_and_closes])
@pytest.mark.parametrize("stage", STAGES[2:])
def test_work_that_a_person_merges_is_over(fleet: ForgeFleet, stage: str, deed: Doing) -> None:
    """Before CI has spoken, or against what it said: the job has succeeded, and its place is free."""
    ref, claim = brought_to(fleet, stage)
    deed(fleet, ref)
    job = looked(fleet, claim)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "its work is on the main branch")
    assert "merged" in fleet.signals(job)
    assert "cancelled" not in fleet.signals(job)
    assert fleet.item(ref).state is BacklogState.COMPLETED
    assert fleet.forge.issues[ref].state == "closed"
    assert fleet.hands.app.backlog_store.working() == []


@pytest.mark.parametrize("stage", STAGES)
def test_work_on_an_issue_that_is_assigned_to_another_ends(fleet: ForgeFleet, stage: str) -> None:
    """It is theirs now; the label of agents is still on it, so it waits for a person."""
    ref, claim = brought_to(fleet, stage)
    fleet.forge.issues[ref].assignees["bob"] = "ann"
    fleet.forge.label(ref, "seen")  # the forge's time of change moves
    job = looked(fleet, claim)
    assert (job.state, "now: bob" in job.reason) == (JobState.CANCELLED, True)
    assert fleet.item(ref).state is BacklogState.ESCALATED
    fleet.forge.unlabel(ref, "ready-for-human")
    fleet.rounds(2)
    assert len(fleet.jobs()) == 2


def test_an_assignment_from_before_the_start_ends_nothing(fleet: ForgeFleet) -> None:
    """Nor does one to the fleet itself."""
    ref = fleet.forge.person_opens(1)
    fleet.forge.issues[ref].assignees["bob"] = "ann"
    fleet.poll()
    fleet.dispatch()
    fleet.forge.issues[ref].assignees["coalmine-bot"] = "ann"
    fleet.clock.forward(700)
    fleet.poll()
    assert job_of(fleet).state is JobState.QUEUED


@pytest.mark.parametrize("off", [closes, takes_the_label_off])
@pytest.mark.parametrize("soon", [True, False], ids=["while it ends", "later"])
def test_what_is_wanted_again_begins_anew(fleet: ForgeFleet, off: Doing, *, soon: bool) -> None:
    """By another job, which says after which; also when people change their minds while the turn is ended."""
    ref, claim = brought_to(fleet, "corrective running")
    first = job_of(fleet)
    off(fleet, ref)
    if soon:
        fleet.poll()
        wants_again(fleet, ref)
    assert looked(fleet, claim).id == first.id
    if not soon:
        wants_again(fleet, ref)
    fleet.poll()
    fleet.dispatch()
    second = job_of(fleet)
    assert (second.id != first.id, second.state) == (True, JobState.QUEUED)
    assert f"Job {first.id} worked on it before (cancelled" in second.request.task
    assert f"on the branch {first.branch}" in second.request.task
    fleet.hands.claim(second.id)
    fleet.watch()
    assert f"after job `{first.id}`" in fleet.forge.checklists(ref)[-1]


def test_an_issue_is_read_before_its_change_is_merged(fleet: ForgeFleet) -> None:
    """No poll and no webhook came: what people closed is not merged all the same."""
    ref, _ = brought_to(fleet, "waiting")
    closes(fleet, ref)
    fleet.judging.pop()[1]()
    fleet.watch()
    assert job_of(fleet).state is JobState.CANCELLED
    assert not fleet.forge.calls_of("merge")


def test_nothing_is_decided_while_it_is_not_known_what_people_did(fleet: ForgeFleet) -> None:
    """A forge that does not answer is asked again before CI's word counts."""
    ref, _ = brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    fleet.mishaps.lasting["change_of_branch"] = lambda: ForgeUnreachableError("away")
    fleet.watch()
    assert job_of(fleet).state is JobState.WAITING
    drops_the_request(fleet, ref)
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert job_of(fleet).state is JobState.CANCELLED


def test_a_repository_that_cannot_be_seen_ends_no_work(fleet: ForgeFleet) -> None:
    """A token that may no longer see it gets the same answer as for an issue that was deleted."""
    ref, _ = brought_to(fleet, "running")
    site = fleet.parts.sites["github"]
    kept = fleet.forge.repositories.pop("acme/shop")
    issue = fleet.forge.issues.pop(ref)
    fleet.parts.collector.read(site, ref)
    assert job_of(fleet).cancel == ""
    fleet.forge.repositories["acme/shop"], fleet.forge.issues[ref] = kept, issue


def test_a_retried_job_opens_a_request_of_its_own(fleet: ForgeFleet) -> None:
    """The former one, which a person closed, does not end the new attempt."""
    ref, _ = brought_to(fleet, "waiting")
    drops_the_request(fleet, ref)
    job = looked(fleet, None)
    fleet.hands.app.jobs.retry(job.id, by="ann")
    fleet.clock.forward(10)
    fleet.watch()
    assert job_of(fleet).state is JobState.QUEUED
    fleet.act(job.id)
    fleet.watch()
    assert (job_of(fleet).state, len(fleet.forge.changes)) == (JobState.WAITING, 2)


def test_a_worker_that_is_lost_while_its_work_is_merged_ends_no_other_way(fleet: ForgeFleet) -> None:
    """The sweep ends the job as the person's merge says."""
    ref, _ = brought_to(fleet, "corrective running")
    merges(fleet, ref)
    fleet.clock.forward(6)
    fleet.watch()
    step = after_lost_worker(job_of(fleet), at=fleet.clock())
    assert (step.to, step.signals) == (JobState.SUCCEEDED, [])


@pytest.mark.parametrize("error", [ForgeUnreachableError, ForgeOutcomeUnknownError])
def test_a_merge_that_was_put_off_is_not_made_when_nobody_wants_it(
    fleet: ForgeFleet, error: type[ForgeUnreachableError]
) -> None:
    """The forge did not answer at the first try, so the job had been taken for its merge already."""
    ref, _ = brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    fleet.mishaps.lasting["merge"] = lambda: error("away")
    fleet.watch()
    assert job_of(fleet).state is JobState.WAITING
    closes(fleet, ref)
    fleet.poll()
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert job_of(fleet).state is JobState.CANCELLED
    assert not [one for one in fleet.forge.changes if one.merge_commit]


def test_a_job_whose_merge_was_put_off_can_be_cancelled(fleet: ForgeFleet) -> None:
    """It may be hours until the forge takes the merge: until the next try it is not too late."""
    brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    fleet.mishaps.lasting["merge"] = lambda: ForgeUnreachableError("away")
    fleet.watch()
    job = job_of(fleet)
    assert fleet.hands.app.jobs.cancel(job.id, by="ada", at=fleet.clock()).state is JobState.CANCELLED


@pytest.mark.parametrize("stage", STAGES[:2])
def test_work_that_was_not_pushed_is_kept_on_no_branch(fleet: ForgeFleet, stage: str) -> None:
    """Its worker says what it keeps of a turn; there is nothing else to look at."""
    ref, claim = brought_to(fleet, stage)
    closes(fleet, ref)
    assert looked(fleet, claim).reason == "cancelled, as its issue was closed"


def test_finished_work_that_waits_for_its_push_is_where_its_host_has_it(fleet: ForgeFleet) -> None:
    """A person who looks for it needs to know the machine."""
    ref, claim = brought_to(fleet, "running")
    assert claim is not None
    done = FinishedTurn(host="h1", clean=True, ended_by=Ending.RESULT)
    fleet.hands.spend(claim, finished=done.model_dump_json())
    fleet.hands.app.jobs.give_back(claim, UNCOUNTED, reason="the store was away")
    closes(fleet, ref)
    job = looked(fleet, None)
    where = f"its work is kept on the branch {job.branch} in its work tree on h1"
    assert (job.state, job.reason) == (JobState.CANCELLED, f"cancelled, as its issue was closed; {where}")


def test_an_assignment_that_is_only_spelt_otherwise_ends_nothing(
    fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of users are the same in capitals; so is our own."""
    ref = fleet.forge.person_opens(1)
    fleet.forge.issues[ref].assignees["bob"] = "ann"
    fleet.poll()
    fleet.dispatch()
    monkeypatch.setattr(type(fleet.forge), "own_login", lambda _: "Coalmine-Bot")
    del fleet.forge.issues[ref].assignees["bob"]
    fleet.forge.issues[ref].assignees.update({"Bob": "ann", "coalmine-BOT": "ann"})
    fleet.forge.label(ref, "seen")  # the forge's time of change moves
    fleet.clock.forward(700)
    fleet.poll()
    assert job_of(fleet).state is JobState.QUEUED
    fleet.forge.issues[ref].assignees["carl"] = "ann"
    fleet.forge.label(ref, "seen again")
    assert looked(fleet, None).state is JobState.CANCELLED


def test_an_issue_that_was_deleted_is_not_merged_for(fleet: ForgeFleet) -> None:
    """No poll has seen that yet; its repository is there to be seen."""
    ref, _ = brought_to(fleet, "waiting")
    deletes(fleet, ref)
    fleet.judging.pop()[1]()
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, fleet.forge.calls_of("merge")) == (JobState.CANCELLED, 0)
    assert job.reason.startswith("cancelled, as its issue is gone from the forge; ")


def test_an_issue_that_cannot_be_seen_holds_no_merge_up(
    fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its repository is hidden from the token, which says nothing of the issue."""
    brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    hidden = Access(readable=False, writable=False, note="404")
    monkeypatch.setattr(fleet.forge, "access", lambda _: hidden)
    fleet.mishaps.lasting["read_issue"] = lambda: ForgeGoneError("404")
    fleet.watch()
    assert job_of(fleet).state is JobState.SUCCEEDED


def test_a_job_of_a_persons_own_needs_no_label(fleet: ForgeFleet) -> None:
    """It is about an issue that agents have worked on before; the label was for that job."""
    ref, _ = brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    fleet.watch()
    first = job_of(fleet)
    takes_the_label_off(fleet, ref)
    own = fleet.hands.enqueue(repository=first.request.repository, issue=str(ref)).job
    fleet.act_on(fleet.hands.claim(own), "green")
    fleet.judging.pop()[1]()
    fleet.watch()
    assert fleet.hands.app.jobs.find(own).state is JobState.SUCCEEDED


def test_a_job_that_is_merged_at_this_moment_stops_no_poll(fleet: ForgeFleet) -> None:
    """It is too late for it; others are read all the same."""
    ref, _ = brought_to(fleet, "waiting")
    job = job_of(fleet)
    assert fleet.hands.app.job_store.land(job.id, job.fence)
    closes(fleet, ref)
    fleet.forge.person_opens(2)
    fleet.poll()
    assert (fleet.complaints, job_of(fleet).state) == ([], JobState.WAITING)
    assert len(fleet.forge.issues) == 2


@pytest.mark.parametrize("merges_now", [True, False], ids=["merge", "bring up to date"])
def test_a_request_that_is_closed_between_two_looks_is_left_alone(
    fleet: ForgeFleet, monkeypatch: pytest.MonkeyPatch, *, merges_now: bool
) -> None:
    """The watcher saw it open; the next tick sees what people did, and ends the job by that."""
    ref, _ = brought_to(fleet, "waiting")
    if not merges_now:
        fleet.forge.say(fleet.forge.repositories["acme/shop"].tip(), StatusState.FAILURE)
    fleet.judging.clear()
    commit = job_of(fleet).result.commit
    fleet.forge.say(commit, StatusState.SUCCESS if merges_now else StatusState.FAILURE)
    if not merges_now:
        repaired = fleet.forge.repositories["acme/shop"].squash("Repair the build")
        fleet.forge.say(repaired, StatusState.SUCCESS)
    statuses = type(fleet.forge).statuses

    def closed_meanwhile(forge: MemoryForge, *given: Any, **options: Any) -> CombinedStatus:
        drops_the_request(fleet, ref)
        return statuses(forge, *given, **options)

    monkeypatch.setattr(type(fleet.forge), "statuses", closed_meanwhile)
    fleet.watch()
    monkeypatch.undo()
    assert job_of(fleet).state is JobState.WAITING
    fleet.clock.forward(6)
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).result.commit) == (JobState.CANCELLED, commit)
    assert not [one for one in fleet.forge.changes if one.merge_commit]
    assert (fleet.forge.calls_of("merge"), fleet.forge.calls_of("bring_up_to_date")) == (0, 0)


def test_green_work_without_a_change_request_is_done(fleet: ForgeFleet) -> None:
    """There is nothing that could be merged."""
    brought_to(fleet, "waiting")
    fleet.judging.pop()[1]()
    fleet.forge.changes.clear()
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).reason) == (JobState.SUCCEEDED, "pushed, and CI is green")


def delivered(fleet: ForgeFleet, ref: IssueRef, *said: tuple[str, str]) -> None:
    """Deliveries came about an issue, each with an action and who did it, and the issue is read."""
    for number, (action, actor) in enumerate(said):
        hint = {"digest": f"d{number}", "delivery": f"d{number}", "event": "issues"}
        hint |= {"action": action, "actor": actor}
        fleet.fleet.app.deliveries.accept(
            NewDelivery(digest=f"d{number}", issue=str(ref), hint=hint, event={})
        )
    fleet.parts.collector.look()


@pytest.mark.parametrize(
    ("deed", "action"), [(closes, "closed"), (takes_the_label_off, "unlabeled"), (deletes, "deleted")]
)
def test_who_ended_the_work_is_said(fleet: ForgeFleet, deed: Doing, action: str) -> None:
    """By the delivery about it; what we did to the issue meanwhile names nobody."""
    ref, _ = brought_to(fleet, "waiting")
    deed(fleet, ref)
    delivered(fleet, ref, ("unlabeled", OWN_LOGIN), (action, "ann"))
    assert job_of(fleet).state is JobState.CANCELLED
    assert " (by ann); its work is kept" in job_of(fleet).reason
    fleet.watch()
    if ref in fleet.forge.issues:
        assert "(by ann)" in fleet.forge.checklists(ref)[-1]


def test_nobody_is_named_where_it_is_not_known(fleet: ForgeFleet) -> None:
    """Two people changed labels, and the deliveries of some forges do not say which."""
    ref, _ = brought_to(fleet, "waiting")
    takes_the_label_off(fleet, ref)
    delivered(fleet, ref, ("label_updated", "ann"), ("label_updated", "bob"), ("closed", "carl"))
    assert "(by" not in job_of(fleet).reason


@pytest.mark.parametrize(
    ("deed", "what"),
    [(closes, Deed.CLOSE), (takes_the_label_off, Deed.UNLABEL)],
    ids=["closed", "unlabelled"],
)
@pytest.mark.parametrize("way", ["a poll", "the look before the merge"])
def test_who_ended_the_work_is_asked_of_the_forge(
    fleet: ForgeFleet, deed: Doing, what: Deed, way: str
) -> None:
    """No delivery came: its history of the issue has the name."""
    ref, _ = brought_to(fleet, "waiting")
    deed(fleet, ref)
    fleet.forge.deeds[ref, what] = "ann"
    if way == "a poll":
        fleet.poll()
    else:
        fleet.judging.pop()[1]()
        fleet.watch()
    assert job_of(fleet).state is JobState.CANCELLED
    assert " (by ann); its work is kept" in job_of(fleet).reason


@pytest.mark.parametrize("deed", [closes, takes_the_label_off])
def test_the_forge_is_not_asked_who_ended_what_is_over(fleet: ForgeFleet, deed: Doing) -> None:
    """Nothing ends then, however many deliveries come."""
    ref, _ = brought_to(fleet, "waiting")
    fleet.forge.person_merges(job_of(fleet).branch)
    looked(fleet, None)
    assert fleet.item(ref).state is BacklogState.COMPLETED
    fleet.forge.person_reopens(ref)
    deed(fleet, ref)
    delivered(fleet, ref, ("edited", "ann"))
    assert fleet.forge.calls_of("last_to") == 0


@pytest.mark.parametrize("who", [OWN_LOGIN, "", None], ids=["we", "nobody known", "away"])
def test_what_the_forge_does_not_say_holds_nothing_up(fleet: ForgeFleet, who: str | None) -> None:
    """The work ends all the same, and nobody is named; nor are we."""
    ref, _ = brought_to(fleet, "waiting")
    closes(fleet, ref)
    fleet.forge.deeds[ref, Deed.CLOSE] = who or ""
    if who is None:
        fleet.mishaps.lasting["last_to"] = lambda: ForgeUnreachableError("away")
    fleet.poll()
    assert job_of(fleet).state is JobState.CANCELLED
    assert "(by" not in job_of(fleet).reason


def test_who_assigned_it_to_others_is_said(fleet: ForgeFleet) -> None:
    """Beside whom it is assigned to now."""
    ref, _ = brought_to(fleet, "waiting")
    fleet.forge.issues[ref].assignees["bob"] = "ann"
    fleet.forge.label(ref, "seen")
    delivered(fleet, ref, ("assigned", "ann"))
    assert "was changed (by ann) (now: bob)" in job_of(fleet).reason
