"""Accounts are the credentials that agents work with. One that has reached a limit is closed for a while.

A limit is not a failure of jobs: it costs waiting, and no work. A job that meets it goes back to the queue,
with its attempt, its session and its tree. Jobs of that account are held until the limit is over. Then one
of them tries it, and if its model answers all go on. In a trial both arms wait, so that time favours neither.
"""

import pytest
import redis

from routing.accounts.account import Account
from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.job import JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import UNCOUNTED
from routing.jobs.turn import Hindrance, HindranceKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.templates.version import Snapshot
from tests.fleets.stepped_fleet import SteppedFleet

HOUR = 3600.0


@pytest.fixture
def team(fake_redis: redis.Redis) -> SteppedFleet:
    """A fleet with two accounts of Claude Code."""
    accounts = (Account(name="one", runtime="claude"), Account(name="two", runtime="claude"))
    made = SteppedFleet(fake_redis, draws=[0.25, 0.75] * 20, account=accounts)
    made.app.templates.add("implementer", Snapshot(runtime="claude", model="opus"))
    return made


def begin(fleet: SteppedFleet, job: str) -> object:
    """A worker takes a job: the account that it works with, or why it may not begin."""
    fleet.clock.forward(1)
    won = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)
    return won.job.account if isinstance(won, Claim) else won


def meet(fleet: SteppedFleet, job: str, *, until: float) -> None:
    """The turn of a job meets a limit of its account, and its worker reports that."""
    found, now = fleet.app.jobs.find(job), fleet.clock()
    limit = AccountLimit(kind=LimitKind.USAGE, until=until, words="resets 9pm")
    fleet.app.breakers.met(found.account, found.model, limit, job=job)
    claim = Claim(job=found, version=fleet.app.templates.find(found.version_id))
    hindrance = Hindrance(kind=HindranceKind.LIMIT, since=now, seen_at=now, until=until)
    fleet.app.jobs.hindered(claim, UNCOUNTED, reason="put off", hindrance=hindrance, goes_on=True)


def test_accounts_of_a_runtime_are_a_pool(team: SteppedFleet) -> None:
    """Each job gets the one that was used longest ago."""
    used = [begin(team, team.enqueue().job) for _ in range(4)]
    assert used == ["claude:one", "claude:two", "claude:one", "claude:two"]


def test_a_job_that_meets_a_limit_goes_on_with_another_account(team: SteppedFleet) -> None:
    """It keeps its attempt, and its next turn says that the limit was lifted."""
    job = team.enqueue().job
    assert begin(team, job) == "claude:one"
    meet(team, job, until=team.clock() + HOUR)
    put_off = team.app.jobs.find(job)
    assert (put_off.attempts, put_off.kind) == (0, "limit.lifted")
    assert begin(team, job) == "claude:two"


def test_without_an_open_account_jobs_are_held(team: SteppedFleet) -> None:
    """Nobody claims them; their records say why, and until when."""
    jobs = [team.enqueue().job for _ in range(3)]
    until = team.clock() + HOUR
    for job in jobs[:2]:
        begin(team, job)
        meet(team, job, until=until)
    assert begin(team, jobs[2]) is ClaimRefusal.LIMITED
    held = team.app.jobs.find(jobs[2])
    assert held.state is JobState.QUEUED
    assert held.held_until == pytest.approx(until)


def test_one_job_tries_an_account_whose_time_has_come(team: SteppedFleet) -> None:
    """The others wait until its model has answered."""
    team.app.breakers.close("claude:two", "*", until=None, words="the bill", by="ada")
    jobs = [team.enqueue().job for _ in range(3)]
    begin(team, jobs[0])
    meet(team, jobs[0], until=team.clock() + HOUR)
    assert [begin(team, job) for job in jobs] == [ClaimRefusal.LIMITED] * 3
    team.clock.forward(HOUR)
    assert begin(team, jobs[0]) == "claude:one"
    assert begin(team, jobs[1]) is ClaimRefusal.LIMITED
    team.app.breakers.answered("claude:one", "opus", job=jobs[0])
    assert begin(team, jobs[1]) == "claude:one"


def test_both_arms_of_a_trial_wait(team: SteppedFleet) -> None:
    """The canary's model is out of reach: the champion's jobs in the trial wait as well."""
    team.open(team.app.templates.propose("implementer", Snapshot(runtime="codex")).version)
    canary, champion = team.enqueue().job, team.enqueue().job
    assert begin(team, canary) == "codex:default"
    meet(team, canary, until=team.clock() + HOUR)
    assert begin(team, champion) is ClaimRefusal.LIMITED
    team.clock.forward(HOUR + 1)
    assert begin(team, champion) == "claude:one"
    assert team.app.jobs.find(champion).held_seconds == pytest.approx(HOUR, abs=5)


def test_a_version_says_what_it_falls_back_to(team: SteppedFleet) -> None:
    """It is a part of its content, and the job says which model was used."""
    snapshot = Snapshot(runtime="claude", model="opus", fallback=("sonnet",), accounts=("one",))
    team.app.templates.add("reviewer", snapshot)
    first, second = team.enqueue("reviewer").job, team.enqueue("reviewer").job
    begin(team, first)
    meet(team, first, until=team.clock() + HOUR)
    begin(team, second)
    used = team.app.jobs.find(second)
    assert (used.model, used.fell_back) == ("sonnet", True)
