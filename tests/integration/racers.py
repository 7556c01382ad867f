"""What each racer does, in a thread or a process; importable by the processes that are started for it."""

import random
from multiprocessing.synchronize import Barrier
from threading import Barrier as ThreadBarrier

import redis

from harvest.evidence.policy import TrialPolicy
from routing.jobs.job import JobRequest
from tasks.settings.backtest_settings import BacktestSettings
from tasks.settings.settings import JudgeSettings
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet
from tests.servers.private_server import plain_client
from tests.waiting import slowdown

#: Longest that a racer waits for the others at the line, in seconds of an idle machine.
LINE_SECONDS = 60.0


def wait_at(line: Barrier | ThreadBarrier) -> None:
    """Wait until all racers are there; one that does not come breaks the line, and all of them fail."""
    line.wait(LINE_SECONDS * slowdown())


def harvest(url: str, line: Barrier) -> list[str]:
    """Harvest at the same moment as the others; returns the verdicts that this process carried out."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client)
        client.ping()
        wait_at(line)
        return [outcome.verdict.value for outcome in fleet.app.harvester.harvest().outcomes]


def backtest_fleet(client: redis.Redis, seed: int = 0) -> SteppedFleet:
    """A fleet whose backtests have five pairs at work, and that a few pairs decide."""
    return SteppedFleet(
        client, policy=TrialPolicy(delta=0.4, alpha=0.1, beta=0.1), generator=random.Random(seed),
        judge=JudgeSettings(command="make test"), backtest=BacktestSettings(pairs_at_once=5),
    )  # fmt: skip


def backtest_tick(url: str, line: Barrier, seed: int) -> None:
    """One tick of backtests at the same moment as the others."""
    with plain_client(url) as client:
        fleet = backtest_fleet(client, seed)
        client.ping()
        wait_at(line)
        fleet.app.backtest_runs.tick()


def enqueue(url: str, line: Barrier, draw: float) -> tuple[str, bool]:
    """Enqueue the same request at the same moment as the others; returns the job and whether it is new."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client, generator=ScriptedGenerator([draw]))
        client.ping()
        wait_at(line)
        request = JobRequest(template="implementer", task="fix the roof", idempotency_key="issue-7")
        done = fleet.app.mailbox.enqueue(request)
        return done.job, done.created


def claim(url: str, line: Barrier, job: str) -> bool:
    """Claim the same job at the same moment as the others; returns whether it was won."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client)
        client.ping()
        wait_at(line)
        return not isinstance(fleet.app.jobs.claim(job, worker="w", lease_seconds=30.0), str)
