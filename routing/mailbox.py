"""The mailbox: accepts requests, draws the arm, records the job and publishes its message."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from routing.bet import Arm
from routing.errors import InvalidInputError, UnavailableError
from routing.events import SNAPSHOT_UNREADABLE
from routing.job import MAX_REQUEST_BYTES, JobRequest, Priority
from routing.publisher import Publisher
from routing.route import Draw, Generator, Route, draw, draws
from routing.route_reader import RouteReader
from routing.store.event_store import EventStore
from routing.store.job_record import FORM
from routing.store.job_store import Acceptance, JobStore
from routing.store.keys import Keys
from routing.trial import Trial
from routing.version import VersionReference

_log = structlog.get_logger(__name__)

#: Requests sent to the server in one round trip.
BATCH = 500


class PayloadTooLargeError(InvalidInputError):
    """The request is larger than a job may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPolicy:
    """What the mailbox is told by the settings."""

    canaries_enabled: bool = True
    max_attempts: int = 3
    settle_deadline_seconds: float = 604_800.0
    retention_seconds: int = 2_592_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What became of a request."""

    job: str
    created: bool  # False when its idempotency key, or its issue, led to a job that was there
    version: str = ""  # `implementer@v3`; "" when not created
    trial: str = ""
    arm: Arm | None = None
    draw: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A request on its way, with the draw that is made at most once for it."""

    request: JobRequest
    job: str
    body: str  # the request as JSON
    once: str  # digest of the idempotency key
    numbers: list[float] = field(default_factory=list)  # the draw, once it is made


def new_job_id() -> str:
    """64 random bits in hex: ids are not drawn from the routing generator."""
    return os.urandom(8).hex()


class Mailbox:
    """Enqueues jobs. One instance a process."""

    def __init__(
        self, *, jobs: JobStore, events: EventStore, routes: RouteReader, publisher: Publisher,
        generator: Generator, policy: MailboxPolicy, ids: Callable[[], str] = new_job_id,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._events = events
        self._routes = routes
        self._publisher = publisher
        self._generator = generator
        self._policy = policy
        self._ids = ids
        self._keys: Keys = jobs.keys

    def enqueue(self, request: JobRequest) -> Enqueued:
        """Accept one request: record, draw, outbox entry and event in one step, then publish it."""
        return self.enqueue_many([request])[0]

    def enqueue_many(self, requests: Sequence[JobRequest]) -> list[Enqueued]:
        """Accept a batch in a few round trips; draws are made in the order of the requests.

        Every request is checked before the first is written.
        """
        prepared = [self._prepare(request) for request in requests]
        done: list[Enqueued] = []
        for batch in _batches(prepared):
            done += self._accept(batch)
        return done

    def _prepare(self, request: JobRequest) -> _Prepared:
        body = request.model_dump_json(exclude_defaults=True)
        if len(body) > MAX_REQUEST_BYTES or len(body.encode()) > MAX_REQUEST_BYTES:
            message = (
                f"the request has {len(body.encode())} bytes and at most {MAX_REQUEST_BYTES} are accepted; "
                "nothing was written. Put large material into the repository and name its path"
            )
            raise PayloadTooLargeError(message)
        self._routes.route(request.template)
        once = request.idempotency_key
        digest = hashlib.sha256(once.encode()).hexdigest()[:40] if once else ""
        return _Prepared(request=request, job=self._ids(), body=body, once=digest)

    def _accept(self, batch: list[_Prepared]) -> list[Enqueued]:
        """Accept a batch; what a changed route refuses is read and tried again, with the same draw."""
        done: dict[str, Enqueued] = self._known(batch)
        waiting = [item for item in batch if item.job not in done]
        while waiting:
            steps = [self._step(item) for item in waiting]
            answers = self._write([step for step, _ in steps])
            again: list[_Prepared] = []
            accepted: list[Acceptance] = []
            for item, (step, chosen), answer in zip(waiting, steps, answers, strict=True):
                if answer[0] == "stale":
                    self._routes.forget(item.request.template)
                    again.append(item)
                elif answer[0] == "ok":
                    done[item.job] = _enqueued(item, chosen)
                    accepted.append(step)
                else:
                    done[item.job] = Enqueued(job=answer[1], created=False)
            self._publish(accepted, {item.job: item.request.priority for item in waiting})
            waiting = again
        return [done[item.job] for item in batch]

    def _known(self, batch: list[_Prepared]) -> dict[str, Enqueued]:
        """Requests that led to a job before: they get that job, and no draw is made for them."""
        asked = [item for item in batch if (item.once or item.request.issue) and self._draws(item)]
        if not asked:
            return {}
        found = self._jobs.known([(item.once, item.request.issue) for item in asked])
        pairs = zip(asked, found, strict=True)
        return {item.job: Enqueued(job=job, created=False) for item, job in pairs if job}

    def _draws(self, item: _Prepared) -> bool:
        reference = item.request.template
        return draws(
            self._routes.route(reference),
            enabled=self._policy.canaries_enabled,
            pinned=VersionReference.parse(reference).pins,
        )

    def _choose(self, item: _Prepared) -> tuple[Route, Draw]:
        """The version for a request. The generator is asked at most once for it."""
        route = self._routes.route(item.request.template)
        if not self._draws(item):
            return route, draw(route, None)
        if not item.numbers:
            item.numbers.append(self._generator.random())
        chosen = draw(route, item.numbers[0])
        if route.canary is None and route.trial is not None:
            self._events.emit(
                SNAPSHOT_UNREADABLE,
                route.trial.canary_id,
                {"job": item.job, "trial": route.trial.id, "reason": "its stored content cannot be read"},
            )
        return route, chosen

    def _step(self, item: _Prepared) -> tuple[Acceptance, Draw]:
        route, chosen = self._choose(item)
        request, policy, version = item.request, self._policy, chosen.version
        queue = "canary" if chosen.arm is Arm.CANARY else "champion"
        stratum = _stratum(request, chosen.trial)
        fields = [
            "v", str(FORM), "request", item.body, "state", "queued", "template", route.template,
            "version", str(version.number), "content_hash", version.content_hash,
            "max_attempts", str(request.max_attempts or policy.max_attempts),
        ]  # fmt: skip
        optional = {
            "source_commit": version.source_commit,
            "pinned": "1" if VersionReference.parse(request.template).pins else "",
            "issue": request.issue,
            "queue": queue if queue == "canary" else "",
            "draw": "" if chosen.number is None else repr(chosen.number),
            "trial": chosen.trial.id if chosen.trial else "",
            "arm": chosen.arm or "",
            "share": repr(chosen.trial.share) if chosen.trial else "",
            "stratum": stratum,
        }
        fields += [part for pair in optional.items() if pair[1] for part in pair]
        pushed = self._publisher.prepared(item.job, queue, request.priority)
        return Acceptance(
            job=item.job,
            template=route.template,
            revision=route.revision,
            fields=fields,
            trial=chosen.trial.id if chosen.trial else "",
            arm=chosen.arm or "",
            stratum=stratum,
            dispatch=_dispatch(item, chosen, stratum),
            queue_key=pushed[0] if pushed else "",
            message=pushed[1] if pushed else "",
            settle_seconds=chosen.trial.settle_deadline_seconds
            if chosen.trial
            else policy.settle_deadline_seconds,
            once=item.once,
            issue=request.issue,
            retention_seconds=policy.retention_seconds,
            data=_event_data(chosen, queue),
        ), chosen

    def _write(self, steps: list[Acceptance]) -> list[list[str]]:
        if len(steps) == 1:
            return [self._jobs.accept(steps[0])]
        return self._jobs.accept_many(steps)

    def _publish(self, accepted: list[Acceptance], priorities: dict[str, Priority]) -> None:
        """Publish what no script has pushed. A failure is logged, not raised: the relay publishes later."""
        published: list[str] = []
        for step in accepted:
            if step.message:
                continue
            try:
                self._publisher.publish(step.job, _queue(step), priorities[step.job])
            except UnavailableError as error:
                _log.warning("job.publish_failed", job=step.job, reason=str(error))
                break
            published.append(step.job)
        self._jobs.published(published)


def _batches(prepared: list[_Prepared]) -> Iterator[list[_Prepared]]:
    """Parts of one round trip each. A repeated key or issue begins a new part, which finds the first one's job."""
    batch: list[_Prepared] = []
    taken: set[tuple[str, str]] = set()
    for item in prepared:
        names = {("once", item.once), ("issue", item.request.issue)} - {("once", ""), ("issue", "")}
        if len(batch) == BATCH or names & taken:
            yield batch
            batch, taken = [], set()
        batch.append(item)
        taken |= names
    if batch:
        yield batch


def _stratum(request: JobRequest, trial: Trial | None) -> str:
    """The stratum that the trial sorts the request into; known before the draw."""
    if trial is None or trial.strata == "none":
        return ""
    return request.repository if trial.strata == "repository" else request.difficulty


def _queue(step: Acceptance) -> str:
    return "canary" if step.arm == Arm.CANARY else "champion"


def _enqueued(item: _Prepared, chosen: Draw) -> Enqueued:
    return Enqueued(
        job=item.job,
        created=True,
        version=chosen.version.id,
        trial=chosen.trial.id if chosen.trial else "",
        arm=chosen.arm,
        draw=chosen.number,
    )


def _dispatch(item: _Prepared, chosen: Draw, stratum: str) -> str:
    """The ledger's record of the dispatch, but for what the step itself adds: place, baselines and time."""
    if chosen.trial is None or chosen.arm is None:
        return ""
    record = {
        "v": 1,
        "job_id": item.job,
        "arm": chosen.arm.value,
        "share": chosen.trial.share,
        "draw": chosen.number,
        "stratum": stratum,
    }
    return json.dumps(record)[:-1]


def _event_data(chosen: Draw, queue: str) -> str:
    data: dict[str, object] = {"version": chosen.version.id, "queue": queue}
    if chosen.trial is not None:
        data |= {"trial": chosen.trial.id, "arm": chosen.arm, "share": chosen.trial.share}
    if chosen.number is not None:
        data["draw"] = chosen.number
    return json.dumps(data)
