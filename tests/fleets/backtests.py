"""A backtest on a stepped fleet: cases without a repository, and a judge whose words are said by hand."""

import random
from collections.abc import Callable, Sequence

import redis

from harvest.backtests.case import Case, HiddenFile
from harvest.backtests.case_pair import CasePair
from harvest.evidence.health import HealthCheck
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import judgement
from routing.store.backtests.backtest_store import Backtest
from routing.templates.trial import Arm
from routing.templates.version import Version
from tasks.agents.runtimes.agent_event import Usage
from tasks.backtests.opening import BacktestOrder
from tasks.settings.settings import JudgeSettings
from tasks.settings.web_settings import WebSettings
from tests.fleets.stepped_fleet import SteppedFleet, spend


def some_cases(number: int) -> list[Case]:
    """Cases that differ in their text."""
    hidden = (HiddenFile(path="tests/test_it.py", content="assert True\n"),)
    return [
        Case(id=f"shop-{place}", repository="shop", base="a" * 40, text=f"Issue {place}", hidden=hidden)
        for place in range(number)
    ]


def hold(fleet: SteppedFleet, run: Backtest) -> None:
    """Have a backtest hold itself, as if a check of its health had fired."""
    alarms = [HealthCheck.EXCLUSIONS.value]
    fleet.app.backtest_store.advance(run, lines=[], evidence="", alarms=alarms, alarm={"reasons": ["uneven"]})


class SteppedBacktest:
    """A backtest whose jobs are worked by hand, each with the score that a test gives its version."""

    def __init__(
        self,
        fleet: SteppedFleet,
        *,
        template: str = "implementer",
        cases: Sequence[Case] = (),
        **order: object,
    ) -> None:
        self.fleet = fleet
        self.champion: Version = fleet.app.templates.champion(template)
        self.canary: Version = fleet.app.templates.find(f"{template}@latest")
        self.run: Backtest = fleet.app.backtest_opening.open(
            BacktestOrder(
                canary=self.canary,
                champion=self.champion,
                cases=cases or some_cases(40),
                by="ada",
                **order,  # type: ignore[arg-type]
            )
        )

    @property
    def now(self) -> Backtest:
        """The backtest as it is stored."""
        return self.fleet.app.backtest_opening.find(self.run.id)

    def pairs(self) -> list[CasePair]:
        """The cases that were given out."""
        stored = self.fleet.app.backtest_store.pairs(self.run.id)
        return [CasePair.model_validate_json(line) for line in stored]

    def tick(self) -> None:
        """One tick, after the sweep published what is to be published."""
        self.fleet.app.backtest_runs.tick()

    def jobs(self) -> list[Job]:
        """The jobs of it that wait."""
        found = (job for job in self.fleet.app.jobs.newest(most=200) if job.backtest == self.run.id)
        return [job for job in found if job.state is JobState.QUEUED]

    def work(
        self,
        score: Callable[[Job], float | None],
        *,
        usage: Callable[[Job], Usage] = lambda _: Usage(cost_usd=0.5),
    ) -> None:
        """Work all jobs that wait, and have the judge say what a test says."""
        for job in self.jobs():
            won = self.fleet.claim(job.id)
            spend(self.fleet.app, won, usage(job), seconds=60.0)
            self.judged(won, score(job))

    def judged(self, won: Claim, value: float | None, *, overdue: bool = False) -> None:
        """End a claimed job with the judge's word."""
        note = "exit code 0" if value else "exit code 1"
        word = judgement(at=self.fleet.clock(), commit="c0ffee", value=value, note=note, overdue=overdue)
        self.fleet.app.signals.add(won.job.id, [word])
        self.fleet.app.jobs.end(
            won, JobState.SUCCEEDED, reason="judged", result=JobResult(commit="c0ffee"), signals=[]
        )

    def hold(self) -> None:
        """Have it hold itself."""
        hold(self.fleet, self.now)

    def play(
        self, score: Callable[[Job], float | None], *, most: int = 60,
        usage: Callable[[Job], Usage] = lambda _: Usage(cost_usd=0.5),
    ) -> Backtest:  # fmt: skip
        """Give out cases and work them until the backtest ends."""
        for _ in range(most):
            self.tick()
            if not self.now.is_running or (self.now.is_in_doubt and not self.jobs()):
                break  # it has ended, or waits for a person
            self.work(score, usage=usage)
            self.fleet.clock.forward(1.0)
        return self.now


def held_backtest(client: redis.Redis, web: WebSettings) -> SteppedBacktest:
    """A backtest of a fleet with pages, which waits for a person."""
    judge, generator = JudgeSettings(command="make test"), random.Random(7)
    fleet = SteppedFleet(client, judge=judge, generator=generator, web=web)
    fleet.add()
    fleet.propose()
    made = SteppedBacktest(fleet)
    made.hold()
    return made


def every_kind_of_pair(
    fleet: SteppedFleet, template: str = "implementer", *, printed: str = ""
) -> SteppedBacktest:
    """A backtest of nine cases: solved by both, either and neither, one left out, one at work.

    `printed` is what the judge printed of the canary's work that lost.
    """
    made = SteppedBacktest(fleet, template=template, cases=some_cases(9))
    solved = ({*Arm}, {Arm.CHAMPION}, {Arm.CANARY}, set[Arm]())
    for place, winners in enumerate(solved):
        made.tick()
        for job in made.jobs():
            if place == 1 and job.pair_arm is Arm.CANARY:
                fleet.app.log_store.say(job.id, "judge", printed)
        made.work(lambda job, winners=winners: float(job.pair_arm in winners))  # type: ignore[misc]
    made.tick()
    for job in made.jobs():
        made.judged(fleet.claim(job.id), None if job.pair_arm is Arm.CANARY else 1.0)
    made.tick()
    fleet.app.log_store.flush()
    return made
