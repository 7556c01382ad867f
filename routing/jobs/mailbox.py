"""The mailbox: accepts requests, draws the arm, records the job and publishes its message.

The one way in: ad-hoc requests, issues of the backlog and children end here. A draw is made at most once a
request and kept when the step has to be repeated because the route changed. Record, ledger, outbox entry
and event are one step; publishing may fail, and the relay repeats it.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import NamedTuple

import structlog

from routing.errors import ConflictError, InvalidInputError, UnavailableError
from routing.events import SNAPSHOT_UNREADABLE
from routing.generator import Generator
from routing.jobs.job import MAX_REQUEST_BYTES, ROLES_THAT_COMMIT, Job, JobRequest
from routing.jobs.publisher import Publisher, shown
from routing.store.events.event_store import EventStore
from routing.store.jobs.acceptance import Acceptance, AcceptAnswer, Accepted, Family, NewJob
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.pair_acceptance import PairAcceptance
from routing.templates.route import Draw, Route, draw
from routing.templates.route_defaults import MailboxPolicy, RouteDefaults, side_of
from routing.templates.route_reader import RouteReader
from routing.templates.trial import Arm, Trial

_log = structlog.get_logger(__name__)

#: Requests of which the answers are awaited together.
BATCH = 1000

#: A fair coin.
_HALF = 0.5

#: Jobs accepted in one step; the server serves nobody else meanwhile, about 1 ms.
STEP = 50


class PayloadTooLargeError(InvalidInputError):
    """The request is larger than a job may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """What became of a request."""

    job: str
    created: bool  # False when its idempotency key, or its issue, led to an existing job
    version: str = ""  # `implementer@v3`; "" when not created
    trial: str = ""
    arm: Arm | None = None
    draw: float | None = None
    answer: AcceptAnswer = AcceptAnswer.OK  # of the step: why no job was created, if none was


@dataclass(frozen=True, kw_only=True, slots=True)
class Descent:
    """Whose child a job is to be, and what that parent may have."""

    parent: Job
    family: Family


@dataclass(kw_only=True, slots=True)
class _Prepared:
    """A request that is being accepted."""

    request: JobRequest
    references: Sequence[str]  # templates or versions: the first that may have work gets it
    descent: Descent | None = None
    job: str
    body: str  # the request as JSON
    once: str  # digest of the idempotency key
    number: float | None = None  # the draw, which is made at most once
    shadow: str = ""  # id of its shadow, once it was drawn to be one of a pair
    coin: float = 0.0  # that says which of the two is sent first
    pushed: bool = False  # whether the step that accepts it pushes its message too

    @property
    def first(self) -> Arm:
        """Which job of a pair is sent first."""
        return Arm.CANARY if self.coin < _HALF else Arm.CHAMPION


class _Drawn(NamedTuple):
    """A request with what was chosen for it, and the defaults by which it was chosen."""

    item: _Prepared
    defaults: RouteDefaults
    chosen: Draw


def new_job_id() -> str:
    """64 random bits in hex: ids are not drawn from the routing generator."""
    return os.urandom(8).hex()


class Mailbox:
    """Accepts jobs, and publishes them if it can. It moves no job later: see `Jobs`.

    `enqueue` and `enqueue_many` serve the console and the dispatcher, `enqueue_child` serves `Children`.
    `find` says what became of a request whose answer was lost.

    A request with an idempotency key, or about an issue that a job is at work on, gets the job that is there
    already, with `created` False. Without either, a repeated request is a second job. So give a key where you
    may have to repeat: after an UnavailableError the request may have been accepted.

    Requests are checked before anything is written: PayloadTooLargeError, UnknownTemplateError or
    UnknownVersionError, and ConflictError for a version that was rejected. A batch is not atomic: if the
    server fails in the middle, the first parts are accepted, and repeating the batch with its keys accepts
    the rest. A publication that fails is not an error; the relay makes it later.

    One a process. It keeps routes in memory, and each step is refused if its route has changed, so an old one
    does no harm. Threads may share it.
    """

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
        self._defaults: dict[str, RouteDefaults] = {}  # by reference

    def enqueue(self, request: JobRequest) -> Enqueued:
        """Accept one request: record, draw, outbox entry and event in one step, then publish it."""
        return self._accept([self._prepare(request)])[0]

    def enqueue_many(self, requests: Sequence[JobRequest]) -> list[Enqueued]:
        """Accept a batch in a few round trips; draws are made in the order of the requests.

        Every request is checked before the first is written.
        """
        prepared = [self._prepare(request) for request in requests]
        done: list[Enqueued] = []
        for batch in _batches(prepared):
            done += self._accept(batch)
        return done

    def enqueue_child(self, request: JobRequest, descent: Descent) -> Enqueued:
        """Accept a job's child: never drawn, in no trial. The answer says why its parent may not have it.

        It gets its parent's version where that is of the request's template and was not rejected.
        """
        prepared = self._prepare(request)
        prepared.descent = descent
        if descent.parent.template == request.template:
            prepared.references = [descent.parent.version_id, request.template]
        return self._accept([prepared])[0]

    def find(self, idempotency_key: str, *, issue: str = "") -> str:
        """The job that a key has led to, or else the one at work on an issue; '' for none."""
        return self._jobs.known([(_digest(idempotency_key), issue)])[0]

    def _prepare(self, request: JobRequest) -> _Prepared:
        body = request.model_dump_json(exclude_defaults=True)
        if len(body) > MAX_REQUEST_BYTES or len(body.encode()) > MAX_REQUEST_BYTES:
            message = (
                f"the request has {len(body.encode())} bytes and at most {MAX_REQUEST_BYTES} are accepted; "
                "nothing was written. Put large material into the repository and name its path"
            )
            raise PayloadTooLargeError(message)
        self._routes.route(request.template)
        once = _digest(request.idempotency_key)
        return _Prepared(
            request=request, references=[request.template], job=self._ids(), body=body, once=once
        )

    def _accept(self, batch: list[_Prepared]) -> list[Enqueued]:
        """Accept a batch. Where a route changed meanwhile it is read again; the draw stays the same."""
        done = self._known(batch)
        waiting = [item for item in batch if item.job not in done]
        while waiting:
            drawn = [self._draw(item) for item in waiting]
            waiting, accepted = [], []
            for each, (answer, other) in zip(drawn, self._write(drawn), strict=True):
                job = each.item.job
                if answer is AcceptAnswer.OK:
                    done[job] = _enqueued(job, each.chosen)
                    accepted.append(each)
                elif answer is AcceptAnswer.STALE:
                    for reference in each.item.references:
                        self._routes.forget(reference)
                    waiting.append(each.item)
                elif answer is AcceptAnswer.COLLISION:
                    message = f"the id {job} is another job's; this one was not accepted: enqueue it again"
                    raise ConflictError(message)
                else:
                    done[job] = Enqueued(job=other, created=False, answer=answer)
            self._publish([each for each in accepted if not each.item.pushed])
        return [done[item.job] for item in batch]

    def _known(self, batch: list[_Prepared]) -> dict[str, Enqueued]:
        """Requests that led to a job before: they get that job, and no draw is made for them."""
        asked = [
            item
            for item in batch
            if (item.once or item.request.issue) and not item.descent and self._defaults_of(item).draws
        ]
        if not asked:
            return {}
        found = self._jobs.known([(item.once, item.request.issue) for item in asked])
        pairs = zip(asked, found, strict=True)
        return {item.job: Enqueued(job=job, created=False) for item, job in pairs if job}

    def _defaults_of(self, item: _Prepared) -> RouteDefaults:
        """What the jobs of a reference have in common, as long as its route stays the same."""
        reference, route = self._route(item.references)
        if item.descent is not None:
            return RouteDefaults.of_child(
                route, self._policy, parent=item.descent.parent, family=item.descent.family,
                role=item.request.role,
            )  # fmt: skip
        defaults = self._defaults.get(reference)
        if defaults is None or defaults.route is not route:
            defaults = self._defaults[reference] = RouteDefaults.of(route, self._policy)
        return defaults

    def _route(self, references: Sequence[str]) -> tuple[str, Route]:
        for version in references[:-1]:
            with suppress(ConflictError):  # rejected since its job began: it no longer gets work
                return version, self._routes.route(version)
        return references[-1], self._routes.route(references[-1])

    def _draw(self, item: _Prepared) -> _Drawn:
        """The version for a request. The generator is asked at most once for it."""
        defaults = self._defaults_of(item)
        route = defaults.route
        if not defaults.draws:
            return _Drawn(item, defaults, draw(route, None))
        if defaults.pair is not None and not _may_be_a_pair(item.request, self._policy.judged_forges):
            return _Drawn(item, defaults, draw(route, None))
        if item.number is None:
            item.number = self._generator.random()
        if route.canary is None and route.trial is not None:
            self._events.emit(
                SNAPSHOT_UNREADABLE,
                route.trial.canary_id,
                {"job": item.job, "trial": route.trial.id, "reason": "its stored content cannot be read"},
            )
        chosen = draw(route, item.number)
        if chosen.shadow is not None and not item.shadow:
            item.shadow, item.coin = self._ids(), self._generator.random()
        return _Drawn(item, defaults, chosen)

    def _step(self, defaults: RouteDefaults, run: list[_Drawn]) -> Acceptance:
        return Acceptance(terms=defaults.terms, jobs=[self._new_job(*each) for each in run])

    def _new_job(self, item: _Prepared, defaults: RouteDefaults, chosen: Draw) -> NewJob:
        request, arm, number = item.request, chosen.arm, chosen.number
        pushed = self._publisher.prepared(
            item.job, defaults.queue(arm), request.priority, shown=_shown(item, chosen)
        )
        queue_key, message = pushed or ("", "")
        item.pushed = pushed is not None
        return NewJob(
            id=item.job,
            side=side_of(arm),
            request=item.body,
            once=item.once,
            issue=request.issue,
            max_attempts="" if request.max_attempts is None else str(request.max_attempts),
            draw="" if number is None else repr(number),
            stratum=_stratum(request, defaults.trial),
            queue_key=queue_key,
            message=message,
        )

    def _write(self, drawn: list[_Drawn]) -> Iterable[Accepted]:
        """For each request, in turn, the answer of the step that was to accept it."""
        if (
            len(drawn) == 1 and drawn[0].chosen.shadow is None
        ):  # most are alone: sorting costs more than a step
            return self._jobs.accept(self._step(drawn[0].defaults, drawn))
        return self._write_many(drawn)

    def _write_many(self, drawn: list[_Drawn]) -> Iterator[Accepted]:
        for is_pair, run in groupby(drawn, key=lambda each: each.chosen.shadow is not None):
            if is_pair:
                yield from (self._jobs.accept_pair(self._pair(each)) for each in run)
            else:
                steps = (self._step(defaults, part) for defaults, part in _runs(list(run)))
                yield from chain.from_iterable(self._jobs.accept_many(steps))

    def _pair(self, each: _Drawn) -> PairAcceptance:
        item, defaults, chosen = each
        terms, shadow = defaults.pair, chosen.shadow
        if terms is None or shadow is None:
            message = f"job {item.job} was drawn for a pair on a route without pairs"
            raise ConflictError(message)
        champion = self._new_job(item, defaults, chosen)
        about = shown(issue=item.request.issue, version=shadow.id, arm=Arm.CANARY)
        pushed = self._publisher.prepared(item.shadow, "canary", item.request.priority, shown=about)
        queue_key, message = pushed if pushed is not None and item.pushed else ("", "")
        return PairAcceptance(
            terms=terms, champion=champion, canary_id=item.shadow, canary_queue_key=queue_key,
            canary_message=message, first="champion" if item.first is Arm.CHAMPION else "canary",
        )  # fmt: skip

    def _publish(self, accepted: list[_Drawn]) -> None:
        """Publish what no script has pushed. A failure is logged, not raised: the relay publishes later."""
        published: list[str] = []
        for each in accepted:
            try:
                for job, queue, about in _messages(each):
                    self._publisher.publish(job, queue, each.item.request.priority, shown=about)
                    published.append(job)
            except UnavailableError as error:
                _log.warning("job.publish_failed", job=each.item.job, reason=str(error))
                break
        self._jobs.published(published)


def _messages(each: _Drawn) -> list[tuple[str, str, str]]:
    """Job, queue and what is shown of each message that a request needs: a pair needs two, in its order."""
    item, chosen = each.item, each.chosen
    own = (item.job, each.defaults.queue(chosen.arm), _shown(item, chosen))
    if chosen.shadow is None:
        return [own]
    about = shown(issue=item.request.issue, version=chosen.shadow.id, arm=Arm.CANARY)
    other = (item.shadow, "canary", about)
    return [own, other] if item.first is Arm.CHAMPION else [other, own]


def _may_be_a_pair(request: JobRequest, judged_forges: frozenset[str] | None) -> bool:
    """Only a commit that a judge can look at, by an agent of its own, can be made twice."""
    forge, _, repository = request.repository.partition(":")
    is_judged = judged_forges is None or (bool(repository) and forge in judged_forges)
    commits = bool(request.repository) and request.role in ROLES_THAT_COMMIT
    return is_judged and commits and not request.agent


def _shown(item: _Prepared, chosen: Draw) -> str:
    return shown(issue=item.request.issue, version=chosen.version.id, arm=chosen.arm)


def _digest(idempotency_key: str) -> str:
    """A key as it is stored; '' for none."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:40] if idempotency_key else ""


def _batches(prepared: list[_Prepared]) -> Iterator[list[_Prepared]]:
    """Parts of one round trip each. A repeated key or issue begins a new part, and finds the first's job."""
    batch: list[_Prepared] = []
    taken: set[tuple[str, str]] = set()
    for item in prepared:
        names = {pair for pair in (("once", item.once), ("issue", item.request.issue)) if pair[1]}
        if len(batch) == BATCH or names & taken:
            yield batch
            batch, taken = [], set()
        batch.append(item)
        taken |= names
    if batch:
        yield batch


def _runs(drawn: list[_Drawn]) -> Iterator[tuple[RouteDefaults, list[_Drawn]]]:
    """Parts of one step each: requests with the same defaults that follow each other."""
    for defaults, run in groupby(drawn, key=attrgetter("defaults")):
        while part := list(islice(run, STEP)):
            yield defaults, part


def _stratum(request: JobRequest, trial: Trial | None) -> str:
    """The stratum that the trial sorts the request into; known before the draw."""
    if trial is None or trial.strata == "none":
        return ""
    return request.repository if trial.strata == "repository" else request.difficulty


def _enqueued(job: str, chosen: Draw) -> Enqueued:
    return Enqueued(
        job=job,
        created=True,
        version=chosen.version.id,
        trial=chosen.trial.id if chosen.trial else "",
        arm=chosen.arm,
        draw=chosen.number,
    )
