"""Spans as OTLP over HTTP, in protobuf: https://opentelemetry.io/docs/specs/otlp/.

The messages are the official ones of `opentelemetry-proto`, which comes with the extra `otel`: it is needed
where settings name an endpoint.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from routing.errors import SettingsError
from routing.printable import printable
from tasks.notify.post import Post
from tasks.telemetry.span import Span, Value

#: Characters of a text that is sent.
_MOST_TEXT = 1000

_FAILED = 2  # STATUS_CODE_ERROR


def encoded(spans: Sequence[Span], *, namespace: str) -> bytes:
    """The request that has these spans, of a fleet."""
    _, trace, proto = _messages()
    resource = {
        "service.name": "coalmine",
        "service.namespace": namespace,
        "service.version": version("coalmine"),
    }
    scope = trace.ScopeSpans(spans=[_span(trace, each) for each in spans])
    scope.scope.name = "coalmine"
    found = trace.ResourceSpans(scope_spans=[scope])
    found.resource.attributes.extend(_attributes(resource))
    request: bytes = proto.ExportTraceServiceRequest(resource_spans=[found]).SerializeToString()
    return request


def check_installed() -> None:
    """SettingsError where the extra is missing."""
    _messages()


class OtlpSender:
    """Sends spans to one endpoint. Raises UndeliveredError, which says whether trying again makes sense."""

    def __init__(self, post: Post, *, namespace: str, headers: Mapping[str, str]) -> None:
        self._post, self._namespace = post, namespace
        self._headers = dict(headers) | {"Content-Type": "application/x-protobuf"}

    def send(self, spans: Sequence[Span]) -> None:
        """Send them together."""
        self._post.send(encoded(spans, namespace=self._namespace), self._headers)


def _messages() -> tuple[Any, Any, Any]:
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: PLC0415 - of the extra
        from opentelemetry.proto.common.v1 import common_pb2  # noqa: PLC0415 - the same
        from opentelemetry.proto.trace.v1 import trace_pb2  # noqa: PLC0415 - the same
    except ImportError as error:
        message = (
            f"telemetry.endpoint is set, and traces cannot be written ({error.name or error} is missing): "
            "pip install 'coalmine[otel]' where workers run, or leave the endpoint out"
        )
        raise SettingsError(message) from error
    return common_pb2, trace_pb2, trace_service_pb2


def _span(trace: Any, span: Span) -> Any:
    made = trace.Span(
        name=_text(span.name),
        trace_id=bytes.fromhex(span.place.trace),
        span_id=bytes.fromhex(span.place.span),
        parent_span_id=bytes.fromhex(span.parent),
        kind=int(span.kind),
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(span.end),
        attributes=_attributes(span.attributes),
        flags=0x101,
    )
    if span.error:
        made.status.code, made.status.message = _FAILED, _text(span.error)
    if span.link is not None:
        made.links.add(trace_id=bytes.fromhex(span.link.trace), span_id=bytes.fromhex(span.link.span))
    if span.says:
        made.events.add(
            name=span.says, time_unix_nano=_nanoseconds(span.start), attributes=_attributes(span.attributes)
        )
    return made


def _attributes(values: Mapping[str, Value]) -> list[Any]:
    common, _, _ = _messages()
    return [common.KeyValue(key=name, value=_value(common, value)) for name, value in values.items()]


def _value(common: Any, value: Value) -> Any:
    if isinstance(value, bool):
        return common.AnyValue(bool_value=value)
    if isinstance(value, int):
        return common.AnyValue(int_value=value)
    if isinstance(value, float):
        return common.AnyValue(double_value=value)
    return common.AnyValue(string_value=_text(value))


def _text(text: str) -> str:
    return printable(text)[:_MOST_TEXT].encode("utf-8", "replace").decode()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
