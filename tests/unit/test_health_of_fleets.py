"""Trial health on a whole fleet: open jobs that are late, and issues that were not given to both versions."""

import itertools

import pytest
import redis

from harvest.draws.draw_ledger import Settlement
from harvest.evidence.health import HealthCheck
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from harvest.settling.score import ScoreRules
from routing.jobs.job import Job
from routing.jobs.signal import judgement
from routing.templates.trial import Arm, Mode, Trial
from tasks.backtests.pair_look import look_at
from tasks.backtests.report import replayed
from tasks.backtests.running import evidence_of
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest, some_cases
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet

BY_DRAW = TrialPolicy(share=0.1, revert_window_seconds=0.0, max_days=1_000.0)
PAIRS = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0, max_days=1_000.0)
JUDGE = JudgeSettings(command="true")

#: Seconds after which a job without a score is late.
HALF = BY_DRAW.settle_deadline_seconds / 2


def trial_of(fleet: SteppedFleet) -> Trial:
    """Its only trial, after a harvest."""
    fleet.app.harvester.harvest()
    return fleet.app.trials.find("implementer-t1")


def replays(fleet: SteppedFleet, trial: Trial) -> bool:
    """Whether the ledger gives the stored state."""
    return fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)


def test_canaries_that_hang_hold_a_trial_before_their_deadline(redis_client: redis.Redis) -> None:
    """An open job counts as soon as it is late; when it ends it is not counted again."""
    fleet = SteppedFleet(redis_client, draws=[0.05, 0.5] * 6, policy=BY_DRAW)
    fleet.on_trial()
    jobs = [fleet.app.jobs.find(fleet.enqueue().job) for _ in range(12)]
    for job in jobs:
        if job.arm is Arm.CHAMPION:
            fleet.end(job.id)
    fleet.clock.forward(HALF - 1)
    assert trial_of(fleet).alarms == ()
    fleet.clock.forward(1)
    held = trial_of(fleet)
    assert held.alarms == ("ages",)
    state = fleet.app.harvester.evidence(held)
    assert (state.health.balances[HealthCheck.AGES].canary, state.canary.open) == (6, 6)
    assert sorted(state.health.late) == [0, 2, 4, 6, 8, 10]
    aged = [
        line
        for line in fleet.app.harvester.ledger(held.id)
        if isinstance(line, Settlement) and not line.final
    ]
    assert len(aged) == 6
    assert replays(fleet, held)
    trial_of(fleet)
    fleet.clock.forward(HALF)
    ended = trial_of(fleet)
    state = fleet.app.harvester.evidence(ended)
    assert (state.health.balances[HealthCheck.AGES].canary, state.health.late) == (6, ())
    assert (state.canary.open, state.canary.mean) == (0, 0.0)
    assert replays(fleet, ended)


def test_a_wait_for_an_account_makes_no_open_job_late(redis_client: redis.Redis) -> None:
    """That is what `limits` watches."""
    fleet = SteppedFleet(redis_client, draws=[0.05], policy=BY_DRAW)
    fleet.on_trial()
    job = fleet.enqueue().job
    fleet.redis.hset(fleet.app.keys.job(job), "held_seconds", "100")
    fleet.clock.forward(HALF + 99)
    assert fleet.app.harvester.evidence(trial_of(fleet)).health.late == ()
    fleet.clock.forward(1)
    assert fleet.app.harvester.evidence(trial_of(fleet)).health.late == (0,)


class Coins:
    """A generator: each issue becomes a pair, and its coins fall in turn."""

    def __init__(self) -> None:
        self._numbers = itertools.cycle([0.3, 0.75, 0.3, 0.25])

    def random(self) -> float:
        """The next one."""
        return next(self._numbers)


def pairs_of(fleet: SteppedFleet, number: int) -> list[tuple[Job, Job]]:
    """So many issues for both versions."""
    found = []
    for _ in range(number):
        job = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
        found.append((job, fleet.app.jobs.find(job.partner)))
    return found


def judged(fleet: SteppedFleet, job: Job) -> None:
    """Its work is there, and good."""
    fleet.app.signals.add(
        job.id, [judgement(at=fleet.clock(), commit="c0ffee", value=1.0, note="exit code 0")]
    )


@pytest.mark.parametrize("late", [0, 1])
def test_pairs_of_which_one_half_hangs_hold_their_trial(redis_client: redis.Redis, late: int) -> None:
    """On either side, while they are open; pairs of which both hang say nothing."""
    fleet = SteppedFleet(redis_client, policy=PAIRS, generator=Coins(), judge=JUDGE)
    fleet.on_trial()
    for halves in pairs_of(fleet, 16):
        judged(fleet, halves[1 - late])
    pairs_of(fleet, 3)
    fleet.clock.forward(HALF - 1)
    assert trial_of(fleet).alarms == ()
    fleet.clock.forward(1)
    held = trial_of(fleet)
    state = fleet.app.harvester.evidence(held)
    assert held.alarms == ("ages",)
    found = state.health.balances[HealthCheck.AGES]
    assert (found.champion, found.canary) == ((16, 0) if late == 0 else (0, 16))
    assert state.canary_jobs == 0, "all are open"
    assert replays(fleet, held)
    fleet.clock.forward(HALF + 1)
    ended = trial_of(fleet)
    after = fleet.app.harvester.evidence(ended)
    assert (after.health.balances[HealthCheck.AGES], after.health.late) == (found, ())
    assert (
        len([one for one in fleet.app.harvester.ledger(held.id) if isinstance(one, PairSettlement)])
        == 16 + 19
    )
    assert replays(fleet, ended)


def test_a_half_is_late_alone_once_the_other_has_ended_in_time(redis_client: redis.Redis) -> None:
    """One that waits for its account may still be late itself: until that is known nothing is counted."""
    fleet = SteppedFleet(redis_client, policy=PAIRS, generator=Coins(), judge=JUDGE)
    fleet.on_trial()
    ((champion, canary),) = pairs_of(fleet, 1)
    fleet.redis.hset(fleet.app.keys.job(champion.id), "held_seconds", "1000")
    fleet.clock.forward(HALF + 10)
    assert HealthCheck.AGES not in fleet.app.harvester.evidence(trial_of(fleet)).health.balances
    judged(fleet, champion)
    state = fleet.app.harvester.evidence(trial_of(fleet))
    assert state.health.balances[HealthCheck.AGES].canary == 1
    assert state.worse.is_open(canary.pair or 0)


def test_a_side_of_a_backtest_that_hangs_counts_while_it_is_open(redis_client: redis.Redis) -> None:
    """By the time since its first claim, once; its ledger gives the state of one that runs."""
    fleet = SteppedFleet(redis_client, policy=PAIRS, judge=JUDGE, draws=[0.5] * 200)
    fleet.add()
    fleet.propose()
    made = SteppedBacktest(fleet, cases=some_cases(1))
    made.tick()
    fleet.clock.forward(3 * HALF)  # no worker has taken them
    won = {job.pair_arm: fleet.claim(job.id, lease_seconds=10**7) for job in made.jobs()}
    made.judged(won[Arm.CHAMPION], 1.0)
    fleet.clock.forward(HALF - 1)
    made.tick()
    assert HealthCheck.AGES not in evidence_of(made.now).health.balances
    fleet.clock.forward(1)
    for _ in range(2):
        made.tick()
        state = evidence_of(made.now)
        assert (state.health.balances[HealthCheck.AGES].canary, state.health.late) == (1, (0,))
        assert state.counts.open == 1
        assert replayed(fleet.app.backtest_store, made.now, state) == state
    (pair,) = made.pairs()
    facts = {name: (job, said) for name, job, said in fleet.app.signals.read_due([won[Arm.CANARY].job.id])}
    rules = ScoreRules(settle_deadline_seconds=PAIRS.settle_deadline_seconds)
    assert look_at(pair, facts, now=fleet.clock(), rules=rules).aged is None, "the other side is not known"
    made.judged(won[Arm.CANARY], 1.0)
    made.tick()
    ended = evidence_of(made.now)
    assert (ended.health.balances[HealthCheck.AGES].canary, ended.health.late) == (1, ())
    assert ended.counts.settled == 1
    assert replayed(fleet.app.backtest_store, made.now, ended) == ended


def shared(client: redis.Redis, numbers: list[float]) -> SteppedFleet:
    """A trial that pairs half of the issues, which has been given as many issues as numbers."""
    policy = PAIRS.model_copy(update={"pair_share": 0.5})
    script = [each for number in numbers for each in ([number, 0.75] if number < 0.5 else [number])]
    fleet = SteppedFleet(client, policy=policy, judge=JUDGE, generator=ScriptedGenerator(script))
    fleet.on_trial()
    for _ in numbers:
        fleet.enqueue(repository="shop")
    return fleet


def test_issues_that_the_coin_leaves_unpaired_are_in_the_ledger(redis_client: redis.Redis) -> None:
    """The next pair says how many there were, so that the check can be computed again."""
    fleet = shared(redis_client, [0.6, 0.4, 0.7, 0.8, 0.1, 0.9])
    fleet.enqueue()  # nothing that could be paired: no coin is asked
    found = [one for one in fleet.app.harvester.ledger("implementer-t1") if isinstance(one, PairDispatched)]
    assert [one.unpaired for one in found] == [1, 3]
    trial = trial_of(fleet)
    balance = fleet.app.harvester.evidence(trial).health.balances[HealthCheck.PAIRED]
    assert (balance.champion, balance.canary, balance.expected) == (3, 2, 2.5)
    assert replays(fleet, trial)


@pytest.mark.parametrize(
    ("numbers", "alarms"),
    [
        ([0.6, 0.4] * 30, ()),
        ([0.6] * 24 + [0.4], ("paired",)),  # hardly any
        ([0.4] * 20, ("paired",)),  # all of them
    ],
)
def test_a_share_of_pairs_that_is_not_what_was_recorded_holds_the_trial(
    redis_client: redis.Redis, numbers: list[float], alarms: tuple[str, ...]
) -> None:
    """Too few as well as too many; a fair coin is left alone."""
    fleet = shared(redis_client, numbers)
    trial = trial_of(fleet)
    state = fleet.app.harvester.evidence(trial)
    found = state.health.alarms()
    assert [each.check.value for each in found if each.check is HealthCheck.PAIRED] == list(alarms)
    if alarms:
        (alarm,) = (each for each in found if each.check is HealthCheck.PAIRED)
        pairs = sum(number < 0.5 for number in numbers)
        assert f"{pairs} of {len(numbers)} went to both, about {len(numbers) / 2:g} were" in alarm.sentence
        assert alarm.check.holds_rollback


def test_where_all_issues_are_paired_each_one_that_is_not_speaks() -> None:
    """A share of 1 leaves none out by chance; pairs alone say nothing then."""
    state = PairEvidence.begin(PAIRS)
    for index in range(50):
        state = state.dispatch(pair_line(index, unpaired=0))
    assert state.health.balances[HealthCheck.PAIRED].ln_best == 0.0
    state = state.dispatch(pair_line(50, unpaired=8))
    assert state.health.balances[HealthCheck.PAIRED].has_fired


def test_ledgers_of_before_have_no_check_of_their_share() -> None:
    """What was not counted is not taken for 0."""
    state = PairEvidence.begin(PAIRS).dispatch(pair_line(0, unpaired=None))
    assert HealthCheck.PAIRED not in state.health.balances


def pair_line(index: int, *, unpaired: int | None) -> PairDispatched:
    """A pair, whose coins fall in turn."""
    return PairDispatched(
        index=index, champion_job="a", canary_job="b", first=Arm.CANARY if index % 2 else Arm.CHAMPION,
        discordance=0.5, unpaired=unpaired,
    )  # fmt: skip
