"""Children: jobs that the agent of another job asks for. They are never drawn and count in no trial.

How many a job may have, and how deep, is checked in the step that accepts one, so two requests at the same
time cannot exceed it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from routing.errors import ConflictError
from routing.jobs.job import Job, JobRequest
from routing.jobs.mailbox import Descent, Enqueued, Mailbox
from routing.store.jobs.acceptance import AcceptAnswer, Family
from routing.store.jobs.job_store import JobStore
from routing.store.trials.version_store import VersionStore


class ChildRefusedError(ConflictError):
    """The job may not have that child; nothing was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRules:
    """What the settings say of children."""

    most: int = 5  # active ones of one job
    deepest: int = 2  # generations below a job without a parent


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildOrder:
    """What an agent asks for."""

    parent: str  # id of its job
    agent: str = ""  # its name: where the child's mail goes
    name: str  # of the task, the agent's own: the same name leads to the same child
    spec: str  # what is to be done, in words
    role: str
    file_scope: Sequence[str] = ()  # what the child should keep to, in words


class Children:
    """Dispatches children by way of the mailbox. One instance a process."""

    def __init__(
        self, *, jobs: JobStore, versions: VersionStore, mailbox: Mailbox, rules: ChildRules
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._mailbox = mailbox
        self._rules = rules

    def dispatch(self, order: ChildOrder) -> Enqueued:
        """Accept a child in one step with the check of what its parent may have, then publish it."""
        parent = self._jobs.read(order.parent)
        if parent is None:
            raise _refusal(AcceptAnswer.NO_PARENT, order, self._rules)
        family = Family(parent=parent.id, most=self._rules.most, deepest=self._rules.deepest)
        request = _request(order, parent, self._template(order.role, parent))
        child = self._mailbox.enqueue_child(request, Descent(parent=parent, family=family))
        if child.created or child.answer is AcceptAnswer.SAME:
            return child
        raise _refusal(child.answer, order, self._rules)

    def _template(self, role: str, parent: Job) -> str:
        """The template of the role's name, or else the parent's."""
        return role if self._versions.field(role, "champion") else parent.template


def _request(order: ChildOrder, parent: Job, template: str) -> JobRequest:
    """The child works in its parent's repository, and has no issue: the parent closes its own."""
    scope = "".join(f"\n- {name}" for name in order.file_scope)
    return JobRequest.checked(
        template=template,
        task=f"{order.spec}\n\nKeep to these files:{scope}" if scope else order.spec,
        title=order.name[:500],
        priority=parent.request.priority,
        repository=parent.request.repository,
        difficulty=parent.request.difficulty,
        idempotency_key=f"child:{parent.id}:{hashlib.sha256(order.name.encode()).hexdigest()}",
        role=order.role,
        parent=order.agent,
    )


def _refusal(word: AcceptAnswer, order: ChildOrder, rules: ChildRules) -> ChildRefusedError:
    reasons = {
        AcceptAnswer.NO_PARENT: "that job does not exist, or no longer",
        AcceptAnswer.PARENT_ENDED: "it has ended",
        AcceptAnswer.PARENT_CANCELLED: "it is being cancelled",
        AcceptAnswer.CHILDREN: f"{rules.most} of its children are at work, as many as it may have: wait",
        AcceptAnswer.DEPTH: f"it is {rules.deepest} generations below a job that was "
        "enqueued, and may have none: do the work yourself",
    }
    message = f"no child of job {order.parent} was dispatched: {reasons.get(word, word)}"
    return ChildRefusedError(message)
