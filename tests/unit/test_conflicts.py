"""Work that cannot be merged goes back to its agent: once for each conflict, and not without end."""

import pytest
import redis

from routing.events import JOB_CONFLICT
from routing.forges.errors import (
    ForgeError,
    ForgeRefusedError,
    ForgeTakenOutError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.rest.history import HistoryAwaitedError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.turn import TurnKind
from tasks.agents.turn.order import TurnStart
from tasks.agents.turn.prompt import compose, prompt_input
from tasks.settings.issue_settings import IssueSettings, WatchSettings
from tests.fakes.mishaps import Mishap
from tests.fleets.forge_fleet import ForgeFleet


def fleet_of(client: redis.Redis, merge: str, *, rounds: int = 2) -> ForgeFleet:
    """A fleet whose agents push `green.txt`, and whose CI is quick."""
    settings = IssueSettings(watch=WatchSettings(merge_rounds=rounds))
    return ForgeFleet(client, merge=merge, settings=settings)


def pushed(fleet: ForgeFleet) -> IssueRef:
    """An issue whose work is pushed, and green."""
    ref = fleet.forge.person_opens(1, "It is slow.")
    fleet.poll()
    fleet.dispatch()
    fleet.work()
    return ref


def job_of(fleet: ForgeFleet) -> Job:
    """The only job."""
    (job,) = fleet.jobs()
    return job


def main_changes(fleet: ForgeFleet, text: str = "others") -> str:
    """Somebody pushes another text of the agent's file to the main branch."""
    repository = fleet.repository_of(job_of(fleet))
    return repository.more_work("main", {"green.txt": text})


def settles(fleet: ForgeFleet) -> None:
    """The agent merges the main branch, and CI is content."""
    job = job_of(fleet)
    fleet.repository_of(job).merge_into(job.branch, fleet.repository_of(job).tip())
    fleet.work()


def test_a_green_change_with_conflicts_is_settled_and_merged(redis_client: redis.Redis) -> None:
    """Version, arm and draw stay, no fix-forward is counted, and CI judges what comes of it."""
    fleet = fleet_of(redis_client, "green")
    pushed(fleet)
    before = job_of(fleet)
    main_changes(fleet)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, job.kind, job.merge_rounds, job.fix_forwards) == (
        JobState.QUEUED, TurnKind.CONFLICT, 1, 0,
    )  # fmt: skip
    assert job.reason == "it was not merged: it has conflicts with main in green.txt"
    assert (job.version, job.draw, job.judged) == (before.version, before.draw, ())
    (event,) = fleet.hands.events(JOB_CONFLICT)
    assert (event.data["attempt"], event.data["most"]) == (1, 2)
    assert job.kind_again == TurnKind.CONFLICT
    settles(fleet)
    fleet.watch()
    assert job_of(fleet).state is JobState.SUCCEEDED
    assert "merged" in fleet.signals(job)


def test_what_the_agent_reads(redis_client: redis.Redis) -> None:
    """The branch by its name in the tree, and the files, as data."""
    fleet = fleet_of(redis_client, "green")
    pushed(fleet)
    main_changes(fleet)
    fleet.watch()
    claim = fleet.hands.claim(job_of(fleet).id)
    prompt = compose(
        prompt_input(claim, TurnStart(session_id="s", earlier=True, mail=""), branch=claim.job.branch)
    )
    assert "The branch that it goes to:\n```text\norigin/main\n```" in prompt
    assert "Files in conflict:\n```text\ngreen.txt\n```" in prompt
    assert "cannot be merged" in prompt


def test_work_in_review_goes_back_when_people_could_not_merge_it(redis_client: redis.Redis) -> None:
    """It takes its slot again; while nothing is in conflict it stays where it is."""
    fleet = fleet_of(redis_client, "never")
    pushed(fleet)
    fleet.watch()
    assert (job_of(fleet).is_in_review, fleet.parts.backlog.busy()) == (True, {})
    main_changes(fleet)
    fleet.clock.forward(400)
    fleet.watch()
    assert (job_of(fleet).kind, fleet.parts.backlog.busy()) == (TurnKind.CONFLICT, {"github:acme/shop": 1})
    fleet.watch()  # nothing while a turn is due, or runs
    assert job_of(fleet).merge_rounds == 1
    settles(fleet)
    fleet.watch()
    assert job_of(fleet).is_in_review


@pytest.mark.parametrize(("merge", "state"), [("green", JobState.ESCALATED), ("never", JobState.WAITING)])
def test_turns_for_conflicts_are_bounded(redis_client: redis.Redis, merge: str, state: JobState) -> None:
    """Then a person settles it: work in review just stays there."""
    fleet = fleet_of(redis_client, merge, rounds=1)
    pushed(fleet)
    for number in range(3):
        main_changes(fleet, f"others {number}")
        fleet.clock.forward(400)
        fleet.watch()
        fleet.clock.forward(400)
        fleet.watch()
        if job_of(fleet).state is JobState.QUEUED:
            settles(fleet)
    job = job_of(fleet)
    assert (job.state, job.merge_rounds) == (state, 1)
    if state is JobState.ESCALATED:
        assert job.reason.endswith("in green.txt, and it has had 1 of 1 turns for conflicts")


def test_without_turns_for_conflicts_a_person_is_asked(redis_client: redis.Redis) -> None:
    """As the forge says it."""
    fleet = fleet_of(redis_client, "green", rounds=0)
    pushed(fleet)
    main_changes(fleet)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, job.reason) == (
        JobState.ESCALATED, "green, but not merged: merge conflict between base and head",
    )  # fmt: skip


def test_nobody_is_paid_for_work_that_is_no_longer_wanted(redis_client: redis.Redis) -> None:
    """The label was taken off, and no webhook said so."""
    fleet = fleet_of(redis_client, "never")
    ref = pushed(fleet)
    fleet.watch()
    main_changes(fleet)
    fleet.forge.unlabel(ref, "coalmine")
    fleet.clock.forward(400)
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).merge_rounds) == (JobState.CANCELLED, 0)


def test_what_the_merge_queue_took_out_goes_back_once(redis_client: redis.Redis) -> None:
    """Its checks failed beside what was merged before it: the agent looks into it, and it is queued again."""
    fleet = fleet_of(redis_client, "green")
    fleet.forge.has_queue = True
    pushed(fleet)
    fleet.watch()
    job = job_of(fleet)
    (change,) = fleet.forge.changes
    assert fleet.forge.queue == [change.number]
    fleet.forge.queue.clear()
    fleet.forge.thrown_out.add(change.head)
    fleet.watch()
    sent = job_of(fleet)
    assert (sent.id, sent.kind, sent.merge_rounds) == (job.id, TurnKind.CONFLICT, 1)
    assert (sent.reason, sent.kind_again) == ("the merge queue took it out", TurnKind.CONFLICT)
    settles(fleet)
    fleet.watch()
    assert fleet.forge.queue == [change.number]
    fleet.forge.queue.clear()
    fleet.forge.thrown_out.add(job_of(fleet).result.commit)
    fleet.watch()
    assert job_of(fleet).merge_rounds == 2
    settles(fleet)
    fleet.watch()
    fleet.forge.thrown_out.add(job_of(fleet).result.commit)
    fleet.watch()
    ended = job_of(fleet)
    assert ended.state is JobState.ESCALATED
    assert ended.reason == "the merge queue took it out, and it has had 2 of 2 turns for conflicts"


def test_work_in_review_that_the_merge_queue_took_out_goes_back(redis_client: redis.Redis) -> None:
    """People had queued it; they queue what comes of it, too."""
    fleet = fleet_of(redis_client, "never")
    pushed(fleet)
    fleet.watch()
    fleet.forge.thrown_out.add(job_of(fleet).result.commit)
    fleet.clock.forward(400)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, job.kind, job.merge_rounds) == (JobState.QUEUED, TurnKind.CONFLICT, 1)
    assert job.reason == "the merge queue took it out"
    settles(fleet)
    fleet.watch()
    assert job_of(fleet).is_in_review
    fleet.clock.forward(400)
    fleet.watch()
    assert job_of(fleet).merge_rounds == 1


def test_work_whose_merge_was_refused_can_be_cancelled(redis_client: redis.Redis) -> None:
    """It is to go back, and its forge does not take it out of the queue: nothing was merged."""
    fleet = ForgeFleet(redis_client, merge="green", judge_merges=False)
    pushed(fleet)
    main_changes(fleet)
    fleet.mishaps.lasting["merge"] = lambda: ForgeRefusedError("it has conflicts")
    fleet.mishaps.lasting["withdraw_merge"] = lambda: ForgeRefusedError("it is being merged")
    fleet.watch()
    job = job_of(fleet)
    assert job.state is JobState.WAITING
    assert fleet.hands.app.jobs.cancel(job.id, by="ann", at=fleet.clock()).state is JobState.CANCELLED


@pytest.mark.parametrize("conflicts", [True, False])
def test_what_a_person_took_out_of_the_queue_is_theirs(redis_client: redis.Redis, *, conflicts: bool) -> None:
    """Whether it has conflicts is not looked at: no turn is paid, and it is not queued again."""
    fleet = ForgeFleet(redis_client, merge="green", judge_merges=False)
    fleet.forge.has_queue = True
    pushed(fleet)
    fleet.watch()
    fleet.forge.queue.clear()
    if conflicts:
        main_changes(fleet)
    taken_out = Mishap(error=lambda: ForgeTakenOutError("ann took it out"), call="merge")
    fleet.mishaps.plan(taken_out)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, job.merge_rounds, fleet.forge.queue) == (JobState.ESCALATED, 0, [])
    assert job.reason == "green, but not merged: ann took it out"


@pytest.mark.parametrize("error", [ForgeUnreachableError, ForgeTokenError, HistoryAwaitedError])
def test_without_an_answer_nothing_is_known_of_conflicts(
    redis_client: redis.Redis, error: type[ForgeError]
) -> None:
    """They are looked for again, and then settled."""
    fleet = fleet_of(redis_client, "green")
    pushed(fleet)
    main_changes(fleet)
    fleet.mishaps.lasting["conflicts"] = lambda: error("it is asked again later")
    fleet.watch()
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).merge_rounds) == (JobState.WAITING, 0)
    fleet.mishaps.lasting.clear()
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).kind) == (JobState.QUEUED, TurnKind.CONFLICT)


def test_work_whose_conflicts_cannot_be_read_is_a_persons(redis_client: redis.Redis) -> None:
    """The forge refuses to say: that does not pass, so the refusal of the merge is what people get."""
    fleet = fleet_of(redis_client, "green")
    pushed(fleet)
    main_changes(fleet)
    fleet.mishaps.lasting["conflicts"] = lambda: ForgeRefusedError("not for this token")
    fleet.watch()
    assert job_of(fleet).reason == "green, but not merged: merge conflict between base and head"


def test_what_is_known_of_work_outlives_its_turns_for_conflicts(redis_client: redis.Redis) -> None:
    """CI was green, and others moved the branch: no version is blamed for it."""
    fleet = fleet_of(redis_client, "green", rounds=1)
    pushed(fleet)
    main_changes(fleet, "first")
    fleet.watch()
    settles(fleet)
    main_changes(fleet, "second")
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, fleet.signals(job)) == (JobState.ESCALATED, ["ci_green", "conflict"])
    fleet.fleet.app.harvester.harvest()
    assert job_of(fleet).excluded


@pytest.mark.parametrize("merge", ["green", "never"])
def test_a_change_that_goes_elsewhere_gets_no_turn(redis_client: redis.Redis, merge: str) -> None:
    """A person retargeted it: a turn would be about a branch that it does not go to."""
    fleet = fleet_of(redis_client, merge)
    pushed(fleet)
    fleet.forge.open_change("acme/shop", job_of(fleet).branch, title="", body="")
    main_changes(fleet)
    fleet.forge.changes = [one.model_copy(update={"base": "release"}) for one in fleet.forge.changes]
    fleet.clock.forward(400)
    fleet.watch()
    job = job_of(fleet)
    assert job.merge_rounds == 0
    assert job.state is (JobState.ESCALATED if merge == "green" else JobState.WAITING)


def unjudged(client: redis.Redis, merge: str, *, rounds: int = 2) -> ForgeFleet:
    """A fleet whose first work is pushed, has conflicts, and gets no word of CI."""
    settings = IssueSettings(watch=WatchSettings(merge_rounds=rounds))
    fleet = ForgeFleet(client, merge=merge, settings=settings, acts={1: ["quiet", "green"]})
    pushed(fleet)
    fleet.repository_of(job_of(fleet)).more_work("main", {"quiet.txt": "others"})
    return fleet


@pytest.mark.parametrize("merge", ["green", "never"])
def test_conflicts_for_which_ci_does_not_begin_are_settled(redis_client: redis.Redis, merge: str) -> None:
    """GitHub runs no workflows on a request with conflicts; nobody is asked about that silence."""
    fleet = unjudged(redis_client, merge)
    fleet.watch()
    assert job_of(fleet).state is JobState.WAITING  # CI may need a moment
    fleet.clock.forward(61)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, job.kind, job.merge_rounds) == (JobState.QUEUED, TurnKind.CONFLICT, 1)
    assert job.reason == "CI has not judged it, and it has conflicts with main in quiet.txt"
    settles(fleet)
    fleet.watch()
    assert job_of(fleet).is_in_review if merge == "never" else job_of(fleet).state is JobState.SUCCEEDED


def test_conflicts_that_ci_does_not_judge_are_a_persons_after_their_turns(redis_client: redis.Redis) -> None:
    """The reason is the conflict, and not the silence that comes of it."""
    fleet = unjudged(redis_client, "green", rounds=1)
    fleet.acts[1] = ["quiet"]
    fleet.clock.forward(61)
    fleet.watch()
    settles(fleet)
    fleet.repository_of(job_of(fleet)).more_work("main", {"quiet.txt": "others again"})
    fleet.clock.forward(400)
    fleet.watch()
    job = job_of(fleet)
    assert (job.state, fleet.signals(job)) == (JobState.ESCALATED, ["conflict"])
    assert job.reason.endswith("in quiet.txt, and it has had 1 of 1 turns for conflicts")


def test_conflicts_that_cannot_be_read_are_looked_for_with_pauses(redis_client: redis.Redis) -> None:
    """And the silence of CI is a person's when its time is over, as without them."""
    fleet, asked = unjudged(redis_client, "green"), list[float]()

    def away() -> ForgeError:
        asked.append(fleet.clock())
        return ForgeUnreachableError("git gave no answer")

    fleet.mishaps.lasting["conflicts"] = away
    for _ in range(60):
        fleet.clock.forward(10)
        fleet.watch()
    assert 5 <= len(asked) <= 10
    fleet.clock.forward(7200)
    fleet.watch()
    assert (job_of(fleet).state, job_of(fleet).merge_rounds) == (JobState.ESCALATED, 0)
    assert job_of(fleet).reason.startswith("CI gave no verdict within")
