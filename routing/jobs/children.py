"""Children: jobs that the agent of another job asks for. They are never drawn and count in no trial."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from routing.errors import ConflictError, UnavailableError
from routing.jobs.job import Job, JobRequest
from routing.jobs.mailbox import Enqueued, new_job_id
from routing.jobs.publisher import Publisher
from routing.store.jobs.acceptance import Acceptance, AcceptAnswer, Family, NewJob, sides_json
from routing.store.jobs.job_store import JobStore
from routing.store.trials.version_store import VersionStore
from routing.templates.route import Route, draw
from routing.templates.route_defaults import MailboxPolicy, side
from routing.templates.route_reader import RouteReader
from routing.templates.version import version_id

_log = structlog.get_logger(__name__)


class ChildRefusedError(ConflictError):
    """The job may not have that child; nothing was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildRules:
    """What the settings say of children."""

    most: int = 5  # active ones of one job
    deepest: int = 2  # generations below the job that nobody's agent asked for


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
    """Dispatches children. One instance a process."""

    def __init__(
        self, *, jobs: JobStore, versions: VersionStore, routes: RouteReader, publisher: Publisher,
        policy: MailboxPolicy, rules: ChildRules, ids: Callable[[], str] = new_job_id,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._versions = versions
        self._routes = routes
        self._publisher = publisher
        self._policy = policy
        self._rules = rules
        self._ids = ids

    def dispatch(self, order: ChildOrder) -> Enqueued:
        """Accept a child in one step with the check of what its parent may have, then publish it."""
        parent = self._jobs.read(order.parent)
        if parent is None:
            raise _refusal(AcceptAnswer.NO_PARENT, order, self._rules)
        request = _request(order, parent, self._template(order.role, parent))
        job = self._ids()
        while True:
            reference, route = self._route(request.template, parent)
            queue = _queue(route, parent)
            step = self._step(job, request, route, parent)
            ((word, detail),) = self._jobs.accept(step)
            if word is not AcceptAnswer.STALE:
                break
            self._routes.forget(reference)
        if word is AcceptAnswer.SAME:
            return Enqueued(job=detail, created=False)
        if word is not AcceptAnswer.OK:
            raise _refusal(word, order, self._rules)
        if not step.pushed:
            self._publish(job, request, queue)
        return Enqueued(job=job, created=True, version=route.champion.id)

    def _template(self, role: str, parent: Job) -> str:
        """The template of the role's name, or else the parent's."""
        return role if self._versions.field(role, "champion") else parent.template

    def _route(self, template: str, parent: Job) -> tuple[str, Route]:
        """The parent's own version where it is of that template and was not rejected, else the champion."""
        if template == parent.template:
            own = version_id(template, parent.version)
            try:
                return own, self._routes.route(own)
            except ConflictError:  # rejected since the parent began: it gets no more work
                pass
        return template, self._routes.route(template)

    def _step(self, job: str, request: JobRequest, route: Route, parent: Job) -> Acceptance:
        queue = _queue(route, parent)
        fields, _, data = side(draw(route, None), route=route, policy=self._policy)
        if queue == "canary":
            fields["queue"] = queue
        arm = parent.arm or parent.parent_arm
        if arm is not None and route.pinned:
            fields["parent_arm"] = arm
        family = Family(parent=parent.id, most=self._rules.most, deepest=self._rules.deepest)
        told = data | {"queue": queue, "parent": parent.id, "role": request.role}
        pushed = self._publisher.prepared(job, queue, request.priority)
        queue_key, message = pushed or ("", "")
        new = NewJob(
            id=job,
            side=1,
            request=request.model_dump_json(exclude_defaults=True),
            once=hashlib.sha256(request.idempotency_key.encode()).hexdigest()[:40],
            queue_key=queue_key,
            message=message,
        )
        return Acceptance(
            template=route.template,
            revision=route.revision,
            sides=sides_json([(fields, "", told)], family),
            parent=parent.id,
            settle_seconds=self._policy.settle_deadline_seconds,
            retention_seconds=self._policy.retention_seconds,
            jobs=[new],
        )

    def _publish(self, job: str, request: JobRequest, queue: str) -> None:
        """What no script has pushed. A failure is logged, not raised: the relay publishes later."""
        try:
            self._publisher.publish(job, queue, request.priority)
        except UnavailableError as error:
            _log.warning("job.publish_failed", job=job, reason=str(error))
        else:
            self._jobs.published([job])


def _request(order: ChildOrder, parent: Job, template: str) -> JobRequest:
    """The child works in its parent's repository; the issue stays the parent's to close."""
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


def _queue(route: Route, parent: Job) -> Literal["champion", "canary"]:
    """A canary's own children wait where it waited."""
    return parent.queue if route.pinned else "champion"


def _refusal(word: AcceptAnswer, order: ChildOrder, rules: ChildRules) -> ChildRefusedError:
    reasons = {
        AcceptAnswer.NO_PARENT: "there is no such job (any more)",
        AcceptAnswer.PARENT_ENDED: "it has ended",
        AcceptAnswer.PARENT_CANCELLED: "it is being cancelled",
        AcceptAnswer.CHILDREN: f"{rules.most} of its children are at work, as many as it may have: wait",
        AcceptAnswer.DEPTH: f"it is {rules.deepest} generations below a job that was "
        "enqueued, and may have none: do the work yourself",
    }
    message = f"no child of job {order.parent} was dispatched: {reasons.get(word, word)}"
    return ChildRefusedError(message)
