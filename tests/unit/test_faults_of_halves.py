"""What befalls one half of a pair, live or of a past issue: it is waited for, counts, or leaves out both.

Each story is played with both kinds of pairs, and what is stored is what the ledger gives.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import redis

from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_evidence import PairEvidence
from harvest.pairs.pair_ledger import PairSettlement
from routing.accounts.account import Account
from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from routing.jobs.signal import SignalKind, judgement
from routing.jobs.turn import Hindrance, HindranceKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.templates.trial import Arm, Mode
from routing.templates.version import Snapshot
from tasks.backtests.report import replayed
from tasks.backtests.running import evidence_of
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import SteppedFleet

POLICY = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0)
DEADLINE = POLICY.settle_deadline_seconds

#: An account for each version, so that the limit of one is not the other's.
ACCOUNTS = tuple(Account(name=f"of-{arm}", runtime="claude") for arm in Arm)


class Turns:
    """A generator: each issue is a pair, and each coin falls on the other side than the last one."""

    def __init__(self) -> None:
        self.asked = 0

    def random(self) -> float:
        """0.75, 0.75, 0.25, 0.25 and so on."""
        self.asked += 1
        return 0.75 if self.asked % 4 in {1, 2} else 0.25


class Pairs(ABC):
    """A fleet whose champion and canary work on the same issues."""

    def __init__(self, client: redis.Redis) -> None:
        self.fleet = SteppedFleet(
            client, policy=POLICY, judge=JudgeSettings(command="true"), generator=Turns(), account=ACCOUNTS
        )
        one, two = (Snapshot(runtime="claude", prompt=arm, accounts=(f"of-{arm}",)) for arm in Arm)
        self.fleet.app.templates.add("implementer", one)
        self.canary = self.fleet.app.templates.propose("implementer", two).version
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Have both versions compared."""

    @abstractmethod
    def pair(self) -> dict[Arm, Job]:
        """Both jobs of the next pair, which wait for a worker."""

    @abstractmethod
    def state(self) -> PairEvidence:
        """The state of the test after a tick, which must be what the ledger gives."""

    @abstractmethod
    def stored(self) -> Sequence[Any]:
        """What is stored of the pairs' ends."""

    def line(self) -> PairSettlement | None:
        """What became of the only pair, after a tick; None while it is open."""
        counts, lines = self.state().counts, self.stored()
        assert (counts.settled + counts.excluded, counts.dispatched) == (len(lines), 1)
        return lines[0] if lines else None

    def judged(self, job: Job, value: float) -> None:
        """The judge's word on the work of a half."""
        word = judgement(at=self.fleet.clock(), commit="c0ffee", value=value, note="exit code 0")
        self.fleet.app.signals.add(job.id, [word])

    def lose_worker(self, job: Job) -> None:
        """A worker takes a job and is not heard of again."""
        self.fleet.claim(job.id)
        self.fleet.clock.forward(31)
        assert job.id in self.fleet.app.jobs.reap(at=self.fleet.clock())


class LivePairs(Pairs):
    """A trial in mode `shadow`."""

    def begin(self) -> None:
        """Open it."""
        self.trial = self.fleet.open(self.canary)

    def pair(self) -> dict[Arm, Job]:
        """An issue comes in."""
        job = self.fleet.app.jobs.find(self.fleet.enqueue(repository="shop").job)
        return {Arm.CHAMPION: job, Arm.CANARY: self.fleet.app.jobs.find(job.partner)}

    def state(self) -> PairEvidence:
        """After a harvest."""
        self.fleet.app.harvester.harvest()
        trial = self.fleet.app.trials.find(self.trial.id)
        found = self.fleet.app.harvester.evidence(trial)
        assert self.fleet.app.harvester.replayed(trial) == found
        assert isinstance(found, PairEvidence)
        return found

    def stored(self) -> Sequence[Any]:
        """The lines of its ledger that settle a pair."""
        ledger = self.fleet.app.harvester.ledger(self.trial.id)
        return [line for line in ledger if isinstance(line, PairSettlement)]


class PastPairs(Pairs):
    """A backtest; of its cases one is at work at a time."""

    def begin(self) -> None:
        """Begin it."""
        self.made = SteppedBacktest(self.fleet, most=1)

    def pair(self) -> dict[Arm, Job]:
        """A case is given out."""
        self.made.tick()
        return {job.pair_arm: job for job in self.made.jobs() if job.pair_arm}

    def state(self) -> PairEvidence:
        """After a tick."""
        self.made.tick()
        store, run = self.fleet.app.backtest_store, self.made.now
        found = evidence_of(run)
        if not run.evidence:  # before anything has ended
            return replayed(store, run, None)
        assert replayed(store, run, found) == found
        return found

    def stored(self) -> Sequence[Any]:
        """Its settlements."""
        lines = self.fleet.app.backtest_store.settlements(self.made.run.id)
        return [PairSettlement.model_validate_json(line) for line in lines]


KINDS: Mapping[str, Callable[[redis.Redis], Pairs]] = {"live": LivePairs, "past": PastPairs}

#: Each story is played twice: with a half of a live pair, and with the other half of a past one.
HALVES = pytest.mark.parametrize(("kind", "half"), [("live", Arm.CANARY), ("past", Arm.CHAMPION)])


def other(half: Arm) -> Arm:
    """The other half."""
    return Arm.CANARY if half is Arm.CHAMPION else Arm.CHAMPION


@HALVES
def test_a_cancel_of_one_half_leaves_the_pair_out(redis_client: redis.Redis, kind: str, half: Arm) -> None:
    """Whatever the other one shows, before or after; a person's cancel makes neither half the cause."""
    pairs = KINDS[kind](redis_client)
    jobs = pairs.pair()
    pairs.judged(jobs[other(half)], 1.0)
    assert pairs.line() is None
    pairs.fleet.app.jobs.cancel(jobs[half].id, by="ada", at=pairs.fleet.clock())
    line = pairs.line()
    assert line is not None
    assert (line.kind, line.champion, line.canary, line.excluded_by) == ("excluded", None, None, None)
    pairs.judged(jobs[half], 1.0)  # too late
    assert pairs.line() == line


@HALVES
def test_a_half_that_loses_its_worker_is_waited_for_and_then_leaves_the_pair_out(
    redis_client: redis.Redis, kind: str, half: Arm
) -> None:
    """As long as another worker may take it; after its last attempt it is the half that is the cause."""
    pairs = KINDS[kind](redis_client)
    jobs = pairs.pair()
    pairs.judged(jobs[other(half)], 1.0)
    for _ in range(jobs[half].max_attempts):
        assert pairs.line() is None
        assert pairs.fleet.app.jobs.find(jobs[half].id).state is JobState.QUEUED
        pairs.lose_worker(jobs[half])
    line = pairs.line()
    assert line is not None
    assert (line.kind, line.excluded_by) == ("excluded", half)
    assert "worker was lost" in line.reason


@HALVES
def test_a_half_whose_account_is_at_its_limit_is_waited_for(
    redis_client: redis.Redis, kind: str, half: Arm
) -> None:
    """Beyond any deadline, and at no cost to its version: the ledger says which half waited, and no more."""
    pairs = KINDS[kind](redis_client)
    jobs, fleet = pairs.pair(), pairs.fleet
    first = fleet.claim(jobs[half].id)
    met = AccountLimit(kind=LimitKind.USAGE, until=fleet.clock() + 2 * DEADLINE, words="enough")
    fleet.app.breakers.met(first.job.account, first.job.model, met, job=first.job.id)
    put_off(fleet, first, met)
    assert fleet.app.jobs.claim(jobs[half].id, worker="w1", lease_seconds=30) is ClaimRefusal.LIMITED
    pairs.judged(jobs[other(half)], 0.0)
    fleet.clock.forward(2 * DEADLINE - 1)
    assert pairs.line() is None
    fleet.clock.forward(2)
    won = fleet.claim(jobs[half].id)
    assert won.job.attempts == 1
    pairs.judged(jobs[half], 1.0)
    line = pairs.line()
    assert line is not None
    assert (line.kind, line.waited) == ("settled", (half,))
    ages = {Arm.CHAMPION: line.champion_age_seconds, Arm.CANARY: line.canary_age_seconds}
    assert max(ages[half] or 0.0, 0.0) < 60.0, "its wait does not count"


def put_off(fleet: SteppedFleet, claim: Claim, met: AccountLimit) -> None:
    """A turn met the limit of its account, as its worker reports it."""
    now = fleet.clock()
    hindrance = Hindrance(kind=HindranceKind.LIMIT, since=now, seen_at=now, until=met.until)
    fleet.app.jobs.hindered(claim, UNCOUNTED, reason="put off", hindrance=hindrance, goes_on=True)


@pytest.mark.parametrize(
    ("kind", "crashes"),
    [("live", (Arm.CANARY,)), ("past", (Arm.CHAMPION,)), ("past", (Arm.CANARY,)), ("past", tuple(Arm))],
)
def test_an_agent_that_crashes_scores_0(
    redis_client: redis.Redis, kind: str, crashes: tuple[Arm, ...]
) -> None:
    """In one half it loses to work that is judged; in both the pair counts as solved by neither."""
    pairs = KINDS[kind](redis_client)
    jobs = pairs.pair()
    for arm, job in jobs.items():
        if arm not in crashes:
            pairs.judged(job, 1.0)
            continue
        fact = pairs.fleet.fact(SignalKind.AGENT_ERRORED)
        pairs.fleet.app.jobs.give_up(
            pairs.fleet.claim(job.id), reason="exit code 7", result=JobResult(exit_code=7), signals=[fact]
        )
    line = pairs.line()
    assert line is not None
    assert (line.champion, line.canary) == tuple(float(arm not in crashes) for arm in Arm)
    counts = pairs.state().counts
    assert (counts.settled, counts.excluded, counts.neither) == (1, 0, int(len(crashes) == len(Arm)))


def test_a_budget_ends_a_trial_of_pairs_for_all_to_see(redis_client: redis.Redis) -> None:
    """Both halves are paid for: it expires, a person is asked, and no shadow at work goes on in vain."""
    live = LivePairs(redis_client)
    fleet = live.fleet
    fleet.app.trials.stop(live.trial, by="ada")
    policy = POLICY.model_copy(update={"budget_usd": 2.0})
    trial = live.trial = fleet.open(fleet.propose("three"), policy)
    jobs = live.pair()
    won = {arm: fleet.claim(job.id) for arm, job in jobs.items()}
    fleet.spend(won[Arm.CHAMPION], usd=1.5)
    assert fleet.app.harvester.harvest().outcomes == []
    fleet.spend(won[Arm.CANARY], usd=1.0)
    (outcome,) = fleet.app.harvester.harvest().outcomes
    ended = fleet.app.trials.find(trial.id)
    assert (ended.state, "2.50 USD (budget 2.00)" in ended.reason) == ("expired", True), outcome
    assert len(fleet.events("trial.expired")) == 1
    assert (fleet.state(fleet.app.templates.find(trial.canary_id)), live.stored()) == ("pending", [])
    held = [(won[arm].job.id, won[arm].fence) for arm in Arm]
    asked = [bool(lease.stop) for lease in fleet.app.job_store.renew(held, extend_seconds=30)]
    assert asked == [False, True], "the shadow is ended, the champion's job is people's"
