"""The spans of a job, event by event: draw, queue, turn, tools, push, CI, merge, score.

Names and attributes of what an agent does are those of OpenTelemetry's conventions for generative AI
(https://github.com/open-telemetry/semantic-conventions-genai, in development); others are ours: `coalmine.`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict

from routing import events as kinds
from routing.events import Event
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind
from routing.store.jobs.log_store import LogLine
from tasks.telemetry.span import Span, SpanIds, SpanKind, SpanPlace, Value

#: Events with which a job waits for a worker.
_WAITS = frozenset(
    {
        kinds.JOB_QUEUED,
        kinds.JOB_REVIEWED,
        kinds.JOB_CONFLICT,
        kinds.JOB_EDITED,
        kinds.JOB_FIX_FORWARD,
        kinds.JOB_RETRIED,
        kinds.JOB_RETURNED,
        kinds.JOB_PUT_OFF,
        kinds.JOB_HINDERED,
        kinds.JOB_LIMITED,
        kinds.JOB_REFUSED,
        kinds.JOB_AWAITING,
        kinds.JOB_LEASE_EXPIRED,
    }
)

#: Events with which a turn ends; its log is read then.
ENDS_TURN = _WAITS | {kinds.JOB_WAITING, kinds.JOB_FINISHED}

#: Of these, the ones that say that the turn failed.
_FAILED = frozenset({kinds.JOB_RETRIED, kinds.JOB_REFUSED, kinds.JOB_LEASE_EXPIRED})

#: Who offers the models of an agent program, as the conventions name them.
_PROVIDERS = {"claude": "anthropic", "codex": "openai", "gemini": "gcp.gemini"}

#: What a signal is a span of, if it is: its name, and whether it began with the push.
_FACTS: dict[SignalKind, tuple[str, bool]] = {
    SignalKind.CI_GREEN: ("ci", True),
    SignalKind.CI_RED: ("ci", True),
    SignalKind.MERGED: ("merge", False),
    SignalKind.PUSHED_TO_MAIN: ("merge", False),
    SignalKind.REVERTED: ("revert", False),
    SignalKind.CHANGES_REQUESTED: ("review", False),
    SignalKind.CLOSED_UNMERGED: ("closed unmerged", False),
}


class Traced(BaseModel):
    """What is remembered of a job between two events of it; as stored."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal[1] = 1
    waits_since: float | None = None  # seconds since the epoch, like all times here
    claimed_at: float | None = None  # None while no turn runs
    fence: int = 0  # of the last claim
    worker: str = ""
    pushed_at: float | None = None
    facts: tuple[str, ...] = ()  # ids of signals that are spans already
    usage: Mapping[str, float] = {}  # what turns before this one have cost


@dataclass(frozen=True, kw_only=True, slots=True)
class JobReading:
    """A job as it is now; later than its events, perhaps."""

    job: Job
    signals: Sequence[Signal] = ()
    lines: Sequence[LogLine] = ()  # of its log


class JobStory:
    """Makes spans of a job's events, each once and in their order."""

    def __init__(self, ids: SpanIds, reading: JobReading, traced: Traced) -> None:
        self._ids, self._reading, self._job = ids, reading, reading.job
        self.traced = traced

    def tell(self, event: Event) -> Iterator[Span]:
        """The spans that end with an event. Afterwards `traced` is what the next one needs to know."""
        if event.kind == kinds.JOB_QUEUED:
            yield self._span("draw", event.at, event.at, "draw", attributes=self._draw(event))
        if event.kind == kinds.JOB_CLAIMED:
            yield from self._claimed(event)
        if event.kind in ENDS_TURN and self.traced.claimed_at is not None:
            yield from self._turn(event, self.traced.claimed_at)
        if event.kind in _WAITS:
            self._note(waits_since=event.at)
        if event.kind == kinds.JOB_WAITING:
            self._note(pushed_at=event.at)
            commit = self._job.result.commit
            pushed = {"vcs.ref.head.revision": commit}
            yield self._span("push", event.at, event.at, "push", event.id, attributes=pushed)
        if event.kind == kinds.JOB_FINISHED:
            yield self._whole(event)
        if event.kind == kinds.JOB_SETTLED:
            yield self._score(event)

    def _note(self, **fields: object) -> None:
        self.traced = self.traced.model_copy(update=fields)

    def _place(self, *what: str) -> SpanPlace:
        return self._ids.of_job(self._job.id, self._job.request.issue, *what)

    def _span(
        self,
        name: str,
        start: float,
        end: float,
        *what: str,
        attributes: Mapping[str, Value],
        kind: SpanKind = SpanKind.INTERNAL,
        error: str = "",
    ) -> Span:
        """A part of the job, which is its parent."""
        return Span(
            name=name,
            place=self._place(*what),
            parent=self._place().span,
            start=min(start, end),
            end=end,
            kind=kind,
            error=error,
            attributes=_known(attributes),
        )

    def _draw(self, event: Event) -> dict[str, Value]:
        job = self._job
        share = event.data.get("share")
        numbers = {"coalmine.draw": job.draw, "coalmine.share": share}
        return {
            "coalmine.version": job.version_id,
            "coalmine.arm": job.arm or "",
            "coalmine.trial": job.trial,
            **{name: float(value) for name, value in numbers.items() if isinstance(value, int | float)},
        }

    def _claimed(self, event: Event) -> Iterator[Span]:
        fence, worker = int(event.data.get("fence", 0)), str(event.data.get("worker", ""))
        since = self.traced.waits_since or self._job.created_at
        yield self._span(
            f"queue {self._job.queue}",
            since,
            event.at,
            "queue",
            str(fence),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "celery",
                "messaging.destination.name": self._job.queue,
                "coalmine.worker": worker,
            },
        )
        self._note(claimed_at=event.at, fence=fence, worker=worker, waits_since=None)

    def _turn(self, event: Event, begun: float) -> Iterator[Span]:
        """What the agent did under one lease, with its tools."""
        job, traced = self._job, self.traced
        place = self._ids.of_turn(job.id, job.request.issue, traced.fence)
        cost = dict(job.cost.measures())
        spent = {name: cost[name] - traced.usage.get(name, 0) for name in cost}
        program = job.account.partition(":")[0]
        failed = event.kind in _FAILED or _has_failed(event)
        yield Span(
            name=f"invoke_agent {job.template}",
            place=place,
            parent=self._place().span,
            start=begun,
            end=event.at,
            error=str(event.data.get("reason", "failed")) if failed else "",
            attributes=_known(
                {
                    "gen_ai.operation.name": "invoke_agent",
                    "gen_ai.provider.name": _PROVIDERS.get(program, program),
                    "gen_ai.agent.name": job.template,
                    "gen_ai.agent.id": job.version_id,
                    "gen_ai.agent.version": f"v{job.version}",
                    "gen_ai.conversation.id": job.request.agent or job.id,
                    "gen_ai.request.model": job.model,
                    "gen_ai.usage.input_tokens": int(spent.get("input_tokens", 0)),
                    "gen_ai.usage.output_tokens": int(spent.get("output_tokens", 0)),
                    "gen_ai.usage.cache_read.input_tokens": int(spent.get("cache_read_tokens", 0)),
                    "coalmine.cost_usd": round(spent.get("usd", 0.0), 6),
                    "coalmine.worker": traced.worker,
                    "coalmine.fence": traced.fence,
                    "coalmine.arm": job.arm or "",
                    "coalmine.attempt": job.attempts,
                    "coalmine.ended_by": job.result.ended_by or "",
                    "error.type": event.kind if failed else "",
                }
            ),
        )
        yield from self._tools(place, begun, event.at)
        self._note(claimed_at=None, usage=cost)

    def _tools(self, turn: SpanPlace, begun: float, ended: float) -> Iterator[Span]:
        """One for each tool in the log, which does not say when a tool was done: the next line ends it."""
        lines = [(at, line) for line in self._reading.lines if begun <= (at := _at(line)) <= ended]
        for (at, line), following in pairwise([*lines, (ended, None)]):
            if line is not None and line.kind == "tool":
                name = (line.text.split() or ["unknown"])[0][:100]
                yield Span(
                    name=f"execute_tool {name}",
                    place=self._place("tool", line.id),
                    parent=turn.span,
                    start=at,
                    end=following[0],
                    attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name},
                )

    def facts(self) -> Iterator[Span]:
        """What CI, forge and people said that is not sent yet; asked for after the events of a tick."""
        for fact in self._reading.signals:
            if fact.kind not in _FACTS or fact.id in self.traced.facts:
                continue
            name, from_push = _FACTS[fact.kind]
            start = self.traced.pushed_at if from_push else None
            self._note(facts=(*self.traced.facts, fact.id))
            yield self._span(
                name,
                fact.at if start is None else start,
                fact.at,
                "fact",
                fact.id,
                error=fact.kind.value if fact.kind is SignalKind.CI_RED else "",
                attributes={"coalmine.signal": fact.kind.value, "vcs.ref.head.revision": fact.commit},
            )

    def _whole(self, event: Event) -> Span:
        """The job itself, from its draw to its end."""
        job = self._job
        state = str(event.data.get("state", ""))
        return Span(
            name=f"job {job.template}",
            place=self._place(),
            start=min(job.created_at, event.at),
            end=event.at,
            kind=SpanKind.PRODUCER,
            error=str(event.data.get("reason", state)) if _has_failed(event) else "",
            attributes=_known(
                {
                    "coalmine.job": job.id,
                    "coalmine.issue": job.request.issue,
                    "coalmine.version": job.version_id,
                    "coalmine.trial": job.trial,
                    "coalmine.arm": job.arm or "",
                    "coalmine.state": state,
                    "coalmine.attempts": job.attempts,
                    "coalmine.shadow": job.shadow,
                    "coalmine.cost_usd": round(job.cost.usd, 6),
                    "vcs.ref.head.revision": job.result.commit,
                }
            ),
        )

    def _score(self, event: Event) -> Span:
        """What the work was worth, as a part of the turn that did it, with a link to that."""
        job = self._job
        turn = self._ids.of_turn(job.id, job.request.issue, self.traced.fence or job.fence)
        score: dict[str, Value] = {} if job.score is None else {"gen_ai.evaluation.score.value": job.score}
        return Span(
            name="gen_ai.evaluation.result",
            place=self._place("score"),
            parent=turn.span,
            start=event.at,
            end=event.at,
            link=turn,
            says="gen_ai.evaluation.result",
            attributes=_known(
                {
                    "gen_ai.evaluation.name": "coalmine.score",
                    "gen_ai.evaluation.score.label": "excluded" if job.excluded else "scored",
                    "gen_ai.evaluation.explanation": job.score_reason,
                    "coalmine.job": job.id,
                    "coalmine.arm": job.arm or "",
                    "coalmine.version": job.version_id,
                    **score,
                }
            ),
        )


def webhook(ids: SpanIds, event: Event) -> Span:
    """A delivery that was accepted: the beginning of its issue's trace."""
    return Span(
        name="webhook",
        place=ids.of_issue(event.subject, "webhook", event.id),
        start=event.at,
        end=event.at,
        kind=SpanKind.SERVER,
        attributes={"coalmine.issue": event.subject},
    )


def _has_failed(event: Event) -> bool:
    return event.kind == kinds.JOB_FINISHED and event.data.get("state") in {JobState.FAILED, JobState.BLOCKED}


def _at(line: LogLine) -> float:
    return int(line.id.partition("-")[0]) / 1000


def _known(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value not in {"", None}}
