"""Retiring an agent: its job has ended for good, so its parent gets a mail and nobody can write to it.

The end of a turn is not the end of its agent: the push may fail, the report may be refused, CI may be red,
and the same agent goes on. So a turn only leaves a `Retirement`, which says how its agent would end, and
the worker carries it out after it has reported the attempt, if the job is then final and still the
worker's.
"""

from dataclasses import dataclass, replace

import structlog

from routing.errors import CoalmineError
from routing.jobs.ending import Ending
from routing.jobs.job import Job, JobState
from routing.store.jobs.job_store import JobStore
from routing.store.sessions.session_store import SessionStore
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.agents.supervision.worker_died import AgentEnd, has_said, tell_parent

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retirement:
    """How an agent ends, if the turn that has ended was its last one."""

    agent: AgentRecord  # as it was when the attempt began
    fence: int  # of the turn
    end: AgentEnd
    is_end: bool  # the turn alone says that the agent has no more turns


class Retirements:
    """Called after an attempt was reported, in the thread that worked the job.

    The watchdog does what fails here, or was never reached.
    """

    def __init__(
        self, *, jobs: JobStore, sessions: SessionStore, agents: AgentRegistry, office: PostOffice
    ) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self._agents = agents
        self._office = office

    def retire(self, claimed: Job, retirement: Retirement) -> bool:
        """End the agent if its job has ended and nobody else has it; returns whether it was ended here.

        `claimed` is the job as it was claimed for the attempt. Never raises for a store that does not answer.
        """
        try:
            job = self._jobs.read(claimed.id)
            if job is not None and (not job.state.is_final or job.fence != claimed.fence):
                return False
            return self._end(claimed, job, retirement)
        except CoalmineError as error:
            _log.warning("agent.not_retired", agent=retirement.agent.name, reason=str(error))
            return False

    def _end(self, claimed: Job, job: Job | None, retirement: Retirement) -> bool:
        agent = self._agents.find(retirement.agent.name)
        agent = agent.model_copy(update={"task": agent.task or claimed.id})  # one of several jobs has none
        fields = self._sessions.read(agent.name)
        session = SessionRecord.parse(fields) if fields else None
        if not leaves(agent, session, retirement):
            return False
        if session is not None and not session.state.is_final:
            zombie = SessionState.ZOMBIE
            self._sessions.move(
                agent.name, zombie, allowed=ALLOWED[zombie], reason="its job has ended", expired=True
            )
        said = retirement.end.clean and has_said(self._office, agent)
        cancelled = job is not None and job.state is JobState.CANCELLED
        tell_parent(self._office, agent, last_word(retirement.end, said=said, cancelled=cancelled))
        return self._agents.finish(agent.name, reason="its job has ended", job=claimed.id)


def leaves(agent: AgentRecord, session: SessionRecord | None, retirement: Retirement) -> bool:
    """Whether an agent whose job has ended ends with it.

    Not one that has ended, has begun another life, is in a later turn, serves other jobs too, or waits for
    its children, which are ended first.
    """
    if not agent.is_live or agent.life != retirement.agent.life or retirement.end.awaiting:
        return False
    if session is not None and session.fence != retirement.fence:
        return False
    return retirement.is_end or (agent.role.is_task_scoped and bool(agent.job))


def last_word(end: AgentEnd, *, said: bool, cancelled: bool) -> AgentEnd:
    """The agent's end, by how its job ended.

    `said`: terminal mail was sent in an earlier turn of this life. It counts for a later turn that ended
    cleanly: that one was run because the push had failed, and the agent need not say again what it has
    said.
    """
    known = replace(end, terminal_seen=end.terminal_seen or said)
    return replace(known, ended_by=Ending.CANCEL) if cancelled else known
