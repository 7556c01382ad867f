"""A span as it is sent, and how ids follow from what a span is about."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

Value = str | int | float | bool


class SpanKind(IntEnum):
    """Who is at work, in the numbers of OTLP."""

    INTERNAL = 1
    SERVER = 2
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanPlace:
    """Which span, in which trace; ids in hex, as W3C Trace Context has them."""

    trace: str  # 32 digits
    span: str  # 16 digits

    @property
    def traceparent(self) -> str:
        """The place for others who are to join the trace: sampled, version 00."""
        return f"00-{self.trace}-{self.span}-01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Something that took time. Times are seconds since the epoch, the server's."""

    name: str
    place: SpanPlace
    start: float
    end: float
    parent: str = ""  # id of the span that it is a part of, "" for none
    kind: SpanKind = SpanKind.INTERNAL
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""  # why it failed, "" when it did not
    link: SpanPlace | None = None  # a span that it is about
    says: str = ""  # name of an event at its start, with the same attributes; "" for none


@dataclass(frozen=True, slots=True)
class SpanIds:
    """Places of spans in one fleet: the same for the same thing, in every process and at any time."""

    namespace: str

    def of_issue(self, issue: str, *what: str) -> SpanPlace:
        """Something about an issue."""
        return SpanPlace(trace=self._hex(32, "trace", issue), span=self._hex(16, "issue", issue, *what))

    def of_job(self, job: str, issue: str, *what: str) -> SpanPlace:
        """A job, or a part of one. All jobs of an issue are one trace; one without an issue is its own."""
        return SpanPlace(trace=self._hex(32, "trace", issue or job), span=self._hex(16, "job", job, *what))

    def of_turn(self, job: str, issue: str, fence: int) -> SpanPlace:
        """What a job's agent did under one lease."""
        return self.of_job(job, issue, "turn", str(fence))

    def _hex(self, digits: int, *parts: str) -> str:
        named = "\0".join((self.namespace, *parts))
        return hashlib.sha256(named.encode(errors="replace")).hexdigest()[:digits]
