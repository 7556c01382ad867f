"""An agent that says that it is done, and does not leave: its work is judged, and not done again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from routing.git.remote import Remote
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.templates.version import Snapshot
from tasks.agents.session.state import SessionState
from tests.fleets.attempts import AttemptsFleet
from tests.repositories import TemporaryRepository, new_repository

#: Terminal mail about the agent's task, or about another one.
SEND_DONE = (
    '"$COALMINE_MAIL" send --to parent --type worker_done --subject done --payload '
    '"{\\"task_id\\": \\"TASK\\", \\"branch\\": \\"\\", \\"exit_code\\": 0, \\"files_modified\\": []}" >&2'
)
DONE = SEND_DONE.replace("TASK", "$COALMINE_JOB_ID")
DONE_WITH_ANOTHER = SEND_DONE.replace("TASK", "another")
COMMIT = "date +%N > work.txt; git add -A; git commit -q -m work"
IDENTITY = {
    f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
HANG = "sleep 600"


class SaidDoneShop(AttemptsFleet):
    """Attempts of agents that are soon found to be silent, at work in a repository."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.repository: TemporaryRepository = new_repository(folder)
        self.away = folder / "away"
        remotes = {"local:shop": Remote(address=str(self.repository.path))}
        super().__init__(client, folder, remotes=remotes, stall_seconds=1.0, max_attempts=2)

    def template(self, *lines: str, **fields: Any) -> None:
        """A version whose turns run these lines."""
        snapshot = Snapshot(prompt="work", command="\n".join(lines), environment=IDENTITY, **fields)
        self.app.templates.add("implementer", snapshot)

    def has_branch(self, job: str) -> bool:
        """Whether anything was pushed for a job."""
        return bool(self.repository.git("branch", "--list", f"coalmine/{job}"))

    def said(self) -> list[str]:
        """The types of the lead's mails."""
        return [mail.type for mail in self.app.post_office.newest(100, recipient=self.lead)]


@pytest.fixture
def shop(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[SaidDoneShop]:
    """Two attempts a job, and one second of patience."""
    with SaidDoneShop(fake_redis, tmp_path) as made:
        yield made


def test_work_of_an_agent_that_said_that_it_was_done_is_pushed(shop: SaidDoneShop) -> None:
    """Its commit is watched, it said so once, and no attempt is repeated."""
    shop.template(COMMIT, DONE, HANG)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "pushed"
    found = shop.find(job)
    assert found.state is JobState.WAITING
    assert shop.repository.tip(f"coalmine/{job}") == found.result.commit
    assert "said that it was done, and was ended when it went silent; pushed" in found.reason
    assert (found.attempts, found.result.ended_by) == (1, "stall")
    assert (shop.said(), shop.deaths()) == (["worker_done"], [])
    assert shop.session(job).state is SessionState.COMPLETED


def test_what_it_left_uncommitted_is_pushed_too(shop: SaidDoneShop) -> None:
    """By the same rule as after a clean end."""
    shop.template("date +%N > work.txt", DONE, HANG)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "pushed"


def test_its_agent_is_seen_off_with_its_job(shop: SaidDoneShop) -> None:
    """CI is green and the job has ended: it has left, and its parent hears of no death."""
    shop.template(COMMIT, DONE, HANG)
    job = shop.job(repository="local:shop")
    shop.work(job)
    assert shop.app.jobs.conclude(shop.find(job), JobState.SUCCEEDED, reason="merged")
    shop.app.watchdog.tick()
    assert (shop.lives(job), shop.said()) == ((False, 1), ["worker_done"])


def test_without_a_commit_it_is_handed_to_a_person(shop: SaidDoneShop) -> None:
    """As after a clean end; the reason says how the turn ended."""
    shop.template(DONE, HANG)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "escalate"
    assert "went silent but committed nothing" in shop.find(job).reason
    assert {fact.kind for fact in shop.app.signals.read(job)} == {SignalKind.NOTHING_PUSHED}


def test_without_a_repository_the_job_is_finished(shop: SaidDoneShop) -> None:
    """There is nothing to push, and the agent said that it was done."""
    shop.template(DONE, HANG)
    job = shop.job()
    assert shop.work(job) == "finished"
    assert (shop.find(job).state, shop.lives(job)) == (JobState.SUCCEEDED, (False, 1))
    assert shop.said() == ["worker_done"]


def test_its_time_limit_takes_nothing_from_its_word(shop: SaidDoneShop) -> None:
    """It said that it was done, and went on talking until its time was up."""
    shop.template(COMMIT, DONE, "while :; do echo busy; sleep 0.1; done", time_limit_seconds=3.0)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "pushed"
    assert "was ended at its time limit; pushed" in shop.find(job).reason


@pytest.mark.parametrize("line", ["true", DONE_WITH_ANOTHER], ids=["silent", "another task's"])
def test_silence_without_its_word_is_a_failure(shop: SaidDoneShop, line: str) -> None:
    """Nothing is pushed of an agent that has not said that its own task is done."""
    shop.template(COMMIT, line, HANG)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "retry"
    assert shop.find(job).reason.startswith("the agent went silent")
    assert not shop.has_branch(job)


@pytest.mark.parametrize("then", ["exit 3", "kill -9 $$"], ids=["unclean exit", "crash"])
def test_its_word_does_not_outweigh_its_own_end(shop: SaidDoneShop, then: str) -> None:
    """An agent that fails after its terminal mail has failed."""
    shop.template(COMMIT, DONE, then)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "retry"
    assert not shop.has_branch(job)


def test_push_that_fails_is_repeated_without_another_turn(shop: SaidDoneShop) -> None:
    """The repository was away: the work of an agent that hung after its word waits as any other."""
    shop.template(COMMIT, DONE, f"mv {shop.repository.path} {shop.away}", HANG)
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "hindered"
    assert SignalKind.AGENT_STALLED not in {fact.kind for fact in shop.app.signals.read(job)}
    shop.away.rename(shop.repository.path)
    assert shop.work(job) == "pushed"
    assert (shop.find(job).turns, shop.has_branch(job)) == (1, True)
