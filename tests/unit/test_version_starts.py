"""A version whose agents fail alike at their start: its jobs wait, and one command has them all go on."""

from typing import Any

import pytest
import redis

from routing.accounts.breaker import Breaker, BreakerState, version_breaker, version_of
from routing.accounts.limit import LimitKind
from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.retry import UNCOUNTED, Again
from routing.jobs.turn import Hindrance, HindranceKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.templates.version import Snapshot
from tasks.agents.runtimes.agent_event import ApiErrorEvent, Usage
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.version_starts import VersionStarts, failed_at_start
from tests.fleets.stepped_fleet import QUICK, SteppedFleet
from tests.unit.test_accounts import held_claim, published, tried

V1 = "implementer@v1"


def turn(exit_code: int | None = 1, **more: Any) -> TurnResult:
    """A turn of a program that fails within a second and does nothing."""
    given: dict[str, Any] = {
        "ended_by": Ending.RESULT, "exit_code": exit_code, "clean": exit_code == 0, "session_id": None,
        "session_lost": False, "resume_mismatch": False, "duration_seconds": 0.4, "usage": Usage(),
        "api_error": None, "events": 1, "malformed_lines": 0, "oversized_lines": 0, "output_bytes": 20,
        "output_tail": "Traceback\nKeyError: 'SHOP_KEY'\n", "survivors": 0, "log_failure": "",
    }  # fmt: skip
    return TurnResult(**{**given, **more})


class Fleet:
    """A stepped fleet, and turns that its worker judges as a real one does."""

    def __init__(self, client: redis.Redis, draws: list[float] | None = None) -> None:
        self.stepped = SteppedFleet(client, draws=draws or [0.9] * 100)
        self.app = self.stepped.app
        self.app.templates.add("implementer", Snapshot(command="agent"))
        self.asked = 0  # how often the sweep was asked for
        self.starts = VersionStarts(
            breakers=self.app.breakers, trial=self.app.trial_store.read, opened=self._ask
        )

    def _ask(self) -> None:
        self.asked += 1

    def jobs(self, count: int) -> list[str]:
        """Jobs of the template."""
        return [self.stepped.enqueue(template="implementer").job for _ in range(count)]

    def run(self, job: str, result: TurnResult) -> bool:
        """Claim a job and end its turn so; whether it was put off for its version's start."""
        assert not isinstance(tried(self.stepped, job), ClaimRefusal)
        return self.end(job, result)

    def end(self, job: str, result: TurnResult) -> bool:
        """End the turn of a claimed job."""
        claim = held_claim(self.stepped, job)
        judged = self.starts.judged(claim.job, result)
        if judged.limit is None:
            again = Again(counts=True, wait_seconds=0.0)
            self.app.jobs.try_again(claim, again, reason="failed", result=JobResult())
            return False
        now = self.stepped.clock()
        hindrance = Hindrance(kind=HindranceKind.LIMIT, since=now, seen_at=now, words=judged.limit.words)
        self.app.jobs.hindered(claim, UNCOUNTED, reason="put off", hindrance=hindrance)
        return True

    def breaker(self, version: str = V1) -> Breaker:
        """What the fleet knows of a version."""
        (found,) = [each for each in self.app.breakers.all() if each.account == version_breaker(version)]
        return found

    def closed(self) -> list[str]:
        """Jobs of a version that does not start: the first three failed."""
        jobs = self.jobs(5)
        assert [self.run(job, turn()) for job in jobs[:3]] == [False, False, True]
        return jobs


@pytest.fixture
def fleet(redis_client: redis.Redis) -> Fleet:
    """A fleet with a champion."""
    return Fleet(redis_client)


def test_three_failures_alike_hold_all_jobs_of_the_version(fleet: Fleet) -> None:
    """Not one attempt more is used up, and each job says why it waits."""
    jobs = fleet.closed()
    assert [tried(fleet.stepped, job) for job in jobs] == [ClaimRefusal.LIMITED] * 5
    assert [fleet.app.jobs.find(job).attempts for job in jobs] == [1, 1, 0, 0, 0]
    assert "fail as soon as they start" in fleet.app.jobs.find(jobs[4]).reason
    assert published(fleet.stepped) == []
    broken = fleet.breaker()
    assert (broken.state, broken.kind) == (BreakerState.BROKEN, LimitKind.START)
    assert broken.words == "exit code 1: KeyError: 'SHOP_KEY'"
    assert fleet.stepped.kinds().count("account.broken") == 1


def test_one_job_alone_closes_nothing(fleet: Fleet) -> None:
    """An issue that breaks its agent uses up its own attempts, and no other job waits for it."""
    poison, other = fleet.jobs(2)
    assert [fleet.run(poison, turn()) for _ in range(2)] == [False, False]
    assert not fleet.run(other, turn(0))
    assert not fleet.run(other, turn())
    assert fleet.breaker().is_open


@pytest.mark.parametrize(
    "between",
    [turn(0), turn(2), turn(acted=True), turn(duration_seconds=300.0)],
    ids=["clean", "another exit code", "did something", "lasted"],
)
def test_failures_that_are_not_alike_or_not_in_a_row_close_nothing(fleet: Fleet, between: TurnResult) -> None:
    """What worked, or failed in another way, begins the count anew."""
    jobs = fleet.jobs(4)
    for job, result in zip(jobs, [turn(), turn(), between, turn()], strict=True):
        assert not fleet.run(job, result)


@pytest.mark.parametrize(
    "result",
    [
        turn(exit_code=-9),
        turn(exit_code=0),
        turn(ended_by=Ending.STALL, exit_code=None),
        turn(acted=True),
        turn(session_lost=True),
        turn(api_error=ApiErrorEvent(message="overloaded", status=500)),
        turn(duration_seconds=61.0),
    ],
    ids=["killed", "clean", "stalled", "acted", "session lost", "the API's", "late"],
)
def test_what_does_not_count_as_a_failure_at_the_start(result: TurnResult) -> None:
    """Only a program's own error, soon, before it did anything."""
    assert not failed_at_start(result)
    assert failed_at_start(turn())


def test_one_job_tries_it_and_its_start_lets_all_go_on(fleet: Fleet) -> None:
    """After a minute one tries; the others follow when its agent has started, without a person."""
    jobs = fleet.closed()
    for job in jobs:
        tried(fleet.stepped, job)
    fleet.stepped.clock.forward(61)
    (probe,) = published(fleet.stepped)
    tried(fleet.stepped, probe)
    assert fleet.breaker().state is BreakerState.PROBING
    assert tried(fleet.stepped, next(job for job in jobs if job != probe)) is ClaimRefusal.LIMITED
    fleet.end(probe, turn(0))
    assert (fleet.asked, fleet.breaker().is_open) == (1, True)
    assert len(published(fleet.stepped)) >= 4
    assert fleet.stepped.kinds().count("account.reopened") == 1


def test_a_probe_that_fails_waits_longer_and_tells_nobody_again(fleet: Fleet) -> None:
    """One failure is enough then; its attempt is not counted either."""
    jobs = fleet.closed()
    for job in jobs:
        tried(fleet.stepped, job)
    fleet.stepped.clock.forward(61)
    (probe,) = published(fleet.stepped)
    before = fleet.app.jobs.find(probe).attempts
    assert fleet.run(probe, turn(7))
    assert fleet.app.jobs.find(probe).attempts == before
    assert fleet.breaker().seconds_left(fleet.stepped.clock()) == pytest.approx(120, abs=2)
    assert fleet.stepped.kinds().count("account.broken") == 1


def test_a_probe_that_lasts_lets_the_others_go_on(fleet: Fleet) -> None:
    """An agent may work for hours: after a minute it has started."""
    jobs = fleet.closed()
    for job in jobs:
        tried(fleet.stepped, job)
    fleet.stepped.clock.forward(61)
    (probe,) = published(fleet.stepped)
    claim = fleet.app.jobs.claim(probe, worker="w1", lease_seconds=600)
    assert not isinstance(claim, ClaimRefusal)
    assert published(fleet.stepped) == []
    fleet.stepped.clock.forward(61)
    assert len(published(fleet.stepped)) == 4


def test_a_person_has_all_tried_again_at_once(fleet: Fleet) -> None:
    """One call, and every job that waited goes on."""
    jobs = fleet.closed()
    for job in jobs:
        tried(fleet.stepped, job)
    assert fleet.app.breakers.resume_versions(by="ada") == [V1]
    assert sorted(published(fleet.stepped)) == sorted(jobs)
    assert fleet.app.breakers.resume_versions(by="ada") == []


def test_jobs_of_a_version_that_was_replaced_go_to_the_new_champion(fleet: Fleet) -> None:
    """Who names another agent has repaired it; a job that asked for that one version stays with it."""
    jobs = fleet.closed()
    pinned = fleet.stepped.enqueue(template=V1).job
    for job in (*jobs, pinned):
        tried(fleet.stepped, job)
    repaired = fleet.app.templates.propose("implementer", Snapshot(command="repaired")).version
    fleet.app.templates.promote(repaired.id, by="ada")
    assert sorted(published(fleet.stepped)) == sorted([*jobs, pinned])
    for job in (*jobs, pinned):
        tried(fleet.stepped, job)
    assert [fleet.app.jobs.find(job).version for job in (*jobs, pinned)] == [2, 2, 2, 2, 2, 1]
    assert fleet.app.jobs.find(pinned).state is JobState.QUEUED
    assert published(fleet.stepped) == [], "it is not published again and again meanwhile"


@pytest.fixture
def on_trial(redis_client: redis.Redis) -> Fleet:
    """A fleet whose canary is on trial, with four jobs of each arm, the canary's first."""
    fleet = Fleet(redis_client, draws=[0.1] * 4 + [0.9] * 4)
    fleet.stepped.open(fleet.app.templates.propose("implementer", Snapshot(command="hasty")).version, QUICK)
    return fleet


@pytest.mark.parametrize("fails", [0, 4], ids=["canary", "champion"])
def test_a_version_that_alone_does_not_start_is_left_to_its_trial(on_trial: Fleet, fails: int) -> None:
    """Its jobs use up their attempts, and count: the other arm has shown that agents start."""
    jobs = on_trial.jobs(8)
    other = jobs[(fails + 4) % 8]
    assert not on_trial.run(other, turn(0))
    for job in jobs[fails : fails + 4]:
        assert not on_trial.run(job, turn())
    assert not on_trial.run(jobs[fails], turn())
    assert on_trial.stepped.kinds().count("account.broken") == 0


def test_a_trial_of_which_neither_arm_starts_waits_as_a_whole(on_trial: Fleet) -> None:
    """A key that both lack: time favours neither, and a person has both go on at once."""
    jobs = on_trial.jobs(8)
    assert [on_trial.run(job, turn()) for job in jobs[:3]] == [False] * 3
    assert [on_trial.run(job, turn()) for job in jobs[4:7]] == [False, False, True]
    assert on_trial.run(jobs[3], turn()), "the fourth of the canary is put off"
    held = [tried(on_trial.stepped, job) for job in jobs]
    assert held == [ClaimRefusal.LIMITED] * 8
    assert on_trial.app.breakers.resume_versions(by="ada") == [V1, "implementer@v2"]
    assert sorted(published(on_trial.stepped)) == sorted(jobs)


def test_a_version_in_the_name_of_a_breaker() -> None:
    """No account has such a name."""
    assert version_of(version_breaker(V1)) == V1
    assert version_of("version:default") == ""


def test_a_runner_without_breakers_judges_nothing(fleet: Fleet) -> None:
    """The result of the turn is as it was."""
    job = fleet.app.jobs.find(fleet.jobs(1)[0])
    assert VersionStarts().judged(job, turn()) == turn()
