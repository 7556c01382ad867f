"""Races on a real server: whichever process is first, the step is made once."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.managers import SyncManager
from multiprocessing.synchronize import Barrier
from threading import Barrier as ThreadBarrier
from typing import Any

import pytest
import redis

from harvest.draws.draw_ledger import Dispatched
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.verdict import Verdict
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from routing.embedded.private_server import PrivateServer
from routing.events import PAIR_SETTLED
from routing.jobs.signal import SignalKind, judgement
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import Arm, Mode
from routing.templates.version import VersionState
from tasks.backtests.report import replayed
from tasks.backtests.running import evidence_of
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import SteppedBacktest
from tests.fleets.forked_celery import preloaded
from tests.fleets.stepped_fleet import SteppedFleet, request
from tests.integration import racers
from tests.servers.private_server import plain_client
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("harvest-races")

RACERS = 10


@dataclass(frozen=True)
class Processes:
    """Ten processes without a connection or a part that one of them made, kept for the races of this file."""

    pool: ProcessPoolExecutor
    lines: SyncManager

    def race(self, run: Callable[..., Any], url: str, *args: tuple[Any, ...]) -> list[Any]:
        """Run the same thing in all of them at the same moment."""
        line: Barrier = self.lines.Barrier(RACERS)  # type: ignore[assignment] # a proxy of one
        runs = [self.pool.submit(run, url, line, *rest) for rest in args]
        wait_until(
            lambda: all(run.done() for run in runs), description="ten processes have ended", timeout=90
        )
        return [run.result() for run in runs]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Forked from one that has only imported the product: ten imports at once would be most of the file."""
    with ProcessPoolExecutor(RACERS, mp_context=preloaded()) as pool, preloaded().Manager() as lines:
        yield Processes(pool, lines)


def decided(client: redis.Redis, *, canary: SignalKind, champion: SignalKind) -> SteppedFleet:
    """A trial whose outcomes are all in, and that nobody has harvested."""
    fleet = SteppedFleet(client, draws=[0.0, 0.999] * 30)
    fleet.on_trial()
    for one in fleet.app.mailbox.enqueue_many([request() for _ in range(60)]):
        fleet.end(one.job, canary if one.arm == "canary" else champion)
    return fleet


@pytest.mark.parametrize("bad", [True, False])
def test_ten_processes_decide_once(
    processes: Processes, redis_server: PrivateServer, redis_client: redis.Redis, *, bad: bool
) -> None:
    """Ten harvests cross the threshold at once: one verdict, one event, one review, one champion."""
    worse, better = SignalKind.ESCALATED, SignalKind.FINISHED
    fleet = decided(redis_client, canary=worse if bad else better, champion=better if bad else worse)
    verdicts = processes.race(racers.harvest, redis_server.url, *[()] * RACERS)
    assert [verdict for found in verdicts for verdict in found] == ["roll_back" if bad else "graduate"]
    kind = "candidate.rolled_back" if bad else "candidate.auto_promoted"
    assert (
        len(fleet.events("candidate.rolled_back", "candidate.auto_promoted")) == len(fleet.events(kind)) == 1
    )
    assert len(fleet.events("job.settled")) == 60
    assert len(fleet.app.trial_store.settlements("implementer-t1")) == 60
    assert len(fleet.app.templates.reviews("implementer")) == 1
    assert fleet.app.templates.champion("implementer").number == (1 if bad else 2)
    trial = fleet.app.trials.find("implementer-t1")
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
    assert fleet.app.harvester.evidence(trial).dispatched == 60
    before = fleet.everything()
    assert processes.race(racers.harvest, redis_server.url, *[()] * RACERS) == [[]] * RACERS
    assert fleet.everything() == before


def judged_pairs(client: redis.Redis, *, champion: float, canary: float) -> SteppedFleet:
    """A trial of forty pairs that are all judged, and that nobody has harvested."""
    policy = TrialPolicy(mode=Mode.SHADOW, revert_window_seconds=0.0)
    judge = JudgeSettings(command="true")
    fleet = SteppedFleet(client, policy=policy, generator=random.Random(8), judge=judge)
    fleet.on_trial()
    for _ in range(40):
        job = fleet.app.jobs.find(fleet.enqueue(repository="shop").job)
        for half, value in ((job.id, champion), (job.partner, canary)):
            word = judgement(at=fleet.clock(), commit="c0ffee", value=value, note="exit code 0")
            fleet.app.signals.add(half, [word])
    return fleet


@pytest.mark.parametrize("bad", [True, False])
def test_ten_processes_decide_a_trial_of_pairs_once(
    processes: Processes, redis_server: PrivateServer, redis_client: redis.Redis, *, bad: bool
) -> None:
    """One line a pair, one verdict, one event of it, and a second race changes nothing."""
    fleet = judged_pairs(redis_client, champion=1.0 if bad else 0.0, canary=0.0 if bad else 1.0)
    verdicts = processes.race(racers.harvest, redis_server.url, *[()] * RACERS)
    assert [verdict for found in verdicts for verdict in found] == ["roll_back" if bad else "graduate"]
    kind = "candidate.rolled_back" if bad else "candidate.auto_promoted"
    assert (
        len(fleet.events("candidate.rolled_back", "candidate.auto_promoted")) == len(fleet.events(kind)) == 1
    )
    assert len(fleet.events(PAIR_SETTLED)) == 40
    ledger = fleet.app.harvester.ledger("implementer-t1")
    assert [line.index for line in ledger if isinstance(line, PairDispatched)] == list(range(40))
    assert sorted(line.index for line in ledger if isinstance(line, PairSettlement)) == list(range(40))
    assert len(fleet.app.templates.reviews("implementer")) == 1
    assert fleet.app.templates.champion("implementer").number == (1 if bad else 2)
    trial = fleet.app.trials.find("implementer-t1")
    assert fleet.app.harvester.replayed(trial) == fleet.app.harvester.evidence(trial)
    before = fleet.everything()
    assert processes.race(racers.harvest, redis_server.url, *[()] * RACERS) == [[]] * RACERS
    assert fleet.everything() == before


@pytest.mark.long
def test_ten_processes_tick_a_backtest_as_one(
    processes: Processes, redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """Each case is given out and counted once, no more at a time than may be; one end, one rejection."""
    fleet = racers.backtest_fleet(redis_client)
    fleet.add()
    fleet.propose()
    made = SteppedBacktest(fleet, refuse=True)
    for race in range(20):
        processes.race(
            racers.backtest_tick, redis_server.url, *[(10 * race + each,) for each in range(RACERS)]
        )
        if not made.now.is_running:
            break
        assert len(made.jobs()) == 10, "five pairs are at work"
        made.work(lambda job: float(job.pair_arm is Arm.CHAMPION))
    assert made.now.state is BacktestState.WORSE
    assert [pair.index for pair in made.pairs()] == list(range(len(made.pairs())))
    lines = [
        PairSettlement.model_validate_json(line) for line in fleet.app.backtest_store.settlements(made.run.id)
    ]
    assert len({line.index for line in lines}) == len(lines) == evidence_of(made.now).counts.settled
    assert replayed(fleet.app.backtest_store, made.now, evidence_of(made.now)) == evidence_of(made.now)
    assert fleet.app.templates.find(made.canary.id).state is VersionState.REJECTED
    before = fleet.everything()
    processes.race(racers.backtest_tick, redis_server.url, *[(each,) for each in range(RACERS)])
    assert fleet.everything() == before


def test_ten_threads_decide_once(redis_server: PrivateServer, redis_client: redis.Redis) -> None:
    """The same within one process, each thread with parts of its own."""
    fleet = decided(redis_client, canary=SignalKind.ESCALATED, champion=SignalKind.FINISHED)
    line = ThreadBarrier(RACERS)

    def harvest(_: int) -> list[Verdict]:
        with plain_client(redis_server.url) as client:
            mine = SteppedFleet(client)
            racers.wait_at(line)
            return [outcome.verdict for outcome in mine.app.harvester.harvest().outcomes]

    with ThreadPoolExecutor(RACERS) as pool:
        verdicts = [verdict for found in pool.map(harvest, range(RACERS)) for verdict in found]
    assert verdicts == [Verdict.ROLL_BACK]
    assert len(fleet.events("candidate.rolled_back")) == 1
    assert len(fleet.events("job.settled")) == 60


def test_ten_processes_enqueue_one_job(
    processes: Processes, redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """One idempotency key, ten processes: one job, one recorded draw, one dispatch in the ledger."""
    fleet = SteppedFleet(redis_client)
    trial = fleet.on_trial()
    draws = [(number / RACERS,) for number in range(RACERS)]
    done = processes.race(racers.enqueue, redis_server.url, *draws)
    assert len({job for job, _ in done}) == 1
    assert sum(created for _, created in done) == 1
    (job,) = fleet.app.jobs.newest(most=10)
    (dispatch,) = (line for line in fleet.app.harvester.ledger(trial.id) if isinstance(line, Dispatched))
    assert (dispatch.job_id, dispatch.draw) == (job.id, job.draw)
    assert sum(fleet.app.trials.find(trial.id).dispatched.values()) == 1
    assert len(fleet.events("job.queued")) == 1


def test_ten_processes_claim_one_lease(
    processes: Processes, redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """One job, ten workers: one of them works."""
    fleet = SteppedFleet(redis_client)
    fleet.add()
    job = fleet.enqueue().job
    won = processes.race(racers.claim, redis_server.url, *[(job,)] * RACERS)
    assert sum(won) == 1
    assert (fleet.app.jobs.find(job).attempts, len(fleet.events("job.claimed"))) == (1, 1)


def test_jobs_enqueued_beside_a_harvest_are_all_counted(
    redis_server: PrivateServer, redis_client: redis.Redis
) -> None:
    """Threads that enqueue, work and harvest at once lose no dispatch and no settlement."""
    setup = SteppedFleet(redis_client)
    trial = setup.on_trial()

    def work(seed: int) -> None:
        with plain_client(redis_server.url) as client:
            fleet = SteppedFleet(client, generator=random.Random(seed))
            for _ in range(15):
                fleet.end(fleet.enqueue().job, SignalKind.FINISHED)
                fleet.app.harvester.harvest()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    setup.app.harvester.harvest()
    found = setup.app.trials.find(trial.id)
    state = setup.app.harvester.evidence(found)
    assert state.dispatched == sum(found.dispatched.values())
    assert state.canary.open + state.champion.open == 0
    assert setup.app.harvester.replayed(found) == state
