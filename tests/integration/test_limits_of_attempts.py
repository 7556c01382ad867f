"""What a worker's attempt makes of a limit: put off or failed, noted or not, on which account and model."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from routing.accounts.account import Account
from routing.accounts.breaker import BreakerState
from routing.jobs.job import JobState
from routing.jobs.turn import HindranceKind, TurnKind
from routing.store.jobs.job_store import ClaimRefusal
from routing.templates.version import Snapshot
from tests.fleets.attempts import AttemptsFleet

LIMIT = """echo '{"type": "limit", "text": "enough"}'; exit 1"""
WORDS = "echo 'error: usage limit reached' >&2; exit 1"
TOOL = """echo '{"type": "tool", "name": "sh", "detail": "make"}'"""
SESSION = """echo '{"type": "session", "id": "s-1"}'"""
DONE = (
    '"$COALMINE_MAIL" send --to parent --type worker_done --subject done --payload '
    '"{\\"task_id\\": \\"$COALMINE_JOB_ID\\", \\"branch\\": \\"\\", \\"exit_code\\": 0, '
    '\\"files_modified\\": []}" >&2'
)
DEFAULT = "command:default"


class LimitedFleet(AttemptsFleet):
    """Attempts of an agent that is a shell script; two a job."""

    def template(self, *lines: str, **content: Any) -> None:
        """A version whose turns run these lines."""
        self.app.templates.add("implementer", Snapshot(prompt="work", command="\n".join(lines), **content))

    def state(self, account: str = DEFAULT) -> BreakerState:
        """Of an account."""
        states = [each.state for each in self.app.breakers.all() if each.account == account]
        return max(states, key=lambda state: state is not BreakerState.OPEN)

    def hour_later(self) -> None:
        """Any back-off of an account is over."""
        self.fleet.clock.forward(3700)


@pytest.fixture
def fleet(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[LimitedFleet]:
    """Without a table of accounts."""
    with LimitedFleet(fake_redis, tmp_path, max_attempts=2) as made:
        yield made


def test_a_limit_before_any_work_is_a_first_turn_again(fleet: LimitedFleet) -> None:
    """Its account is closed, no attempt is used up, and there is nothing to go on with."""
    fleet.template(LIMIT)
    job = fleet.job()
    assert fleet.work(job) == "hindered"
    found = fleet.find(job)
    assert (found.attempts, found.kind) == (0, TurnKind.FIRST)
    assert found.hindrance is not None
    assert (found.hindrance.kind, found.hindrance.words) == (HindranceKind.LIMIT, "enough")
    assert fleet.state() is BreakerState.LIMITED


@pytest.mark.parametrize("begun", [SESSION, TOOL])
def test_a_limit_after_a_beginning_is_lifted_for_the_next_turn(fleet: LimitedFleet, begun: str) -> None:
    """A conversation that was named is one to go on with, and so is work without one."""
    fleet.template(begun, LIMIT)
    job = fleet.job()
    assert fleet.work(job) == "hindered"
    assert (fleet.find(job).attempts, fleet.find(job).kind) == (0, TurnKind.LIFTED)


def test_a_limit_after_the_agent_was_done_takes_nothing_from_its_work(
    fake_redis: redis.Redis, tmp_path: Path
) -> None:
    """It is ended in its silence, as it asks again: the job succeeds, and its account stays open."""
    with LimitedFleet(fake_redis, tmp_path, stall_seconds=1.0) as made:
        made.template(DONE, LIMIT.replace("exit 1", "exec sleep 600"))
        job = made.job()
        assert made.work(job) == "finished"
        assert (made.find(job).state, made.state()) == (JobState.SUCCEEDED, BreakerState.OPEN)


def test_words_alone_that_come_again_and_again_are_failures(fleet: LimitedFleet) -> None:
    """An agent that worked may put its job off with them three times; then its attempt counts."""
    fleet.template(TOOL, WORDS)
    job, steps = fleet.job(), []
    for _ in range(4):
        fleet.hour_later()
        steps.append(fleet.work(job))
    assert steps == ["hindered"] * 3 + ["retry"]
    assert (fleet.find(job).attempts, fleet.state()) == (1, BreakerState.OPEN)


def test_a_limit_that_could_not_be_noted_waits_by_the_back_off(fleet: LimitedFleet) -> None:
    """The record of accounts is of another kind: nothing holds the job, so it is queued with a pause."""
    fleet.template(LIMIT)
    job = fleet.job()
    breakers = fleet.app.keys("breakers")
    fleet.while_it_runs = lambda _: fleet.fleet.redis.set(breakers, "broken")
    fleet.before_report = lambda: fleet.fleet.redis.delete(breakers)
    assert fleet.work(job) == "hindered"
    found = fleet.find(job)
    assert (found.state, found.attempts) == (JobState.QUEUED, 0)
    assert fleet.app.jobs.claim(job, worker="w2", lease_seconds=30) is ClaimRefusal.EARLY


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ((TOOL, "exit 1"), BreakerState.OPEN),  # the model did something, whatever became of it
        (("exit 0",), BreakerState.OPEN),
        (("exit 1",), BreakerState.LIMITED),  # says nothing of it
        ((LIMIT,), BreakerState.LIMITED),
    ],
)
def test_what_a_probe_says_of_its_account(
    fleet: LimitedFleet, tmp_path: Path, lines: tuple[str, ...], state: BreakerState
) -> None:
    """The job that tries an account whose time has come opens it if its model has answered."""
    script = tmp_path / "agent.sh"
    script.write_text(LIMIT)
    fleet.template(f"sh {script}")
    job = fleet.job()
    fleet.work(job)
    fleet.hour_later()
    script.write_text("\n".join(lines))
    fleet.work(job)
    assert fleet.state() is state


def test_an_account_whose_secret_a_worker_lacks_runs_no_agent(
    fake_redis: redis.Redis, tmp_path: Path
) -> None:
    """The job says which variable is missing, and uses up no attempt."""
    keyed = Account(name="keyed", runtime="command", secrets=("THE_KEY=KEY_OF_TEAM",))
    with LimitedFleet(fake_redis, tmp_path, account=[keyed]) as made:
        made.template("touch ran")
        job = made.job()
        assert made.work(job) == "hindered"
        found = made.find(job)
    assert found.attempts == 0
    assert "KEY_OF_TEAM" in found.reason
    assert not list(tmp_path.rglob("ran"))


def test_a_fallback_is_used_while_the_models_own_limit_lasts(fleet: LimitedFleet) -> None:
    """By the same account; the version's own model is tried again as soon as its time has come."""
    until = int(time.time()) + 7200  # as the program says it; the clock of the fleet stands years before
    limit = LIMIT.replace('"limit",', f'"limit", "until": {until},')
    fleet.template(f'if [ "$COALMINE_MODEL" = large ]; then {limit}; fi', model="large", fallback=("small",))
    job = fleet.job()
    assert [fleet.work(job), fleet.work(job)] == ["hindered", "finished"]
    assert (fleet.find(job).model, fleet.find(job).attempts) == ("small", 1)
    fleet.fleet.clock.now = until
    other = fleet.job()
    assert fleet.work(other) == "hindered"
    assert fleet.find(other).model == "large"
