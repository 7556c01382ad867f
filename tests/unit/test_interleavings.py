"""What happens between the read of a step and its write: the write notices, and nothing is torn."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from harvest.settling.score import ScoreRules
from harvest.settling.settling import JobFacts, scoring
from harvest.trials.modes import terms_of
from routing.back_off import BackOff
from routing.errors import ConflictError
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Jobs
from routing.jobs.mailbox import Mailbox
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_store import JobStore
from routing.store.redis.scripts import Answered
from routing.store.signals.signal_store import ScoreAnswer
from routing.store.trials.trial_store import OpenAnswer
from routing.store.trials.version_store import VersionStore
from routing.templates.route_reader import RouteReader
from routing.templates.templates import Templates
from routing.templates.trial import Terms
from tests.fleets.stepped_fleet import QUICK, ScriptedGenerator, SteppedFleet

DAY = 86_400.0


class OvertakenVersions(VersionStore):
    """Lets something happen once, after the first read of which trial is open."""

    meanwhile: Callable[[], object] | None = None

    def field(self, name: str, field: str) -> str | None:
        """Read, then be overtaken."""
        found = super().field(name, field)
        if field == "trial" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


class OvertakenJobs(JobStore):
    """Lets something happen once, after the first read of a job."""

    meanwhile: Callable[[], object] | None = None

    def read(self, job: str) -> Job | None:
        """Read, then be overtaken."""
        found = super().read(job)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with a template, whose draws are all for the canary."""
    made = SteppedFleet(redis_client, draws=[0.0] * 20)
    made.add()
    return made


def overtaken(fleet: SteppedFleet, meanwhile: Callable[[], object]) -> Templates:
    """A person's templates, between whose read and write something happens."""
    store = OvertakenVersions(fleet.redis, fleet.app.keys, fleet.clock)
    store.meanwhile = meanwhile
    return Templates(store)


def test_canary_that_was_put_on_trial_meanwhile_is_promoted_with_its_trial(fleet: SteppedFleet) -> None:
    """The person saw no trial; the one that was opened since does not go on without its question."""
    second = fleet.propose()
    overtaken(fleet, lambda: fleet.open(second)).promote(second.id, by="ada")
    assert fleet.app.trials.find("implementer").state == "graduated"
    assert fleet.app.trial_store.open_ids() == []
    assert fleet.app.templates.champion("implementer").id == second.id


def test_canary_that_was_put_on_trial_meanwhile_is_rejected_with_its_trial(fleet: SteppedFleet) -> None:
    """The trial that the person did not see is rolled back, and no other record is taken for it."""
    second = fleet.propose()
    overtaken(fleet, lambda: fleet.open(second)).reject(second.id, by="ada")
    assert fleet.app.trials.find("implementer").state == "rolled_back"
    assert fleet.app.trial_store.open_ids() == []
    assert fleet.redis.hget(fleet.app.keys.template("implementer"), "state") is None
    assert [event.kind for event in fleet.events()][-1] == "candidate.rolled_back"


@pytest.mark.parametrize("step", ["promote", "reject"])
def test_trial_that_ended_meanwhile_is_not_ended_again(fleet: SteppedFleet, step: str) -> None:
    """A stop that was faster stands, and the person's decision about the version as well."""
    trial = fleet.open(fleet.propose())
    person = overtaken(fleet, lambda: fleet.app.trials.stop(trial, by="bob", reason="holidays"))
    getattr(person, step)(trial.canary_id, by="ada")
    ended = fleet.app.trials.find(trial.id)
    assert (ended.state, ended.reason) == ("stopped", "holidays")
    state = fleet.app.templates.find(trial.canary_id).state
    assert state == ("champion" if step == "promote" else "rejected")


def test_trial_is_not_opened_under_a_number_that_was_given_meanwhile(fleet: SteppedFleet) -> None:
    """A trial was opened and stopped since the numbers were read: its record is not written over."""
    second = fleet.propose()
    fleet.app.trials.stop(fleet.open(second), by="ada")
    before = fleet.everything()
    terms = Terms(policy=QUICK.to_json(), share=0.5, bet=terms_of(QUICK).bet)
    answer = fleet.app.trial_store.open(
        name="implementer", canary=second.number, trial="implementer-t1", before=0, terms=terms, data={}
    )
    assert answer == Answered(OpenAnswer.STALE)
    assert fleet.everything() == before


def test_job_is_not_rerouted_to_a_champion_that_was_superseded_meanwhile(fleet: SteppedFleet) -> None:
    """The champion that was read works no more: the job waits for the one that does."""
    trial = fleet.open(fleet.propose())
    job = fleet.app.jobs.find(fleet.enqueue().job)
    fleet.app.templates.reject(trial.canary_id, by="ada")
    read = fleet.app.templates.champion("implementer")
    third = fleet.propose("three")
    fleet.app.templates.promote(third.id, by="ada")
    before = fleet.everything()
    answer = fleet.app.job_store.reroute(
        job, champion=read.number, content_hash=read.content_hash, source_commit="", settlement='{"index":0'
    )
    assert not answer
    assert fleet.everything() == before
    assert fleet.claim(job.id).version.id == third.id


def test_score_of_a_job_that_left_its_trial_meanwhile_is_refused(fleet: SteppedFleet) -> None:
    """What was read as the canary's is the champion's by now: the trial hears that it was rerouted, alone."""
    trial = fleet.open(fleet.propose())
    job = fleet.enqueue().job
    fleet.clock.forward(8 * DAY)
    ((_, found, facts),) = fleet.app.signals.read_due([job])
    assert found is not None
    overdue = scoring(JobFacts(job=found, signals=facts), now=fleet.clock(), rules=ScoreRules())
    assert (overdue.what, overdue.trial) == ("settled", trial.id)
    fleet.app.templates.reject(trial.canary_id, by="ada")
    fleet.claim(job)
    assert fleet.app.signals.score([overdue]) == [ScoreAnswer.STALE]
    ledger = fleet.app.harvester.ledger(trial.id)
    assert [line.kind for line in ledger if hasattr(line, "kind")] == ["rerouted"]
    assert fleet.app.jobs.find(job).settled_at is None


def test_sweep_decides_for_the_lease_that_it_saw(fleet: SteppedFleet) -> None:
    """Another worker took the job over and was lost too: the sweep does not give it one attempt too many."""
    job = fleet.enqueue(max_attempts=2).job
    fleet.claim(job, lease_seconds=30)
    fleet.clock.forward(31)

    def take_over() -> None:
        fleet.claim(job, lease_seconds=1)
        fleet.clock.forward(2)

    store = OvertakenJobs(fleet.redis, fleet.app.keys, fleet.clock)
    store.meanwhile = take_over
    jobs = Jobs(store, fleet.app.versions, back_off=BackOff(), generator=ScriptedGenerator())
    assert jobs.reap(at=fleet.clock()) == []
    assert jobs.reap(at=fleet.clock()) == [job]
    assert fleet.app.jobs.find(job).state is JobState.FAILED


def test_facts_of_a_retried_job_do_not_expire_under_it(fleet: SteppedFleet) -> None:
    """A job that ended and is worked on again keeps its record and its facts as long as it needs."""
    job = fleet.enqueue(issue="local:shop#1").job
    fleet.end(job, SignalKind.ESCALATED)
    keys = [fleet.app.keys.job(job), fleet.app.keys.signals(job)]
    assert all(fleet.redis.ttl(key) > 0 for key in keys)
    fleet.app.jobs.retry(job, by="ada")
    assert [fleet.redis.ttl(key) for key in keys] == [-1, -1]
    assert fleet.redis.ttl(fleet.app.keys.issue("local:shop#1")) > 0


def test_facts_do_not_send_a_job_to_the_end_of_the_line(fleet: SteppedFleet) -> None:
    """What was due long ago stays first in the harvest, whatever else becomes known of it."""
    first = fleet.enqueue().job
    fleet.clock.forward(1)
    second = fleet.enqueue().job
    fleet.clock.forward(8 * DAY)
    fleet.end(first)
    assert fleet.app.signals.due(10) == [first, second]


def test_id_that_is_another_jobs_is_refused(fleet: SteppedFleet) -> None:
    """The job that has it stays as it is, and the caller is asked to try again."""
    ids: Any = iter(["00000000000000aa"] * 2)
    mailbox = Mailbox(
        jobs=fleet.app.job_store,
        events=fleet.app.events,
        routes=RouteReader(fleet.app.versions, fleet.app.trial_store),
        publisher=fleet.broker,
        generator=ScriptedGenerator(),
        policy=fleet.app.mailbox_policy,
        ids=lambda: next(ids),
    )
    request = fleet.app.jobs.find(fleet.enqueue().job).request
    mailbox.enqueue(request)
    before = fleet.everything()
    with pytest.raises(ConflictError, match="00000000000000aa"):
        mailbox.enqueue(request.model_copy(update={"task": "another"}))
    assert fleet.everything() == before


def test_issue_is_forgotten_by_itself(fleet: SteppedFleet) -> None:
    """That an issue has a job is not remembered for ever, even if nobody ever ends that."""
    fleet.enqueue(issue="local:shop#3")
    left = fleet.redis.ttl(fleet.app.keys.issue("local:shop#3"))
    assert 0 < left <= fleet.app.settings.retention_seconds


def test_trial_that_was_stopped_meanwhile_gets_no_job(fleet: SteppedFleet) -> None:
    """A mailbox that keeps the route learns of the stop by the write that is refused."""
    trial = fleet.open(fleet.propose())
    assert fleet.enqueue().trial == trial.id
    fleet.app.trials.stop(trial, by="ada")
    done = fleet.enqueue()
    assert (done.version, done.trial, done.arm) == ("implementer@v1", "", None)
    assert len(fleet.app.trial_store.dispatches(trial.id)) == 1
