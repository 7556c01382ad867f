"""Seeing an agent off: its job has ended for good, so its parent is told and nobody can write to it any more.

A turn's end is not its agent's: the push may fail, the report may be refused, CI may be red, and the same
agent goes on. So nobody is told of a death before the job is known to be over.
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
    """How an agent would leave, if the turn that has ended was its last one."""

    agent: AgentRecord  # as it was when the attempt began
    fence: int  # of the turn
    end: AgentEnd
    is_end: bool  # by the turn alone the agent has no more turns


class Retirements:
    """Called behind the report of an attempt. The watchdog sees to what fails here, or was never reached."""

    def __init__(
        self, *, jobs: JobStore, sessions: SessionStore, agents: AgentRegistry, office: PostOffice
    ) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self._agents = agents
        self._office = office

    def see_off(self, claimed: Job, retirement: Retirement) -> bool:
        """End the agent if its job has ended and nobody else has it; returns whether it was ended here.

        `claimed` is the job as it was claimed for the attempt. A store that is away is only told of.
        """
        try:
            job = self._jobs.read(claimed.id)
            if job is not None and (not job.state.is_final or job.fence != claimed.fence):
                return False
            return self._end(claimed, job, retirement)
        except CoalmineError as error:
            _log.warning("agent.not_seen_off", agent=retirement.agent.name, reason=str(error))
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
    """Whether an agent whose job has ended leaves with it.

    Not one that has left or lives anew, is in a later turn, serves other jobs too, or waits for its
    children: those are ended first.
    """
    if not agent.is_live or agent.life != retirement.agent.life or retirement.end.awaiting:
        return False
    if session is not None and session.fence != retirement.fence:
        return False
    return retirement.is_end or (agent.role.is_task_scoped and bool(agent.job))


def last_word(end: AgentEnd, *, said: bool, cancelled: bool) -> AgentEnd:
    """The agent's end, by how its job ended.

    `said`: terminal mail of an earlier turn of this life holds behind a clean end: that turn was repeated
    for the push's sake, and the agent need not say again what it has said.
    """
    told = replace(end, terminal_seen=end.terminal_seen or said)
    return replace(told, ended_by=Ending.CANCEL) if cancelled else told
