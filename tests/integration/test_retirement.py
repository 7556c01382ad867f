"""When a parent hears of its agent's death: once, after the end of the job, whatever happened on the way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from routing.git.remote import Remote
from routing.jobs.job import Job, JobState
from routing.jobs.turn import Repair
from routing.store.mail.mail_store import MailStore
from routing.templates.version import Snapshot
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.session.state import SessionState
from tasks.agents.supervision.retirement import Retirement, Retirements
from tasks.agents.supervision.silence import SilenceLimits
from tasks.agents.supervision.watchdog import Watchdog
from tests.fleets.attempts import AttemptsFleet
from tests.fleets.post import ADA
from tests.fleets.stepped_fleet import red
from tests.repositories import TemporaryRepository, new_repository

#: Terminal mail about the agent's task.
SEND_DONE = (
    '"$COALMINE_MAIL" send --to parent --type worker_done --subject done --payload '
    '"{\\"task_id\\": \\"$COALMINE_JOB_ID\\", \\"branch\\": \\"\\", \\"exit_code\\": 0, '
    '\\"files_modified\\": []}" >&2'
)

#: For longer than finished work waits for its push.
DAYS = 4 * 86_400.0

TALK = 'echo \'{"type": "session", "id": "c1"}\''


class RetirementShop(AttemptsFleet):
    """Attempts at work in a repository that an agent can take away."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self.repository: TemporaryRepository = new_repository(folder)
        self.folder, self.away = folder, folder / "away"
        remotes = {"local:shop": Remote(address=str(self.repository.path))}
        super().__init__(client, folder, remotes=remotes, max_attempts=2)

    def template(self, line: str = "true") -> None:
        """A version whose turns run a line, and leave work and their prompt behind."""
        take_away = f"[ ! -e {self.folder}/breaks ] || mv {self.repository.path} {self.away}"
        keep = f'cp "$COALMINE_PROMPT_FILE" {self.folder}/prompt'
        lines = [TALK, keep, "date +%N >> work.txt", take_away, line]
        self.app.templates.add("implementer", Snapshot(prompt="work", command="\n".join(lines)))

    def breaks(self) -> None:
        """The next turn's push fails."""
        (self.folder / "breaks").touch()

    def bring_back(self) -> None:
        """The remote is there again, and stays."""
        self.away.rename(self.repository.path)
        (self.folder / "breaks").unlink()

    def lose_the_job(self) -> None:
        """The lease runs out, and the sweep puts the job back."""
        self.fleet.clock.forward(1000)
        assert self.app.jobs.reap(at=self.fleet.clock())
        self.before_report = lambda: None


@pytest.fixture
def shop(fake_redis: redis.Redis, tmp_path: Path) -> Iterator[RetirementShop]:
    """Two attempts a job."""
    with RetirementShop(fake_redis, tmp_path) as made:
        yield made


def test_push_that_fails_once_is_nobodys_death(shop: RetirementShop) -> None:
    """Its work is pushed later; its parent hears of it after the job's true end, once."""
    shop.template()
    job = shop.job(repository="local:shop")
    shop.breaks()
    assert shop.work(job) == "hindered"
    assert shop.session(job).state is SessionState.COMPLETED
    assert (shop.deaths(), shop.lives(job)) == ([], (True, 1))
    shop.bring_back()
    assert shop.work(job) == "pushed"
    shop.app.watchdog.tick()
    assert (shop.deaths(), shop.lives(job)) == ([], (True, 1))
    assert shop.session(job).runtime_session == "c1"
    assert shop.fleet.events("session.lost") == []
    assert shop.app.jobs.conclude(shop.find(job), JobState.SUCCEEDED, reason="merged")
    for _ in range(2):
        shop.app.watchdog.tick()
    (mail,) = shop.deaths()
    assert mail.payload["reason"] == "clean exit without terminal mail"
    assert not shop.lives(job)[0]


@pytest.mark.parametrize("breaks", ["retire", "_ended"])
def test_what_follows_an_attempt_is_done_part_by_part(
    shop: RetirementShop, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    """A mistake in one of them keeps neither the messages for the next steps nor the agent's end."""
    shop.app.templates.add("implementer", Snapshot(prompt="work", command="true"))
    job = shop.job()

    def fail(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(shop, breaks, fail)
    assert shop.work(job) == "finished"
    assert (shop.steps, shop.lives(job)[0]) == (([], False) if breaks == "_ended" else (["finished"], True))


def test_pushes_that_all_fail_are_one_death(shop: RetirementShop) -> None:
    """However often it was tried, the agent has one life and dies when its work is left to a person."""
    shop.template()
    job = shop.job(repository="local:shop")
    shop.breaks()
    assert shop.work(job) == "hindered"
    shop.fleet.clock.forward(DAYS)
    assert shop.work(job) == "escalate"
    assert shop.find(job).state is JobState.ESCALATED
    shop.app.watchdog.tick()
    assert len(shop.deaths()) == 1
    assert shop.lives(job) == (False, 1)


def test_word_that_was_kept_by_a_push_that_failed_need_not_be_given_again(shop: RetirementShop) -> None:
    """The agent said in its turn how its task went; what is left is the push."""
    shop.template(f"[ -e {shop.folder}/said ] || {SEND_DONE}; touch {shop.folder}/said")
    job = shop.job(repository="local:shop")
    shop.breaks()
    shop.work(job)
    shop.fleet.clock.forward(DAYS)
    shop.work(job)
    assert shop.find(job).state is JobState.ESCALATED
    shop.app.watchdog.tick()
    assert (shop.deaths(), shop.lives(job)) == ([], (False, 1))


def test_agent_of_pushed_work_repairs_it(shop: RetirementShop) -> None:
    """While CI is watched it lives, in its conversation: a corrective turn goes on, with the mail for it."""
    shop.template()
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "pushed"
    letter = Letter.checked(to=shop.agent(job), subject="look at the lint")
    assert shop.app.post_office.send(ADA, letter)[0].created
    repair = Repair(commit=shop.find(job).result.commit, checks=("lint",))
    assert shop.app.corrections.send_back(shop.find(job), red(repair))
    assert shop.work(job) == "pushed"
    prompt = (shop.folder / "prompt").read_text()
    assert "Repair this branch" in prompt
    assert "look at the lint" in prompt
    session = shop.session(job)
    assert (session.runtime_session, session.turns) == ("c1", 2)
    assert (shop.deaths(), shop.lives(job)) == ([], (True, 1))


def test_word_that_a_corrective_turn_repeats_is_word_of_that_turn(shop: RetirementShop) -> None:
    """It says again, under its key, that it is done: its parent has one mail, and nothing is missing."""
    shop.template(SEND_DONE.replace(" --payload", " --dedupe-key done --payload"))
    job = shop.job(repository="local:shop")
    assert shop.work(job) == "pushed"
    repair = Repair(commit=shop.find(job).result.commit, checks=("lint",))
    assert shop.app.corrections.send_back(shop.find(job), red(repair))
    assert shop.work(job) == "pushed"
    assert shop.fleet.events("session.terminal_mail_missing") == []
    (mail,) = shop.app.post_office.newest(10, recipient=shop.lead)
    assert mail.type == "worker_done"


def test_crash_is_reported_when_no_attempt_is_left(shop: RetirementShop) -> None:
    """Not before; and the agent takes no more mail."""
    shop.template("exit 3")
    job = shop.job()
    shop.work(job)
    assert (shop.deaths(), shop.lives(job)) == ([], (True, 1))
    shop.work(job)
    (mail,) = shop.deaths()
    assert mail.payload["reason"] == "crashed with exit code 3"
    assert shop.lives(job) == (False, 1)


def test_report_that_is_refused_ends_nobody(shop: RetirementShop) -> None:
    """The lease was lost before the report: the next worker reports, and the watchdog ends the agent."""
    shop.template()
    job = shop.job()
    shop.before_report = shop.lose_the_job
    assert shop.work(job) == "drop"
    assert (shop.deaths(), shop.lives(job), shop.steps) == ([], (True, 1), [])
    assert shop.work(job) == "finished"
    shop.app.watchdog.tick()
    assert len(shop.deaths()) == 1
    assert shop.lives(job) == (False, 1)


def test_cancel_after_the_turn_is_what_the_parent_hears_of(shop: RetirementShop) -> None:
    """The wish came before the report: the job is cancelled although its turn was clean."""
    shop.template()
    job = shop.job(repository="local:shop")
    shop.before_report = lambda: shop.app.jobs.cancel(job, by="ada", at=shop.fleet.clock())
    assert shop.work(job) == "cancel"
    (mail,) = shop.deaths()
    assert mail.payload["reason"] == "aborted by operator"


@pytest.mark.parametrize("watchdog_first", [True, False])
def test_watchdog_and_worker_tell_once(shop: RetirementShop, *, watchdog_first: bool) -> None:
    """Both see that the job has ended, in either order."""
    shop.template()
    job, retire = shop.job(), shop.retire

    def both(claimed: Job, retirement: Retirement) -> bool:
        if watchdog_first:
            shop.app.watchdog.tick()
        done = retire(claimed, retirement)
        shop.app.watchdog.tick()
        return done

    shop.retire = both
    assert shop.work(job) == "finished"
    assert len(shop.deaths()) == 1
    assert shop.lives(job) == (False, 1)


def test_worker_that_dies_after_its_report_leaves_the_rest_to_the_watchdog(shop: RetirementShop) -> None:
    """The job has ended and no mail said so: the watchdog sends one, once."""
    shop.template("exit 3")
    job = shop.job(max_attempts=1)
    shop.retire = lambda _job, _retirement: False
    shop.work(job)
    assert (shop.deaths(), shop.lives(job)) == ([], (True, 1))
    for _ in range(2):
        shop.app.watchdog.tick()
    (mail,) = shop.deaths()
    assert mail.payload["reason"] == "crashed with exit code 3"
    assert shop.lives(job) == (False, 1)


def test_agent_of_a_job_that_a_person_retries_can_die_again(shop: RetirementShop) -> None:
    """The first end was one: the job begins anew, and so does its agent's life."""
    shop.template("exit 3")
    job = shop.job(max_attempts=1)
    shop.work(job)
    shop.app.jobs.retry(job, by="ada")
    shop.work(job)
    assert len(shop.deaths()) == 2
    assert shop.lives(job) == (False, 2)


@pytest.mark.parametrize("who", ["worker", "watchdog"])
def test_agent_stays_when_its_job_is_retried_while_it_is_seen_off(shop: RetirementShop, who: str) -> None:
    """Between the look at the job and the agent's end a person has it tried again: its mail is kept."""
    shop.template("exit 3")
    app, job = shop.app, shop.job(max_attempts=1)

    def retry_at_once(_names: object) -> None:
        app.jobs.retry(job, by="ada")
        letter = Letter.checked(to=shop.agent(job), subject="once more")
        assert app.post_office.send(ADA, letter)[0].created

    # The parent gets its mail after the look, and before the end.
    office = PostOffice(MailStore(app.redis, app.keys, app.clock), app.agents, arrived=retry_at_once)
    parts: dict[str, Any] = {"sessions": app.sessions, "agents": app.agents, "office": office}
    shop.retire = Retirements(jobs=app.job_store, **parts).retire
    if who == "watchdog":
        shop.retire = lambda _job, _retirement: False
    shop.work(job)
    if who == "watchdog":
        patience = SilenceLimits(warn_seconds=1e3, nudge_seconds=1e4, cancel_seconds=1e5)
        Watchdog(
            jobs=app.jobs, job_store=app.job_store, withdraw=lambda: None, patience=patience, **parts
        ).tick()
    assert shop.find(job).state is JobState.QUEUED
    assert (len(shop.deaths()), shop.lives(job)) == (1, (True, 1))
    shop.retire = lambda _job, _retirement: False
    shop.work(job)
    assert "once more" in (shop.folder / "prompt").read_text()
