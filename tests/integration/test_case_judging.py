"""Judging the pairs of a backtest: by a task of its own, which outlives neither its backtest nor a worker."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis

from harvest.backtests.case import Case, HiddenFile
from harvest.evidence.policy import TrialPolicy
from harvest.pairs.pair_ledger import PairSettlement
from routing.base import Base
from routing.forges.local.ci_sandbox import CiSandbox
from routing.git.remote import Remote
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, handed_over
from routing.store.backtests.backtest_store import BacktestState
from routing.store.judging.judging_store import AtAnswer, HandAnswer, JudgingClaim
from routing.templates.trial import Arm
from tasks.agents.pairs.handed_work import packed
from tasks.agents.pairs.judging import MOST_LOST, Judging, PairJudging
from tasks.composition.pair_parts import ask_judges, pair_judging_of
from tasks.settings.settings import AgentSettings, JudgeSettings
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tasks.work.tick import TickRequests
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.stepped_fleet import SteppedFleet
from tests.leaks import leaks
from tests.repositories import TemporaryRepository, new_repository
from tests.waiting import wait_until

LEASE = 30.0

#: Passes work that has the file, where the hidden test is laid over it.
GOOD = "test -e good.txt && test -e hidden.txt && cat hidden.txt"


class Sent(TickRequests):
    """Messages that would go to workers."""

    def __init__(self) -> None:
        """It needs no connection."""
        self.messages = list[tuple[str, ...]]()

    def ask(self, tick: str) -> None:
        """A tick is not looked for here."""

    def send(self, task: str, *arguments: str, queue: str = "control") -> None:
        """Note a message."""
        self.messages.append((task, *arguments, queue))


@dataclass
class CaseBench:
    """A fleet without workers whose backtest has cases of a real repository."""

    fleet: SteppedFleet
    repository: TemporaryRepository
    folder: Path
    made: SteppedBacktest

    def case(self, number: int, judge: str = GOOD) -> Case:
        """One case of the repository."""
        hidden = (HiddenFile(path="hidden.txt", content="it is laid over\n"),)
        base = self.repository.tip()
        return Case(
            id=f"shop-{number}",
            repository="shop",
            base=base,
            text=f"Issue {number}",
            hidden=hidden,
            judge=judge,
        )

    def begin(self, judge: str = GOOD) -> dict[Arm, Claim]:
        """Begin a backtest; workers have claimed the jobs of its first pair."""
        cases = [self.case(number, judge) for number in range(3)]
        self.made = SteppedBacktest(self.fleet, cases=cases)
        return self.claimed()

    def claimed(self) -> dict[Arm, Claim]:
        """The next pair's jobs, which workers have claimed."""
        self.made.tick()
        won = [self.fleet.claim(job.id) for job in self.made.jobs()]
        return {claim.job.pair_arm: claim for claim in won if claim.job.pair_arm}

    def hand_over(self, job: Job, name: str) -> HandAnswer:
        """Hand over work that adds a file, as the job's worker does."""
        base = Base(branch="main", commit=self.repository.tip())
        commit = self.repository.work(f"w-{job.id}", {name: "done\n"})
        fact = handed_over(at=self.fleet.clock(), commit=commit)
        return self.fleet.app.judging.hand_over(job, fact, packed(self.repository.git, commit, base))

    def work(self, claim: Claim, name: str) -> None:
        """Hand work over, and end the job."""
        assert self.hand_over(claim.job, name) is HandAnswer.OK
        self.fleet.app.jobs.end(
            claim, JobState.SUCCEEDED, reason="handed over", result=JobResult(commit="c0ffee"), signals=[]
        )

    def handed(self, judge: str = GOOD, champion: str = "good.txt", canary: str = "bad.txt") -> str:
        """A pair whose works wait for their judge; its id."""
        won = self.begin(judge)
        self.work(won[Arm.CHAMPION], champion)
        self.made.tick()
        assert self.fleet.app.judging.take() == []
        self.work(won[Arm.CANARY], canary)
        return self.ready()

    def ready(self) -> str:
        """The one pair that is ready to be judged."""
        self.made.tick()
        sent = Sent()
        ask_judges(self.fleet.app, sent)
        ((task, pair, queue),) = sent.messages
        assert (task, queue) == ("tasks.judge", "backtest")
        return pair

    def judging(self) -> PairJudging:
        """What judges on a host, as a worker has it."""
        keeper = LeaseKeeper(LeaseTimes(lease_seconds=LEASE, tick_seconds=0.05), monotonic=time.monotonic)
        remotes = {"shop": Remote(address=str(self.repository.path))}
        return pair_judging_of(self.fleet.app, remotes, keeper, Sent())

    def judge(self, pair: str) -> Judging:
        """Judge a pair to its end."""
        return self.judging().judge(pair, worker="w1")

    def lines(self) -> list[PairSettlement]:
        """What became of the pairs, after a tick."""
        self.made.tick()
        stored = self.fleet.app.backtest_store.settlements(self.made.run.id)
        return [PairSettlement.model_validate_json(line) for line in stored]

    def said(self, job: str) -> list[str]:
        """What the judge's lines in a job's log say."""
        return [line.text for line in self.fleet.app.log_store.read(job) if line.kind == "judge"]


@pytest.fixture
def bench(fake_redis: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CaseBench]:
    """A fleet with a champion and a version that waits; its judges run where the tests do, in no sandbox."""
    monkeypatch.setattr("tasks.composition.judges._SANDBOX", CiSandbox())
    fleet = SteppedFleet(
        fake_redis, policy=TrialPolicy(delta=0.4), judge=JudgeSettings(command=GOOD),
        generator=_Coin(), agent=AgentSettings(work_dir=tmp_path / "work"),
    )  # fmt: skip
    fleet.add()
    fleet.propose()
    repository = new_repository(tmp_path)
    made = CaseBench(fleet=fleet, repository=repository, folder=tmp_path, made=SteppedBacktest(fleet))
    fleet.app.backtest_opening.stop(made.made.now, by="ada")
    yield made
    assert leaks(fake_redis, fleet.app.keys) == []


class _Coin:
    """Says that the canary comes first."""

    def random(self) -> float:
        """Below one half."""
        return 0.25


def test_a_pair_is_judged_with_its_hidden_tests_in_the_coins_order(bench: CaseBench) -> None:
    """When both have handed over, and not before; what the judge printed is in both logs."""
    pair = bench.handed()
    assert bench.lines() == []
    assert bench.judge(pair) is Judging.JUDGED
    (line,) = bench.lines()
    assert (line.kind, line.champion, line.canary) == ("settled", 1.0, 0.0)
    champion, canary = bench.made.pairs()[0].dispatched.champion_job, pair
    facts = {job: bench.fleet.app.signals.read(job)[-1] for job in (champion, canary)}
    assert {job: fact.round for job, fact in facts.items()} == {canary: 1, champion: 2}
    assert bench.said(champion)[-1] == "it is laid over"
    assert not bench.fleet.redis.exists(bench.fleet.app.keys.pair(pair))


def test_a_kept_result_leaves_the_canary_alone_to_be_judged(bench: CaseBench) -> None:
    """The champion has no job there."""
    assert bench.judge(bench.handed()) is Judging.JUDGED
    bench.lines()
    bench.fleet.app.backtest_opening.stop(bench.made.now, by="ada")
    (won,) = bench.begin().values()
    bench.work(won, "good.txt")
    assert bench.judge(bench.ready()) is Judging.JUDGED
    (line,) = bench.lines()
    assert (line.champion, line.canary) == (1.0, 1.0)


@pytest.mark.parametrize("how", ["stopped", "by one that died"])
def test_a_backtest_that_ends_does_not_wait_for_its_judge(bench: CaseBench, how: str) -> None:
    """Who judges learns it with the lease, and nothing is judged again; also where nobody tidied up."""
    app, marker = bench.fleet.app, bench.folder / "begun"
    pair, answers = bench.handed(f"touch {marker}; tail -f /dev/null"), list[Judging]()
    judging = bench.judging()
    thread = threading.Thread(target=lambda: answers.append(judging.judge(pair, worker="w1")))
    thread.start()
    wait_until(marker.exists, description="the judge's command runs", timeout=60)
    if how == "stopped":
        app.backtest_opening.stop(bench.made.now, by="ada")
    else:
        app.backtest_store.advance(bench.made.now, lines=[], evidence="", state=BacktestState.STOPPED)
    thread.join(timeout=20)
    assert answers == [Judging.LOST if how == "stopped" else Judging.GIVEN_BACK]
    assert app.judging.take() == ([] if how == "stopped" else [pair])
    assert bench.judge(pair) is Judging.REFUSED
    assert "work:champion" not in bench.fleet.redis.hgetall(app.keys.pair(pair))


def test_work_at_which_workers_are_lost_scores_nothing(bench: CaseBench) -> None:
    """Three of them; then its base is judged, and where that can be done the work is the cause."""
    pair = bench.handed(judge="true")
    for _ in range(MOST_LOST):
        claim = bench.fleet.app.judging.claim(pair, lease_seconds=LEASE, worker="w1")
        assert isinstance(claim, JudgingClaim), claim
        assert bench.fleet.app.judging.at(claim, Arm.CANARY) is AtAnswer.OK
        bench.fleet.clock.forward(LEASE + 1)
    assert bench.judge(pair) is Judging.JUDGED
    (line,) = bench.lines()
    assert (line.kind, line.champion, line.canary) == ("settled", 1.0, 0.0)


@pytest.mark.parametrize("arm", list(Arm))
def test_a_pair_that_says_nothing_is_left_out_without_a_judge(bench: CaseBench, arm: Arm) -> None:
    """On whichever side it happened: the other one's work is dropped."""
    won = bench.begin()
    (other,) = set(Arm) - {arm}
    bench.work(won[other], "good.txt")
    lost = [bench.fleet.fact(SignalKind.QUOTA)]
    bench.fleet.app.jobs.end(won[arm], JobState.FAILED, reason="x", result=JobResult(), signals=lost)
    (line,) = bench.lines()
    assert (line.kind, "quota" in line.reason) == ("excluded", True)
    assert bench.fleet.app.judging.take() == []
    pair = bench.made.pairs()[0].id
    assert not bench.fleet.redis.exists(bench.fleet.app.keys.pair(pair))


@pytest.mark.parametrize("end", ["the lease", "the backtest"])
def test_work_that_nobody_needs_is_not_taken(bench: CaseBench, end: str) -> None:
    """Of a lease that was lost, and of a backtest that has ended."""
    won = bench.begin()[Arm.CANARY]
    if end == "the lease":
        stale, expected = replace(won.job, fence=won.job.fence - 1), HandAnswer.STALE
    else:
        bench.fleet.app.backtest_opening.stop(bench.made.now, by="ada")
        stale, expected = won.job, HandAnswer.OVER
    before = bench.fleet.everything()
    assert bench.hand_over(stale, "good.txt") is expected
    assert bench.fleet.everything() == before


def test_a_judge_that_cannot_be_run_leaves_the_pair_out(bench: CaseBench) -> None:
    """Not on the base either, so it is neither version's doing."""
    assert bench.judge(bench.handed(judge="no-such-program-anywhere")) is Judging.JUDGED
    (line,) = bench.lines()
    assert (line.kind, line.champion, line.canary) == ("excluded", None, None)
