"""The harvest: from what became of jobs to graduation or rollback, exactly once, whatever dies on the way."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import redis

from console.commands.trial import said_of_budget
from console.output.trials.trial_status import budget_words
from console.status.fleet_reading import read_trials
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.evidence.policy import Guardrail, TrialPolicy
from harvest.evidence.verdict import Verdict
from harvest.settling.score import ScoreRules
from harvest.settling.settling import JobFacts, scoring
from harvest.trials.harvester import Harvester
from routing.errors import ConflictError, UnavailableError
from routing.jobs.job import JobResult, JobState
from routing.jobs.signal import SignalKind
from routing.store.signals.signal_store import ScoreAnswer
from routing.store.trials.trial_store import AdvanceAnswer, TrialAdvance, TrialStore
from tests.fleets.stepped_fleet import QUICK, START, SteppedFleet, fail_attempt, request

DAY = 86_400.0
GOOD, BAD = SignalKind.FINISHED, SignalKind.ESCALATED


def on_trial(client: redis.Redis, *, jobs: int = 60, policy: TrialPolicy = QUICK) -> SteppedFleet:
    """A fleet whose jobs go to the canary and to the champion in turn."""
    fleet = SteppedFleet(client, draws=[0.0, 0.999] * jobs, policy=policy)
    fleet.on_trial()
    return fleet


def work(fleet: SteppedFleet, jobs: int, *, canary: SignalKind, champion: SignalKind = GOOD) -> list[str]:
    """Enqueue jobs and work each to its end, by the version that it carries."""
    done = fleet.app.mailbox.enqueue_many([request() for _ in range(jobs)])
    for one in done:
        fleet.clock.forward(1)
        fleet.end(one.job, canary if one.arm == "canary" else champion)
    return [one.job for one in done]


def work_and_harvest(
    fleet: SteppedFleet, jobs: int, *, canary: SignalKind, champion: SignalKind = GOOD
) -> list[Verdict]:
    """The same with a harvest after every pair of jobs, until the trial has ended; returns the verdicts."""
    verdicts: list[Verdict] = []
    for _ in range(jobs // 2):
        if not fleet.app.trials.find("implementer-t1").is_open:
            break
        work(fleet, 2, canary=canary, champion=champion)
        verdicts += [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes]
    return verdicts


def test_regressing_canary_is_rolled_back(redis_client: redis.Redis) -> None:
    """Its failures reject it; the champion is what it was, and exactly one event says so."""
    fleet = on_trial(redis_client)
    assert work_and_harvest(fleet, 60, canary=BAD) == [Verdict.ROLL_BACK]
    assert fleet.app.trials.find("implementer-t1").state == "rolled_back"
    assert fleet.app.templates.find("implementer@v2").state == "rejected"
    assert fleet.app.templates.champion("implementer").id == "implementer@v1"
    assert [event.subject for event in fleet.events("candidate.rolled_back")] == ["implementer@v2"]
    (review,) = fleet.app.templates.reviews("implementer")
    assert review["decision"] == Verdict.ROLL_BACK


def test_better_canary_graduates(redis_client: redis.Redis) -> None:
    """Its successes make it champion, and exactly one event says so."""
    fleet = on_trial(redis_client)
    assert work_and_harvest(fleet, 60, canary=GOOD, champion=BAD) == [Verdict.GRADUATE]
    assert fleet.app.trials.find("implementer-t1").state == "graduated"
    assert fleet.app.templates.champion("implementer").id == "implementer@v2"
    assert fleet.app.templates.find("implementer@v1").state == "superseded"
    assert [event.subject for event in fleet.events("candidate.auto_promoted")] == ["implementer@v2"]


def test_review_explains_the_verdict(redis_client: redis.Redis) -> None:
    """Reasons, evidence, thresholds and the counts of both arms are on record, and in the event."""
    fleet = on_trial(redis_client)
    work_and_harvest(fleet, 60, canary=BAD)
    (review,) = fleet.app.versions.reviews("implementer")
    assert review["by"] == "evidence"
    assert review["reasons"]
    assert review["evidence"]["worse"] >= review["thresholds"]["worse"]
    assert review["arms"]["canary"]["mean"] == 0.0
    assert fleet.events("candidate.rolled_back")[0].data == review
    assert json.loads(fleet.app.trials.find("implementer-t1").review) == review


def test_harvest_with_nothing_new_writes_nothing(redis_client: redis.Redis) -> None:
    """A tick that finds nothing leaves everything as it was, before the verdict and after it."""
    fleet = on_trial(redis_client)
    work(fleet, 4, canary=BAD)
    fleet.app.harvester.harvest()
    before = fleet.everything()
    assert fleet.app.harvester.harvest().settled == 0
    assert fleet.everything() == before
    work_and_harvest(fleet, 60, canary=BAD)
    fleet.app.harvester.harvest()
    before = fleet.everything()
    assert fleet.app.harvester.harvest().outcomes == []
    assert fleet.everything() == before


def test_score_is_written_once(redis_client: redis.Redis) -> None:
    """A job is settled with one event and one line of the ledger, however often it is looked at."""
    fleet = on_trial(redis_client)
    (job,) = work(fleet, 1, canary=GOOD)
    fleet.app.harvester.harvest()
    fleet.app.signals.add(job, [fleet.fact(SignalKind.CI_RED)])
    fleet.app.harvester.harvest()
    found = fleet.app.jobs.find(job)
    assert (found.score, found.settled_at) == (1.0, START + 1)
    assert len(fleet.events("job.settled")) == 1
    assert len(fleet.app.trial_store.settlements("implementer-t1")) == 1


def test_two_harvests_that_saw_the_same_facts_write_one_score(redis_client: redis.Redis) -> None:
    """The second write of a race finds the job settled."""
    fleet = on_trial(redis_client)
    (job,) = work(fleet, 1, canary=GOOD)
    ((_, found, signals),) = fleet.app.signals.read_due([job])
    assert found is not None
    rules = ScoreRules(revert_window_seconds=0.0)
    same = scoring(JobFacts(job=found, signals=signals), now=fleet.clock(), rules=rules)
    assert fleet.app.signals.score([same, same]) == [ScoreAnswer.OK, ScoreAnswer.ALREADY]
    assert len(fleet.events("job.settled")) == 1
    assert len(fleet.app.trial_store.settlements("implementer-t1")) == 1


def test_the_ledger_says_that_a_job_waited_for_a_limit(redis_client: redis.Redis) -> None:
    """That time does not count in its age: it was not the job that was late."""
    fleet = on_trial(redis_client)
    (job,) = work(fleet, 1, canary=GOOD)
    ((_, found, signals),) = fleet.app.signals.read_due([job])
    assert found is not None
    rules = ScoreRules(revert_window_seconds=0.0)
    ends = fleet.clock() + 3 * 3600.0
    for held, waited in ((0.0, False), (2 * 3600.0, True)):
        facts = JobFacts(job=replace(found, held_seconds=held), signals=signals)
        line = Settlement.model_validate_json(scoring(facts, now=ends, rules=rules).settlement)
        assert (line.waited, line.age_seconds) == (waited, ends - found.created_at - held)


def test_score_from_outdated_facts_is_refused(redis_client: redis.Redis) -> None:
    """A fact that comes between the read and the write makes the job due again."""
    fleet = on_trial(redis_client)
    (job,) = work(fleet, 1, canary=GOOD)
    ((_, found, signals),) = fleet.app.signals.read_due([job])
    assert found is not None
    outdated = scoring(JobFacts(job=found, signals=signals), now=fleet.clock(), rules=ScoreRules())
    fleet.app.signals.add(job, [fleet.fact(SignalKind.THUMB_DOWN)])
    assert fleet.app.signals.score([outdated]) == [ScoreAnswer.STALE]
    fleet.app.harvester.harvest()
    assert fleet.app.jobs.find(job).score == 0.0


def test_advance_from_an_outdated_state_is_refused(redis_client: redis.Redis) -> None:
    """A harvest that was overtaken cannot put the evidence back to what it had read."""
    fleet = on_trial(redis_client)
    outdated = fleet.app.trials.find("implementer-t1")
    work(fleet, 2, canary=GOOD)
    fleet.app.harvester.harvest()
    before = fleet.everything()
    for verdict in ("hold", "graduate", "roll_back", "expire"):
        step = TrialAdvance(revision=outdated.revision, evidence="{}", share=0.5, bet={}, verdict=verdict)
        assert fleet.app.trial_store.advance(outdated, step) == AdvanceAnswer.STALE
    assert fleet.everything() == before


def test_second_verdict_on_a_trial_is_refused(redis_client: redis.Redis) -> None:
    """A trial that has ended is not decided again, whatever the evidence says now."""
    fleet = on_trial(redis_client)
    work_and_harvest(fleet, 60, canary=BAD)
    trial = fleet.app.trials.find("implementer-t1")
    before = fleet.everything()
    step = TrialAdvance(revision=trial.revision, evidence="{}", share=0.5, bet={}, verdict="graduate")
    assert fleet.app.trial_store.advance(trial, step) == AdvanceAnswer.CLOSED
    assert fleet.everything() == before


def test_excluded_job_leaves_the_trial(redis_client: redis.Redis) -> None:
    """A fault that is not the agent's counts for neither arm, and the number is shown."""
    fleet = on_trial(redis_client)
    work(fleet, 2, canary=SignalKind.QUOTA, champion=SignalKind.QUOTA)
    fleet.app.harvester.harvest()
    state = fleet.app.harvester.evidence(fleet.app.trials.find("implementer-t1"))
    assert (state.canary.excluded, state.champion.excluded, state.canary.settled) == (1, 1, 0)
    assert (state.worse.ln_value, state.not_worse.ln_value) == (0.0, 0.0)


def test_job_that_never_settles_fails_at_its_deadline(redis_client: redis.Redis) -> None:
    """The deadline is the same for both arms, and is found by time alone."""
    policy = QUICK.model_copy(update={"settle_deadline_seconds": DAY})
    fleet = on_trial(redis_client, policy=policy)
    jobs = [fleet.enqueue().job for _ in range(2)]
    fleet.clock.forward(DAY - 1)
    assert fleet.app.harvester.harvest().settled == 0
    fleet.clock.forward(1)
    assert fleet.app.harvester.harvest().settled == 2
    assert [fleet.app.jobs.find(job).score for job in jobs] == [0.0, 0.0]


def test_strict_merge_is_settled_when_its_window_ends(redis_client: redis.Redis) -> None:
    """The harvest comes back to it by itself."""
    fleet = on_trial(redis_client, policy=TrialPolicy(share=0.5))
    job = fleet.enqueue().job
    merged = [fleet.fact(SignalKind.MERGED, commit="a"), fleet.fact(SignalKind.CI_GREEN, commit="a")]
    fleet.app.signals.add(job, merged)
    assert fleet.app.harvester.harvest().settled == 0
    fleet.clock.forward(DAY)
    assert fleet.app.harvester.harvest().settled == 1
    assert fleet.app.jobs.find(job).score == 1.0


def test_provisional_merge_is_swapped_when_it_is_reverted(redis_client: redis.Redis) -> None:
    """It counts at once, and its factor is exchanged by the revert."""
    fleet = on_trial(redis_client, policy=TrialPolicy(share=0.5, strict=False))
    job = fleet.enqueue().job
    fleet.app.signals.add(job, [fleet.fact(SignalKind.MERGED, commit="a")])
    fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    assert fleet.app.harvester.evidence(trial).canary_jobs == 1
    fleet.clock.forward(60)
    fleet.app.signals.add(job, [fleet.fact(SignalKind.REVERTED, commit="a")])
    fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    assert fleet.app.harvester.evidence(trial).canary.mean == 0.0
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)


def test_replay_equals_the_stored_state(redis_client: redis.Redis) -> None:
    """The evidence recomputed from the ledger is the very same, while it runs and after the verdict."""
    fleet = on_trial(redis_client)
    for canary in (GOOD, BAD, SignalKind.QUOTA, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD):
        work(fleet, 2, canary=canary)
        fleet.app.harvester.harvest()
        trial = fleet.app.trials.find("implementer-t1")
        assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
    assert trial.state == "rolled_back"


def test_next_bet_starts_from_the_champions_mean(redis_client: redis.Redis) -> None:
    """What is settled by now is frozen in the next job's bet; the first had only the prior."""
    fleet = on_trial(redis_client)
    first = work(fleet, 2, canary=GOOD)[0]
    fleet.app.harvester.harvest()
    second = fleet.enqueue().job
    bets = [fleet.app.jobs.find(job).bet for job in (first, second)]
    assert [bet.baseline for bet in bets if bet] == [0.6, 0.68]


def test_ramp_changes_the_share_of_the_next_draw(redis_client: redis.Redis) -> None:
    """The share follows the evidence, is reported, and each job records its own."""
    policy = TrialPolicy(share=0.1, ramp=True, revert_window_seconds=0.0)
    fleet = SteppedFleet(redis_client, draws=[0.0, 0.999] * 60, policy=policy)
    fleet.on_trial()
    for _ in range(20):
        work(fleet, 2, canary=GOOD, champion=BAD)
        fleet.app.harvester.harvest()
        if fleet.app.trials.find("implementer-t1").share > 0.1:
            break
    assert len(fleet.events("trial.share_changed")) == 1
    found = fleet.app.jobs.find(fleet.enqueue().job)
    assert found.bet is not None
    assert found.bet.share == fleet.app.trials.find("implementer-t1").share > 0.1


def test_expiry_by_jobs_keeps_the_champion(redis_client: redis.Redis) -> None:
    """At its limit of canary jobs the trial ends undecided: canary pending, one event."""
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"max_canary_jobs": 2}))
    assert work_and_harvest(fleet, 10, canary=GOOD) == [Verdict.EXPIRE]
    assert fleet.app.trials.find("implementer-t1").state == "expired"
    assert fleet.app.templates.find("implementer@v2").state == "pending"
    assert fleet.app.templates.champion("implementer").id == "implementer@v1"
    assert len(fleet.events("trial.expired")) == 1


def test_expiry_by_days_needs_no_outcome(redis_client: redis.Redis) -> None:
    """Time alone ends a trial that nothing happens in."""
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"max_days": 2.0}))
    fleet.clock.forward(2 * DAY - 1)
    assert fleet.app.harvester.harvest().outcomes == []
    fleet.clock.forward(1)
    assert [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes] == [Verdict.EXPIRE]
    assert fleet.app.templates.find("implementer@v2").state == "pending"
    assert fleet.app.harvester.harvest().outcomes == []
    assert len(fleet.events("trial.expired")) == 1


def test_a_trial_whose_jobs_have_cost_its_budget_expires(redis_client: redis.Redis) -> None:
    """Jobs of both versions count; a person is asked, and the status says what it was spent on."""
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"budget_usd": 5.0}))
    for usd in (2.0, 2.5, 1.0):
        assert fleet.app.harvester.harvest().outcomes == []
        fleet.spend(fleet.claim(fleet.enqueue().job), usd=usd)
    trial = fleet.app.trials.find("implementer-t1")
    status = read_trials(fleet.app, [trial], fleet.clock())[0]
    assert (status.decision.inputs["spent_usd"], status.decision.verdict) == (5.5, Verdict.EXPIRE)
    assert [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes] == [Verdict.EXPIRE]
    trial = fleet.app.trials.find("implementer-t1")
    assert "5.50 USD (budget 5.00)" in trial.reason
    assert fleet.app.templates.find("implementer@v2").state == "pending"
    assert len(fleet.events("trial.expired")) == 1


def test_a_budget_says_what_it_does_not_know(redis_client: redis.Redis) -> None:
    """Turns that did not say their dollars are never 0: `?` where none did, `≥` where some did not."""
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"budget_usd": 5.0}))
    said = ((None, "?"), (0.0, "≥ 0.00"), (5.5, "≥ 5.50"))
    for given, words in said:
        assert said_of_budget(fleet.app, "implementer", QUICK) == []  # without a budget
        fleet.spend(fleet.claim(fleet.enqueue().job), usd=given)
        warned = said_of_budget(fleet.app, "implementer", QUICK.model_copy(update={"budget_usd": 5.0}))
        assert bool(warned) is (given is None)
        status = read_trials(fleet.app, [fleet.app.trials.find("implementer-t1")], fleet.clock())[0]
        assert budget_words(status.decision.inputs) == f"{words} of 5 USD spent"
        assert status.decision.inputs["unpriced_turns"] == 1
    assert [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes] == [Verdict.EXPIRE]
    assert "at least 5.50 USD (budget 5.00)" in fleet.app.trials.find("implementer-t1").reason


def test_outcomes_that_came_in_time_decide_before_expiry(redis_client: redis.Redis) -> None:
    """A harvest that comes late finds the verdict of what was settled while the trial ran."""
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"max_days": 2.0}))
    work(fleet, 60, canary=BAD)
    fleet.app.harvester._settling.settle_due()  # noqa: SLF001 - the tick dies after its first half
    fleet.clock.forward(3 * DAY)
    assert [outcome.verdict for outcome in fleet.app.harvester.harvest().outcomes] == [Verdict.ROLL_BACK]


def test_switched_off_trial_is_stopped_visibly(redis_client: redis.Redis) -> None:
    """With canaries off nothing is decided, however clear the outcomes are; the trial is stopped once."""
    fleet = on_trial(redis_client)
    work(fleet, 60, canary=BAD)
    off = SteppedFleet(redis_client, enabled=False)
    assert off.app.harvester.harvest().outcomes == []
    trial = fleet.app.trials.find("implementer-t1")
    assert (trial.state, trial.reason) == ("stopped", "canaries were switched off")
    assert fleet.app.templates.find("implementer@v2").state == "pending"
    off.app.harvester.harvest()
    assert len(fleet.events("trial.stopped")) == 1
    assert fleet.events("candidate.rolled_back", "candidate.auto_promoted") == []


def test_a_trial_whose_canary_is_always_excluded_holds_itself_until_a_person_resumes_it(
    redis_client: redis.Redis,
) -> None:
    """No verdict by the champion's scores alone; reported once; then the very verdict that was held."""
    fleet = on_trial(redis_client, jobs=80)
    away = SignalKind.UNREACHABLE
    assert work_and_harvest(fleet, 120, canary=away, champion=BAD) == []
    trial = fleet.app.trials.find("implementer-t1")
    assert (trial.state, trial.alarms) == ("open", ("exclusions",))
    held = fleet.events("trial.held")
    assert len(held) == 1
    assert "60 of 60" not in held[0].data["reasons"][0], "it is reported when it fires"
    resumed = fleet.app.trials.resume(trial, by="ada", reason="the forge was down")
    assert (resumed.changed, resumed.trial.alarms, resumed.trial.released) == (True, (), ("exclusions",))
    assert fleet.events("trial.resumed")[0].data["by"] == "ada"
    assert not fleet.app.trials.resume(resumed.trial, by="ada").changed
    assert [one.verdict for one in fleet.app.harvester.harvest().outcomes] == [Verdict.GRADUATE]
    with pytest.raises(ConflictError, match="has ended"):
        fleet.app.trials.resume(trial, by="ada")
    fleet.app.harvester.harvest()
    assert len(fleet.events("trial.held")) == 1
    assert fleet.events("trial.contradicted") == []


def test_a_person_releases_only_the_checks_that_they_saw(redis_client: redis.Redis) -> None:
    """Another check that fires meanwhile is not let go with them."""
    fleet = on_trial(redis_client, jobs=80)
    work_and_harvest(fleet, 60, canary=SignalKind.UNREACHABLE)
    trial = fleet.app.trials.find("implementer-t1")
    seen = replace(trial, alarms=("draws",))
    with pytest.raises(ConflictError, match="another check"):
        fleet.app.trials.resume(seen, by="ada")
    assert fleet.app.trials.find("implementer-t1").released == ()


def test_late_signal_that_overturns_the_verdict_is_reported_once(redis_client: redis.Redis) -> None:
    """The verdict stands; one event says that it would not be reached now."""
    fleet = on_trial(redis_client)
    work_and_harvest(fleet, 60, canary=BAD)
    for line in fleet.app.trial_store.dispatches("implementer-t1"):
        dispatched = Dispatched.model_validate_json(line)
        if dispatched.arm == "canary":
            fleet.app.signals.add(dispatched.job_id, [fleet.fact(SignalKind.THUMB_UP)])
            fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    assert (trial.state, trial.contradicted) == ("rolled_back", True)
    assert fleet.app.templates.find("implementer@v2").state == "rejected"
    assert len(fleet.events("trial.contradicted")) == 1


def test_late_signal_that_changes_nothing_is_not_reported(redis_client: redis.Redis) -> None:
    """One late thumb does not overturn a verdict that the others support."""
    fleet = on_trial(redis_client)
    work_and_harvest(fleet, 60, canary=GOOD, champion=BAD)
    job = Dispatched.model_validate_json(fleet.app.trial_store.dispatches("implementer-t1")[0]).job_id
    fleet.app.signals.add(job, [fleet.fact(SignalKind.THUMB_UP)])
    fleet.app.harvester.harvest()
    assert fleet.events("trial.contradicted") == []


def test_person_who_promoted_is_not_contradicted(redis_client: redis.Redis) -> None:
    """Only a verdict by evidence can be contradicted by evidence."""
    fleet = on_trial(redis_client)
    jobs = work(fleet, 20, canary=BAD)
    fleet.app.templates.promote("implementer@v2", by="ada")
    fleet.app.harvester.harvest()
    fleet.app.signals.add(jobs[0], [fleet.fact(SignalKind.THUMB_UP)])
    fleet.app.harvester.harvest()
    assert fleet.events("trial.contradicted") == []
    assert fleet.app.templates.champion("implementer").id == "implementer@v2"


def test_attribution_is_by_the_jobs_own_version(redis_client: redis.Redis) -> None:
    """An outcome that comes when another version is champion counts for the arm that did the work."""
    fleet = on_trial(redis_client)
    canary, champion = fleet.enqueue().job, fleet.enqueue().job
    fleet.end(canary, BAD)
    fleet.end(champion, GOOD)
    fleet.app.harvester.harvest()
    state = fleet.app.harvester.evidence(fleet.app.trials.find("implementer-t1"))
    assert (state.canary.mean, state.champion.mean) == (0.0, 1.0)


def ended_all_at_once(client: redis.Redis, kinds: Iterable[SignalKind], *, batch: int) -> tuple[Any, ...]:
    """The verdict on the same outcomes, harvested so many at a time."""
    client.flushall()
    fleet = on_trial(client)
    jobs = [one.job for one in fleet.app.mailbox.enqueue_many([request() for _ in range(60)])]
    for number, (job, kind) in enumerate(zip(jobs, kinds, strict=True), start=1):
        fleet.clock.forward(1)
        fleet.end(job, kind)
        fleet.app.harvester._settling.settle_due()  # noqa: SLF001 - the order of settlement is the same
        if number % batch == 0:
            fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    review = json.loads(trial.review)
    return trial.state.value, review["arms"]["canary"]["settled"], review["evidence"]


def test_first_outcome_that_decides_decides_whatever_the_batch(redis_client: redis.Redis) -> None:
    """Outcomes that first answer one question and then the other give the verdict of the first."""
    kinds = [BAD if number % 2 else GOOD for number in range(36)] + [
        GOOD if number % 2 else BAD for number in range(24)
    ]
    one = ended_all_at_once(redis_client, kinds, batch=1)
    assert one[0] == "graduated"
    assert ended_all_at_once(redis_client, kinds, batch=60) == one


class _Dying(TrialStore):
    """Dies before or after a chosen write, once."""

    def __init__(self, store: TrialStore, *, step: str, written: bool, skip: int) -> None:
        super().__init__(store.redis, store.keys, store.clock)
        self._step, self._written, self._skip = step, written, skip

    def _maybe(self, name: str, write: Callable[[], Any]) -> Any:
        if name != self._step:
            return write()
        self._skip -= 1
        if self._skip == 0 and not self._written:
            raise UnavailableError(name)
        answer = write()
        if self._skip == 0:
            raise UnavailableError(name)
        return answer

    def advance(self, *args: Any, **options: Any) -> AdvanceAnswer:
        """Die here, perhaps."""
        return AdvanceAnswer(self._maybe("advance", lambda: super(_Dying, self).advance(*args, **options)))

    def all_read(self, *args: Any, **options: Any) -> None:
        """Die here, perhaps."""
        self._maybe("all_read", lambda: super(_Dying, self).all_read(*args, **options))


def verdict_of(fleet: SteppedFleet) -> dict[str, Any]:
    """All that is decided about the trial, and what it was decided from."""
    trial = fleet.app.trials.find("implementer-t1")
    return {
        "state": trial.state,
        "review": trial.review,
        "reviews": fleet.app.templates.reviews("implementer"),
        "champion": fleet.app.templates.champion("implementer").id,
        "evidence": fleet.app.harvester.evidence(trial),
        "events": [event.kind for event in fleet.events() if event.kind.startswith(("candidate", "trial"))],
        "settled": sorted(event.data["score"] for event in fleet.events("job.settled")),
    }


@pytest.mark.parametrize("step", ["advance", "all_read"])
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("skip", [1, 5, 12])
def test_crash_between_two_effects_is_repaired_by_the_next_tick(
    redis_client: redis.Redis,
    step: str,
    written: bool,  # noqa: FBT001 - a parameter of the table above
    skip: int,
) -> None:
    """A harvest that dies before or after any write leaves what the next one ends with the same result."""

    def story(harvester: Callable[[SteppedFleet], Harvester]) -> dict[str, Any]:
        redis_client.flushall()
        fleet = on_trial(redis_client)
        using = harvester(fleet)
        for _ in range(16):
            if fleet.app.trials.find("implementer-t1").is_open:
                work(fleet, 2, canary=BAD)
            try:
                using.harvest()
            except UnavailableError:
                using = fleet.app.harvester
                using.harvest()
        return verdict_of(fleet)

    def dying(fleet: SteppedFleet) -> Harvester:
        store = _Dying(fleet.app.trial_store, step=step, written=written, skip=skip)
        return Harvester(
            settling=fleet.app.harvester._settling,  # noqa: SLF001 - the same, but for the store
            trials=fleet.app.trials,
            store=store,
            enabled=True,
        )

    assert story(dying) == story(lambda fleet: fleet.app.harvester)


def test_settlements_without_an_advance_are_read_by_the_next_tick(redis_client: redis.Redis) -> None:
    """A process that dies between settling and advancing loses no outcome."""
    fleet = on_trial(redis_client)
    work(fleet, 60, canary=BAD)
    assert fleet.app.harvester._settling.settle_due() == 60  # noqa: SLF001 - the tick dies here
    assert fleet.app.trials.find("implementer-t1").is_open
    outcomes = SteppedFleet(redis_client).app.harvester.harvest().outcomes
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ROLL_BACK]


def test_outcomes_after_the_verdict_are_read_too(redis_client: redis.Redis) -> None:
    """The rest of a batch is counted after the verdict, and nothing is left unread."""
    fleet = on_trial(redis_client)
    work(fleet, 60, canary=BAD)
    fleet.app.harvester.harvest()
    trial = fleet.app.trials.find("implementer-t1")
    state = fleet.app.harvester.evidence(trial)
    assert (state.dispatched, state.canary.open, state.champion.open) == (60, 0, 0)
    assert fleet.app.trial_store.moved_ids() == []
    assert len(fleet.events("candidate.rolled_back")) == 1


def test_news_that_come_while_a_trial_is_read_are_not_forgotten(redis_client: redis.Redis) -> None:
    """A trial is only taken off the list of news when nothing has come after what was read."""
    fleet = on_trial(redis_client)
    work(fleet, 2, canary=GOOD)
    fleet.app.harvester._settling.settle_due()  # noqa: SLF001 - outcomes that are not read yet
    fleet.app.trial_store.all_read("implementer-t1", 1)
    assert fleet.app.trial_store.moved_ids() == ["implementer-t1"]
    fleet.app.trial_store.all_read("implementer-t1", 2)
    assert fleet.app.trial_store.moved_ids() == []


def test_unreadable_job_does_not_stop_the_harvest(redis_client: redis.Redis) -> None:
    """The other jobs are settled, and the broken one is looked at again later."""
    fleet = on_trial(redis_client)
    broken, other = work(fleet, 2, canary=GOOD)
    fleet.redis.hset(fleet.app.keys.job(broken), "request", "{broken")
    assert fleet.app.harvester.harvest().settled == 1
    assert fleet.app.jobs.find(other).score == 1.0
    assert fleet.app.harvester.harvest().settled == 0
    assert fleet.redis.zscore(fleet.app.keys("due"), broken) > fleet.clock()


def test_unreadable_trial_does_not_stop_the_others(redis_client: redis.Redis) -> None:
    """A trial whose state is broken is reported in the log; the next one is decided."""
    fleet = on_trial(redis_client)
    fleet.on_trial("another")
    fleet.redis.hset(fleet.app.keys.trial("another-t1"), "evidence", "{broken")
    assert work_and_harvest(fleet, 60, canary=BAD) == [Verdict.ROLL_BACK]


@pytest.mark.parametrize("damage", [("share", "much"), ("policy", "{")])
def test_damaged_trial_costs_its_own_jobs_alone(redis_client: redis.Redis, damage: tuple[str, str]) -> None:
    """Jobs of others are settled and their trials decided; its own are looked at again, and work goes on."""
    fleet = on_trial(redis_client)
    fleet.on_trial("another")
    lost = fleet.enqueue("another").job
    fleet.end(lost, BAD)
    fleet.redis.hset(fleet.app.keys.trial("another-t1"), mapping=dict([damage]))
    assert work_and_harvest(fleet, 60, canary=BAD) == [Verdict.ROLL_BACK]
    assert fleet.redis.zscore(fleet.app.keys("due"), lost) > fleet.clock()
    assert fleet.enqueue("another").job
    fleet.app.templates.reject("another@v2", by="ada")
    assert fleet.app.trial_store.open_ids() == []


def test_guardrails_count_all_attempts(redis_client: redis.Redis) -> None:
    """A canary that burns one attempt and then succeeds with a cheap one has spent what both have cost."""
    caps = {"cost_usd": 10.0, "duration_seconds": 1000.0, "fix_forwards": 4.0}
    guardrails = tuple(Guardrail.model_validate({"name": name, "cap": cap}) for name, cap in caps.items())
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"guardrails": guardrails}))
    job = fleet.enqueue().job
    claim = fleet.claim(job)
    fleet.spend(claim, usd=4.0, seconds=600.0)
    burnt = JobResult(cost_usd=4.0, duration_seconds=600.0)
    fail_attempt(fleet.app.jobs, claim, result=burnt)
    fleet.clock.forward(10)
    claim = fleet.claim(job)
    fleet.spend(claim, usd=0.5, seconds=60.0)
    cheap = JobResult(cost_usd=0.5, duration_seconds=60.0)
    finished = [fleet.fact(SignalKind.FINISHED)]
    fleet.app.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=cheap, signals=finished)
    fleet.app.harvester.harvest()
    (line,) = (line for line in fleet.app.harvester.ledger("implementer-t1") if isinstance(line, Settlement))
    assert line.guardrails == {"cost_usd": 4.5, "duration_seconds": 660.0, "fix_forwards": 0.0}


def test_guardrail_of_fix_forwards_counts_them(redis_client: redis.Redis) -> None:
    """A canary whose jobs need one corrective turn after the other is rolled back, though it succeeds."""
    guardrail = Guardrail(name="fix_forwards", cap=2.0)
    fleet = on_trial(redis_client, policy=QUICK.model_copy(update={"guardrails": (guardrail,)}))
    for _ in range(60):
        done = fleet.enqueue()
        if done.arm == "canary":
            fleet.redis.hset(fleet.app.keys.job(done.job), "fix_forwards", "2")
        fleet.end(done.job)
        if fleet.app.harvester.harvest().outcomes:
            break
    assert fleet.app.templates.find("implementer@v2").state == "rejected"


def test_expired_job_record_is_forgotten(redis_client: redis.Redis) -> None:
    """A job whose record is gone does not stay due for ever."""
    fleet = on_trial(redis_client)
    (job,) = work(fleet, 1, canary=GOOD)
    fleet.redis.delete(fleet.app.keys.job(job))
    fleet.app.harvester.harvest()
    assert fleet.app.signals.due(10) == []


def test_signals_are_recorded_once(redis_client: redis.Redis) -> None:
    """The same fact reported twice is one fact with one event."""
    fleet = on_trial(redis_client)
    job = fleet.enqueue().job
    fact = fleet.fact(SignalKind.MERGED, commit="a")
    assert [fleet.app.signals.add(job, [fact]), fleet.app.signals.add(job, [fact])] == [1, 0]
    assert fleet.app.signals.add("0" * 16, [fact]) == -1
    assert len(fleet.events("job.signal")) == 1


def test_ledger_lines_are_of_their_form(redis_client: redis.Redis) -> None:
    """Both halves of a ledger are readable records with places that grow by one."""
    fleet = on_trial(redis_client)
    work(fleet, 4, canary=GOOD)
    fleet.app.harvester.harvest()
    ledger = fleet.app.harvester.ledger("implementer-t1")
    assert [line.index for line in ledger if isinstance(line, Dispatched)] == [0, 1, 2, 3]
    assert sorted(line.index for line in ledger if isinstance(line, Settlement)) == [0, 1, 2, 3]
