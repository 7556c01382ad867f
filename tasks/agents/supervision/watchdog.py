"""The watchdog: turns that are lost or silent, gates that nobody answered, agents whose job has ended.

It is the second line of supervision. A turn's own worker ends it when it is silent, and the worker that
reports a job retires its agent; the watchdog does the same for workers that were lost, and for what failed.
It never touches a turn whose lease is alive and whose events flow, nor one that waits for a person.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from routing.errors import NotFoundError
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Jobs
from routing.store.jobs.job_store import JobStore
from routing.store.sessions.session_store import SessionAnswer, SessionStore
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.address import FLEET
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MOST_SUBJECT, Mail
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.receipt import DecidedError
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.agents.supervision.silence import Measure, SilenceFinding, SilenceLimits, finding
from tasks.agents.supervision.worker_died import AgentEnd, has_said, tell_parent
from tasks.agents.turn.stop_signal import StopReason
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Sessions and jobs that one tick looks at.
MOST = 1000

#: Seconds between two looks at a session that nobody is in.
IDLE_SECONDS = 60.0


class Watchdog:
    """Looks after what no worker looks after any more: see the module. `tick` is all that is called.

    One tick at a time in the fleet, in any worker; a tick that overruns its lease may meet a second one.
    Every step may be repeated, and a worker may do the same at the same moment: each is one write of the
    store that changes nothing if its condition no longer holds. Sessions are moved only when their lease has
    run out, and a silent turn is asked to stop by a note that its own worker reads.

    An agent's end is reported to its parent before the agent is finished. If the tick dies between the two,
    the next one reports again under the same dedupe key, so the parent has one mail.

    An error about one session or agent is logged, and the next one is looked at. A store that does not answer
    while a list is read ends the tick with UnavailableError; the next tick looks at everything again.
    """

    def __init__(
        self, *, sessions: SessionStore, agents: AgentRegistry, office: PostOffice, jobs: Jobs,
        job_store: JobStore, withdraw: Callable[[], object], patience: SilenceLimits,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._agents = agents
        self._office = office
        self._jobs = jobs
        self._job_store = job_store
        self._withdraw = withdraw  # cancels what rejected versions work on; rejecting may have died before
        self._patience = patience

    def tick(self) -> None:
        """Look at everything once.

        What fails for one session or agent is logged, and the next is looked at.
        """
        now = self._sessions.now()
        live = self._agents.live()
        for record in self._records(self._sessions.in_turn(MOST)):
            with _each(record.name):
                self._look(record, now)
        for agent in live:
            with _each(agent.name):
                close_undecided(self._office, agent, now=now)
            with _each(agent.name):
                self._close(agent, live, now)
        self._tidy(now)
        self._withdraw()

    def _look(self, record: SessionRecord, now: float) -> None:
        """A session in a turn: mark it stalled if its worker was lost, or do something about its silence."""
        agent = self._agent(record.name)
        found = finding(
            record,
            now=now,
            patience=self._patience,
            waits_for_person=agent is not None and agent.waits_for_person(now),
            waited_until=agent.waited_until(now) if agent is not None else None,
        )
        if found.is_lost:
            reason = f"its worker {record.holder} was lost".replace("  ", " ")
            _log.warning("session.stalled", agent=record.name, job=record.job, reason=reason)
            self._sessions.move(
                record.name, SessionState.STALLED, allowed=ALLOWED[SessionState.STALLED], reason=reason,
                expired=True,
            )  # fmt: skip
        elif found.measure is not Measure.NONE:
            self._take(record, found)

    def _take(self, record: SessionRecord, found: SilenceFinding) -> None:
        """Take a measure, unless it was taken for this silence, or the agent has spoken meanwhile."""
        seconds = round(found.silent_seconds)
        stop = f"{StopReason.STALL}:no events for {seconds} s" if found.measure is Measure.CANCEL else ""
        answer = self._sessions.escalate(
            record.name,
            fence=record.fence,
            last_activity=record.last_activity,
            stage=found.measure,
            data={"measure": found.measure.name.lower(), "silent_seconds": seconds, "job": record.job},
            stop=stop,
        )
        if answer is not SessionAnswer.OK:
            return
        _log.warning("session.silent", agent=record.name, measure=found.measure.name.lower(), seconds=seconds)
        if found.measure is Measure.NUDGE:
            self._office.send(FLEET, _nudge(record, seconds))

    def _close(self, agent: AgentRecord, live: Sequence[AgentRecord], now: float) -> None:
        """Retire an agent whose job has ended, where no worker did.

        `live`: all live agents, for its children.
        """
        if not agent.job or not agent.role.is_task_scoped:
            return
        job = self._job_store.read(agent.job)
        if job is not None and not job.state.is_final:
            return
        fields = self._sessions.read(agent.name)
        record = SessionRecord.parse(fields) if fields else None
        if record is not None and self._goes_on(record, live, now):
            return
        if record is not None and not record.state.is_final:
            self._give_up(agent.name, "its job has ended")
        tell_parent(self._office, agent, self._end(agent, job, record, now))
        self._agents.finish(agent.name, reason="its job has ended", job=agent.job)

    def _goes_on(self, record: SessionRecord, live: Sequence[AgentRecord], now: float) -> bool:
        """Whether a turn of it is being run, or it awaits children that live."""
        in_turn = record.lease_until is not None and record.lease_until > now
        waits = record.awaiting and any(child.parent == record.name for child in live)
        return in_turn or waits

    def _end(self, agent: AgentRecord, job: Job | None, record: SessionRecord | None, now: float) -> AgentEnd:
        """How it ended, by what is stored: nobody saw its last turn end."""
        last = record.last_activity if record is not None and record.turns + record.fence else None
        ended_by, exit_code = Ending.RESULT, job.result.exit_code if job is not None else None
        if job is not None and job.state is JobState.CANCELLED:
            ended_by = Ending.CANCEL
        elif record is not None and record.state in {SessionState.IN_TURN, SessionState.STALLED}:
            ended_by = Ending.STALL
        return AgentEnd(
            ended_by=ended_by,
            exit_code=exit_code,
            clean=exit_code == 0,
            terminal_seen=has_said(self._office, agent),
            last_activity=last,
            stall_seconds=round(now - last) if last is not None else 0.0,
        )

    def _tidy(self, now: float) -> None:
        """Give up sessions whose agent has finished, and forget those that have expired.

        Only sessions are read that are in no turn and were not looked at for IDLE_SECONDS.
        """
        for name in self._sessions.idle(before=now - IDLE_SECONDS, most=MOST):
            if not self._sessions.read(name):
                self._sessions.forget(name)
            elif self._is_live(name):
                self._sessions.look_later(name, at=now)
            else:
                self._give_up(name, "its agent has finished")

    def _give_up(self, name: str, reason: str) -> None:
        self._sessions.move(
            name, SessionState.ZOMBIE, allowed=ALLOWED[SessionState.ZOMBIE], reason=reason, expired=True
        )

    def _is_live(self, name: str) -> bool:
        agent = self._agent(name)
        return agent is not None and agent.is_live

    def _agent(self, name: str) -> AgentRecord | None:
        try:
            return self._agents.find(name)
        except NotFoundError:
            return None

    def _records(self, names: Sequence[str]) -> list[SessionRecord]:
        """The sessions of these names that can be read; what has expired is taken off the list."""
        records: list[SessionRecord] = []
        for name, fields in zip(names, self._sessions.read_many(names), strict=True):
            if not fields:
                self._sessions.forget(name)
                continue
            with _each(name):
                records.append(SessionRecord.parse(fields))
        return records


def _each(name: str) -> LogAndContinue:
    """One session's or agent's fault stays with it."""
    return LogAndContinue("watchdog.failed", subject=name)


def _nudge(record: SessionRecord, seconds: int) -> Letter:
    return Letter.checked(
        to=record.name,
        type_="health_check",
        priority="high",
        subject=f"you have printed nothing for {seconds} s",
        body="Say what you are doing. A turn that prints nothing for too long is ended.",
        dedupe_key=f"nudge:{record.name}:{record.fence}:{record.last_activity:.6f}",
    )


def nobody_decided(gate: Mail) -> Letter:
    """The mail that tells an agent that the deadline of its decision gate has passed without an answer."""
    options = ", ".join(map(str, gate.payload.get("options", [])))
    return Letter.checked(
        to=gate.sender,
        subject=f"Nobody decided: {gate.subject}"[:MOST_SUBJECT],
        priority=gate.priority,
        body=(
            f"Nobody answered your decision gate {gate.id} by its deadline{_by(gate)}, and it is closed. "
            f"You asked to choose from: {options}. Go on with what can be undone, or say why you cannot. "
            "An answer that comes later is delivered as any other mail."
        ),
    )


def close_undecided(office: PostOffice, agent: AgentRecord, *, now: float) -> bool:
    """Close a gate whose deadline has passed, and tell its agent, in one step.

    Exactly once, however many try.

    Returns False when nothing was to be done: the deadline has not passed, or somebody answered meanwhile.
    """
    if not agent.has_undecided_gate(now):
        return False
    gate = office.find(agent.gate)
    try:
        office.send(FLEET, nobody_decided(gate), replied=gate, if_undecided=True)
    except DecidedError:
        return False
    return True


def _by(gate: Mail) -> str:
    if gate.deadline is None:
        return ""
    return f" ({datetime.fromtimestamp(gate.deadline, tz=UTC):%Y-%m-%d %H:%M:%SZ})"
