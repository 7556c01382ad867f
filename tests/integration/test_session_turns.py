"""Turns of sessions on a real server, with real processes and real workers."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import Event
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tasks.agents.mail.mail import Mail
from tasks.agents.mail.role import Role
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import ROOT, WorkerFleet, fleet, until_state
from tests.servers.private_server import process_runs
from tests.waiting import slowdown, wait_until

LEASE = 2.0

#: A line that does not end by itself, however slow the machine.
HANG = "sleep 600"

#: A line that hangs in the first turn of a conversation and goes on in the next.
HANG_AT_FIRST = f'if [ -z "$COALMINE_SESSION" ]; then {HANG}; fi'


class Talk:
    """A fleet whose agents have conversations."""

    def __init__(self, made: WorkerFleet, folder: Path) -> None:
        self.made, self.folder = made, folder
        folder.mkdir()

    @property
    def parts(self) -> Coalmine:
        """The parts, with their settings as they are now."""
        return self.made.coalmine()

    def template(self, line: str = "true", name: str = "implementer") -> None:
        """A version whose turns run a line."""
        program = shlex.join(
            [sys.executable, str(ROOT / "tests" / "programs" / "talking_agent.py"), str(self.folder), line]
        )
        self.parts.templates.add(name, Snapshot(prompt="talk", command=f"exec {program}"))

    def job(self, **fields: object) -> str:
        """A job for an agent."""
        request = {"template": "implementer", "task": "work"} | fields
        return self.parts.mailbox.enqueue(JobRequest.checked(**request)).job

    def replies(self, session: str = "s1") -> list[str]:
        """The jobs whose turns are in a conversation."""
        file = self.folder / session
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    def session(self, name: str) -> SessionRecord:
        """A session as it is stored."""
        return SessionRecord.parse(self.parts.sessions.read(name))

    def of_job(self, job: str) -> SessionRecord:
        """The session of a job's own agent."""
        return self.session(f"builder-{job[:8]}")

    def until_talking(self, job: str) -> SessionRecord:
        """Wait until the conversation of a job's turn has been saved."""
        name = f"builder-{job[:8]}"
        wait_until(
            lambda: self.parts.sessions.read(name).get("runtime_session"), description="the agent talks"
        )
        return self.session(name)

    def events(self, kind: str) -> list[Event]:
        """Events of a kind, oldest first."""
        return [event for event in self.parts.events.all() if event.kind == kind]

    def mail_of(self, name: str) -> Mail:
        """The one mail of an agent, as soon as it is there: a parent gets it after the end of the job."""
        office = self.parts.post_office
        wait_until(lambda: office.newest(10, recipient=name), description=f"{name} has a mail")
        (mail,) = office.newest(10, recipient=name)
        return mail

    def states(self, name: str) -> list[str]:
        """The states that a session went to, in order."""
        return [event.data["to"] for event in self.events("session.state") if event.subject == name]


@pytest.fixture
def talk(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[Talk]:
    """Short leases, three attempts, and no process yet."""
    assert redis_client.ping()
    settings = {
        "COALMINE_TIMES__LEASE_SECONDS": str(LEASE),
        "COALMINE_JOB__MAX_ATTEMPTS": "3",
        "COALMINE_JOB__DRAIN_GRACE_SECONDS": "0.2",
        "COALMINE_AGENT__KILL_GRACE_SECONDS": "0.3",
    }
    with fleet(tmp_path, redis_server.url, **settings) as made:
        yield Talk(made, tmp_path / "talk")


@pytest.mark.long
def test_forty_turns_of_one_session_on_two_workers(talk: Talk) -> None:
    """Never two at a time, no reply lost, no attempt counted for waiting; one conversation."""
    talk.made.variables["COALMINE_TIMES__LEASE_SECONDS"] = (
        "10"  # nothing is lost here, however slow the machine
    )
    all_wait = talk.folder / "all-wait"
    talk.template(f"until [ -e {all_wait} ]; do sleep 0.05; done")
    talk.made.worker("w1")
    talk.made.worker("w2")
    talk.made.beat()
    jobs = [talk.job(agent="helper", role="coordinator") for _ in range(40)]
    wait_until(lambda: talk.events("job.put_off"), description="a job waits for the turn of another one")
    all_wait.touch()
    for job in jobs:
        assert until_state(talk.parts, job, JobState.SUCCEEDED, timeout=90).attempts == 1
    assert not (talk.folder / "clashes").exists()
    assert sorted(talk.replies()) == sorted(jobs)
    record = talk.session("helper")
    assert (record.turns, record.runtime_session, record.state) == (40, "s1", SessionState.BETWEEN_TURNS)
    assert record.cost_usd == pytest.approx(10.0)
    workers = {talk.parts.jobs.find(job).worker for job in jobs}
    assert workers == {"w1@test", "w2@test"}
    assert talk.events("session.lost") == []


def test_drained_job_resumes_its_conversation(talk: Talk) -> None:
    """The next worker of the host goes on with the session id that the first turn had."""
    talk.template(HANG_AT_FIRST)
    talk.made.worker("w1")
    job = talk.job()
    before = talk.until_talking(job)
    assert before.state is SessionState.IN_TURN
    talk.made.shut_down("w1", timeout=10)
    between = talk.of_job(job)
    assert (between.state, between.runtime_session, between.pid) == (SessionState.BETWEEN_TURNS, "s1", None)
    talk.made.worker("w2")
    talk.made.beat()
    done = until_state(talk.parts, job, JobState.SUCCEEDED)
    assert (done.attempts, done.turns) == (1, 2)
    assert talk.replies("s1") == [job]
    assert not (talk.folder / "s2").exists()
    assert talk.events("session.lost") == []
    assert talk.states(before.name) == ["booting", "in_turn", "between_turns", "in_turn", "completed"]


def test_job_of_a_killed_worker_resumes_its_conversation(talk: Talk) -> None:
    """As soon as the lease of the lost turn has run out."""
    talk.template(HANG_AT_FIRST)
    talk.made.worker("w1")
    job = talk.job()
    assert talk.until_talking(job).runtime_session == "s1"
    talk.made.kill("w1")
    talk.made.worker("w2")
    talk.made.beat()
    assert until_state(talk.parts, job, JobState.SUCCEEDED).attempts == 2
    assert talk.replies("s1") == [job]
    assert talk.of_job(job).state is SessionState.COMPLETED


def test_turn_of_a_frozen_worker_is_ended_before_the_next_of_its_session(talk: Talk) -> None:
    """Whichever job the next one is for: two processes in one conversation would lose a reply."""
    talk.template(HANG_AT_FIRST)
    talk.made.worker("w1")
    talk.job(agent="helper", role="coordinator")
    sessions = talk.parts.sessions
    wait_until(lambda: sessions.read("helper").get("runtime_session"), description="the agent talks")
    pid = talk.session("helper").pid
    assert pid is not None
    talk.made.freeze("w1")
    assert process_runs(pid), "the agent is frozen with its worker, or this test shows nothing"
    talk.made.worker("w2")
    talk.made.beat()  # the frozen one may have been handed the message that comes next
    second = talk.job(agent="helper", role="coordinator")
    until_state(talk.parts, second, JobState.SUCCEEDED)
    assert not process_runs(pid)
    assert talk.session("helper").left == ""


def test_conversation_of_another_host_is_lost(talk: Talk) -> None:
    """The turn starts afresh with a recap, and says why."""
    talk.template("exit 1")
    talk.made.worker("w1")
    job = talk.job()
    wait_until(lambda: talk.parts.jobs.find(job).turns == 1, description="the first attempt has failed")
    name = talk.of_job(job).name
    talk.parts.redis.hset(talk.parts.keys.session(name), "session_host", "elsewhere")
    talk.made.beat()
    wait_until(lambda: talk.parts.jobs.find(job).turns == 2, description="the second attempt has failed")
    (event,) = talk.events("session.lost")
    assert event.data == {"session": "s1", "reason": "it is kept on the host elsewhere"}
    assert talk.of_job(job).runtime_session == "s2"


def test_unknown_conversation_is_a_mismatch(talk: Talk) -> None:
    """The program began another one in silence: what it says holds, and both ids are reported."""
    talk.template("exit 1")
    talk.made.worker("w1")
    job = talk.job()
    wait_until(lambda: talk.parts.jobs.find(job).turns == 1, description="the first attempt has failed")
    (talk.folder / "s1").rename(talk.folder / "s7")
    talk.made.beat()
    wait_until(lambda: talk.parts.jobs.find(job).turns == 2, description="the second attempt has failed")
    (event,) = talk.events("session.resume_mismatch")
    assert event.data == {"asked": "s1", "seen": "s2"}
    assert talk.of_job(job).runtime_session == "s2"


def test_unclean_exits_are_tried_again_and_then_given_up(talk: Talk) -> None:
    """Each counts; after the last the session is a zombie, and the parent gets one mail."""
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    talk.template("exit 3")
    talk.made.worker("w1")
    talk.made.beat()
    job = talk.job(parent=lead)
    until_state(talk.parts, job, JobState.FAILED)
    record = talk.of_job(job)
    assert (record.state, record.retries, record.turns) == (SessionState.ZOMBIE, 3, 3)
    mail = talk.mail_of(lead)
    assert (mail.type, mail.payload["reason"]) == ("worker_died", "crashed with exit code 3")
    assert talk.replies("s1") == [job] * 3
    wait_until(lambda: not talk.parts.agents.find(record.name).is_live, description="the agent has finished")


def test_stalled_turn_makes_a_zombie(talk: Talk) -> None:
    """Its parent hears for how long nothing came."""
    talk.made.variables |= {"COALMINE_AGENT__STALL_SECONDS": "0.5", "COALMINE_JOB__MAX_ATTEMPTS": "1"}
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    talk.template("sleep 600")
    talk.made.worker("w1")
    job = talk.job(parent=lead)
    until_state(talk.parts, job, JobState.FAILED)
    assert talk.of_job(job).state is SessionState.ZOMBIE
    mail = talk.mail_of(lead)
    assert mail.payload["reason"].startswith("stalled: no events for ")


def test_clean_turn_without_terminal_mail(talk: Talk) -> None:
    """It completes, with an event, and the parent hears that the word is missing."""
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    talk.template()
    talk.made.worker("w1")
    job = talk.job(parent=lead)
    until_state(talk.parts, job, JobState.SUCCEEDED)
    assert talk.of_job(job).state is SessionState.COMPLETED
    (event,) = talk.events("session.terminal_mail_missing")
    assert event.subject == talk.of_job(job).name
    mail = talk.mail_of(lead)
    assert mail.payload["reason"] == "clean exit without terminal mail"


#: Terminal mail about the agent's task; in the payload a shell puts the job's id in the place of JOB.
PAYLOAD = '{"task_id": "JOB", "branch": "", "exit_code": 0, "files_modified": []}'
SEND_DONE = (
    '"$COALMINE_MAIL" send --to lead-1 --type worker_done --subject done '
    f"--payload \"$(echo '{PAYLOAD}' | sed s/JOB/$COALMINE_JOB_ID/)\""
)


@pytest.mark.parametrize("then", ["true", "sleep 600"])
def test_terminal_mail_completes(talk: Talk, then: str) -> None:
    """A clean turn, and one that is cancelled after its terminal mail; no mail reports a death."""
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    talk.template(f"{SEND_DONE} >&2 && {then}")
    talk.made.worker("w1")
    job = talk.job(parent=lead)
    name = f"builder-{job[:8]}"
    wait_until(lambda: talk.parts.post_office.newest(1, recipient=lead), description="the mail was sent")
    if then != "true":
        talk.parts.jobs.cancel(job, by="ada", at=talk.parts.job_store.now())
    wait_until(lambda: talk.parts.jobs.find(job).state.is_final, description="the job has ended")
    assert talk.session(name).state is SessionState.COMPLETED
    assert [mail.type for mail in talk.parts.post_office.newest(10, recipient=lead)] == ["worker_done"]
    assert talk.events("session.terminal_mail_missing") == []


def test_terminal_mail_of_an_agent_that_several_jobs_share(talk: Talk) -> None:
    """Its task is the job of its turn: word of that job ends it, of another it does not."""
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    line = SEND_DONE.replace("$COALMINE_JOB_ID", "$(cat about)")
    note = f"[ -e {talk.folder}/job ] || echo $COALMINE_JOB_ID > {talk.folder}/job"
    talk.template(f"{note}; ln -sf {talk.folder}/job about; {line} >&2")
    talk.made.worker("w1")
    office = talk.parts.post_office
    first = talk.job(agent="helper", parent=lead)
    until_state(talk.parts, first, JobState.SUCCEEDED)
    wait_until(lambda: talk.parts.agents.live()[1:] == [], description="the agent has left")
    assert [(mail.type, mail.task) for mail in office.newest(10, recipient=lead)] == [("worker_done", first)]
    assert talk.events("session.terminal_mail_missing") == []
    second = talk.job(agent="helper", parent=lead)
    until_state(talk.parts, second, JobState.SUCCEEDED)
    wait_until(lambda: len(office.newest(10, recipient=lead)) == 3, description="the parent has its mails")
    assert office.newest(1, recipient=lead)[0].payload["task_id"] == second


def test_terminal_mail_after_an_abort_comes_too_late(talk: Talk) -> None:
    """It was not there when the turn was ended: nobody gets it, and the parent hears of a death, once."""
    talk.made.variables["COALMINE_AGENT__KILL_GRACE_SECONDS"] = "10"
    lead = talk.parts.agents.register(role=Role.LEAD, name="lead-1").name
    tried = talk.folder / "tried"
    bye = f"{SEND_DONE} >&2; touch {tried}; exit 0"
    (talk.folder / "bye").write_text(bye)
    talk.template(f"trap '. {talk.folder}/bye' TERM; touch {talk.folder}/ready; while :; do sleep 0.1; done")
    talk.made.worker("w1")
    job = talk.job(parent=lead)
    wait_until((talk.folder / "ready").exists, description="the agent is ready to say goodbye")
    talk.parts.jobs.cancel(job, by="ada", at=talk.parts.job_store.now())
    until_state(talk.parts, job, JobState.CANCELLED)
    assert tried.exists(), "it was killed before it could try, so this test shows nothing"
    mail = talk.mail_of(lead)
    assert (mail.type, mail.payload["reason"]) == ("worker_died", "aborted by operator")
    assert talk.of_job(job).state is SessionState.ZOMBIE


def test_watchdog_ends_a_silent_turn(talk: Talk) -> None:
    """Warning, nudge, end: by real ticks, on a real worker."""
    slow = slowdown()
    talk.made.variables |= {
        "COALMINE_AGENT__SILENCE_WARN_SECONDS": "0.5",
        "COALMINE_AGENT__SILENCE_NUDGE_SECONDS": f"{2.5 * slow:.1f}",
        "COALMINE_AGENT__SILENCE_CANCEL_SECONDS": f"{5 * slow:.1f}",
        "COALMINE_TIMES__LEASE_SECONDS": "60",  # it is silent, not lost
        "COALMINE_JOB__MAX_ATTEMPTS": "1",
    }
    talk.template(HANG)
    talk.made.worker("w1")
    talk.made.beat()
    job = talk.job()
    done = until_state(talk.parts, job, JobState.FAILED)
    assert "went silent" in done.reason
    taken = [event.data["measure"] for event in talk.events("session.silent")]
    assert taken == [each for each in ("warn", "nudge", "cancel") if each in taken], (
        "each once, in this order"
    )
    assert taken[-1] == "cancel"
    assert talk.of_job(job).state is SessionState.ZOMBIE


def test_job_is_handed_to_a_person_after_its_limits(talk: Talk) -> None:
    """By turns, or by cost: no process is started beyond them."""
    talk.made.variables |= {"COALMINE_AGENT__TURNS_PER_JOB": "2", "COALMINE_AGENT__JOB_COST_USD": "0.6"}
    talk.template("exit 1")
    talk.made.worker("w1")
    talk.made.beat()
    job = talk.job()
    done = until_state(talk.parts, job, JobState.ESCALATED)
    assert "2 turns of 2" in done.reason
    assert (done.turns, done.spent_usd) == (2, 0.5)
    assert talk.replies() == [job] * 2
