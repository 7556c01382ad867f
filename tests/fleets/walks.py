"""A version that goes its way to champion by the steps of its settings; a test works its jobs by hand."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from harvest.evidence.policy import TrialPolicy
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, judgement
from routing.templates.step import StepKind
from routing.templates.templates import ProposalPolicy
from routing.templates.version import Version, VersionState
from tasks.backtests.case_folder import CaseFolder
from tasks.composition.ticks import harvest_tick
from tasks.settings.backtest_settings import BacktestSettings
from tasks.settings.settings import JudgeSettings
from tests.fleets.backtests import some_cases
from tests.fleets.stepped_fleet import SteppedFleet

POLICY = TrialPolicy(delta=0.4, alpha=0.3, beta=0.1, share=0.5, revert_window_seconds=0.0)

ALL = (StepKind.BACKTEST, StepKind.SHADOW, StepKind.DRAW)


class HandJudge:
    """Judging is said by hand."""

    def send(self, *_: object, **__: object) -> None:
        """Nothing is sent."""

    ask = send


class Walk:
    """A fleet whose one version goes its way; its jobs are worked by hand, with the score of its version."""

    def __init__(
        self, client: redis.Redis, folder: Path, *, steps: tuple[StepKind, ...] = ALL, cases: int = 40,
        policy: TrialPolicy = POLICY, begun: Version | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        """With `begun` the version is there already, and so is its way."""
        if cases:
            CaseFolder(folder).write(some_cases(cases))
        self.fleet = SteppedFleet(
            client, policy=policy, steps=steps, judge=JudgeSettings(command="make test"),
            generator=random.Random(5), backtest=BacktestSettings(cases=folder), **settings,
        )  # fmt: skip
        if begun is None:
            self.fleet.add()
            self.fleet.app.templates.set_policy("implementer", ProposalPolicy.CANARY)
        self.version: Version = begun or self.fleet.propose()

    @property
    def state(self) -> VersionState:
        """Of the version."""
        return self.fleet.app.templates.find(self.version.id).state

    @property
    def way(self) -> str:
        """The way as it is stored, with its step, or ""."""
        found = self.fleet.app.ways.of_template("implementer")
        return f"{found.at} {found.step} {found.run}" if found else ""

    def tick(self) -> None:
        """The tick that harvests."""
        harvest_tick(self.fleet.app, HandJudge())  # type: ignore[arg-type]

    def work(self, score: Callable[[Job], float]) -> None:
        """One more issue, then every job that waits is worked."""
        fleet = self.fleet
        if fleet.app.trials.open_trials():
            fleet.enqueue(repository="shop")
        for job in [job for job in fleet.app.jobs.newest(most=300) if job.state is JobState.QUEUED]:
            won, value = fleet.app.jobs.claim(job.id, worker="w1", lease_seconds=30.0), score(job)
            if not isinstance(won, Claim):  # of a backtest that was stopped
                continue
            kind = SignalKind.FINISHED if value else SignalKind.AGENT_ERRORED
            word = judgement(at=fleet.clock(), commit="c0ffee", value=value, note="exit code 1")
            fleet.app.signals.add(job.id, [word if job.pair is not None else fleet.fact(kind)])
            fleet.app.jobs.end(
                won, JobState.SUCCEEDED, reason="done", result=JobResult(commit="c0ffee"), signals=[]
            )
        fleet.clock.forward(1.0)

    def until(self, done: Callable[[], bool], score: Callable[[Job], float], most: int = 400) -> None:
        """Go on until something is so."""
        for _ in range(most):
            self.tick()
            if done():
                return
            self.work(score)
        raise AssertionError(self.way, self.state)


def all_good(_: Job) -> float:
    """Both versions solve everything."""
    return 1.0


def worse_at(*steps: str) -> Callable[[Job], float]:
    """The version fails in these steps, and is as good in the others."""

    def score(job: Job) -> float:
        step = "backtest" if job.backtest else "shadow" if job.pair is not None else "draw"
        return 0.0 if job.version == 2 and step in steps else 1.0

    return score
