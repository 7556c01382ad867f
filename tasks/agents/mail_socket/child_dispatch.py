"""Makes child jobs: `dispatch` mail to Coalmine is enqueued as a child of the sender's job.

The child's agent is registered at once, with the sender as its parent, so that the sender can await its mail.
Sending the same task again finds the same child.
"""

from dataclasses import dataclass

import structlog

from routing.errors import CoalmineError, InvalidInputError
from routing.jobs.children import ChildOrder, Children
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.address import agent_name
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.payloads import TaskDispatch, checked_payload

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """The child, as the sender learns of it."""

    job: str
    agent: str  # its address
    created: bool  # False when the same task was dispatched before


class ChildDispatch:
    """Keeps nothing in memory; called by the mail server's threads, several at once."""

    def __init__(self, children: Children, agents: AgentRegistry) -> None:
        self._children = children
        self._agents = agents

    def dispatch(self, letter: Letter, *, agent: str, job: str) -> Child:
        """Enqueue the child that an agent asks for in a turn of a job.

        The task's id names the child among those of its parent, so asking again finds the same one (`created`
        is False then). Raises InvalidInputError for a turn without a job, and ChildRefusedError where the
        parent has ended or a limit of depth or number is reached.
        """
        order = checked_payload(letter.type, letter.payload)
        if not isinstance(order, TaskDispatch) or not job:
            message = "no child was dispatched: this turn works on no job, so a child would have no parent"
            raise InvalidInputError(message)
        done = self._children.dispatch(
            ChildOrder(
                parent=job,
                agent=agent,
                name=order.task_id,
                spec=f"{order.spec}\n\n{letter.body}".strip(),
                role=order.role,
                file_scope=order.file_scope,
            )
        )
        name = agent_name(order.role, done.job)
        if done.created:
            name = self._register(order, agent=agent, job=done.job) or name
        return Child(job=done.job, agent=name, created=done.created)

    def _register(self, order: TaskDispatch, *, agent: str, job: str) -> str:
        """Register the child's agent; returns its name, or "" if that failed: then its first turn does it."""
        try:
            return self._agents.register(role=order.role, job=job, parent=agent).name
        except CoalmineError as error:
            _log.warning("child.not_registered", job=job, parent=agent, reason=str(error))
            return ""
