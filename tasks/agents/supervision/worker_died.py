"""Telling a parent, exactly once, that its agent ended without saying how its task went.

The worker and the watchdog may both try, again and again. The mail's key is the agent and its life, so that
the parent gets one mail for each life; what a job's retry starts is another life.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from routing.errors import NotFoundError
from routing.jobs.ending import Ending
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import FinishedAgentError, UnknownAgentError
from tasks.agents.mail.address import FLEET
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MailType
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.receipt import Receipt

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentEnd:
    """How an agent ended, if it has no more turns."""

    ended_by: Ending
    exit_code: int | None = None  # None when we ended the process
    clean: bool = False  # of its last turn
    terminal_seen: bool = False  # the terminal mail of its last turn was sent
    awaiting: bool = False  # it waits for its children, so it has not ended
    last_activity: float | None = None  # seconds since the epoch, of its last event; None: there was none
    stall_seconds: float = 0.0  # silence after which it was ended


def death(agent: AgentRecord, end: AgentEnd) -> Letter | None:
    """The mail to the parent: None for an agent without parent or task, that said how it went, or goes on."""
    reason = _reason(end)
    if not reason or not agent.parent or not agent.role.is_task_scoped:
        return None
    if end.terminal_seen or end.awaiting:
        return None
    last = end.last_activity
    return Letter.checked(
        to=agent.parent,
        type_=MailType.WORKER_DIED,
        priority="high",
        subject=f"{agent.name} died: {reason}",
        body=f"{agent.name} ({agent.role}) ended without terminal mail about its task: {reason}.",
        payload={
            "agent": agent.name,
            "role": agent.role.value,
            "task_id": agent.task,
            "reason": reason,
            "last_activity": None if last is None else datetime.fromtimestamp(last, tz=UTC).isoformat(),
            "ended_by": end.ended_by.value,
        },
        dedupe_key=f"worker_died:{agent.name}:{agent.life}",  # one mail for each life
    )


def tell_parent(post_office: PostOffice, agent: AgentRecord, end: AgentEnd) -> Receipt | None:
    """Send that mail, if there is one to send.

    None: nothing was sent, as there is no mail or no parent left.
    """
    letter = death(agent, end)
    if letter is None:
        return None
    try:
        return post_office.send(FLEET, letter)[0]
    except (FinishedAgentError, UnknownAgentError) as error:
        _log.info("mail.parent_gone", agent=agent.name, parent=agent.parent, reason=str(error))
        return None


def has_said(post_office: PostOffice, agent: AgentRecord) -> bool:
    """Whether it has sent terminal mail about its task in this life, in any turn.

    False if that has expired.
    """
    try:
        mail = post_office.find(agent.terminal_mail) if agent.terminal_mail else None
    except NotFoundError:
        return False
    if mail is None or mail.task != agent.task:
        return False
    return (agent.terminal_at or mail.sent_at) >= agent.registered_at


def _reason(end: AgentEnd) -> str:
    """In words; "" when it has not ended, as another worker goes on with it."""
    reasons: dict[Ending, Callable[[], str]] = {
        Ending.RESULT: lambda: _exit(end),
        Ending.STALL: lambda: f"stalled: no events for {end.stall_seconds:g} s",
        Ending.CANCEL: lambda: "aborted by operator",
        Ending.DEADLINE: lambda: "stopped at its time limit",
        Ending.OUTPUT_LIMIT: lambda: "stopped at its output limit",
        Ending.MEMORY_LIMIT: lambda: "stopped at its limit of memory",
        Ending.PROCESS_LIMIT: lambda: "stopped at its limit of processes",
        Ending.FILE_LIMIT: lambda: "stopped at its limit for the size of a file",
        Ending.DISK_LIMIT: lambda: "stopped at its limit of disk",
        Ending.BUDGET: lambda: "stopped at its cost limit",
        Ending.PARSER_ERROR: lambda: "stopped as its runtime could not read what it said",
        Ending.LEASE_LOST: lambda: "",
        Ending.DRAIN: lambda: "",
    }
    return reasons[end.ended_by]()


def _exit(end: AgentEnd) -> str:
    if end.clean:
        return "clean exit without terminal mail"
    return "its job ended without it" if end.exit_code is None else f"crashed with exit code {end.exit_code}"
