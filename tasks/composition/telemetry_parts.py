"""The parts that send traces, wired."""

from pydantic import SecretStr

from tasks.composition.composition import Coalmine
from tasks.notify.post import Post
from tasks.telemetry.otlp import OtlpSender, check_installed
from tasks.telemetry.span import SpanIds
from tasks.telemetry.tracer import Tracer


def tracer_of(parts: Coalmine) -> Tracer:
    """What follows the events and sends spans. Raises SettingsError where the extra `otel` is missing."""
    check_installed()
    telemetry = parts.settings.telemetry
    address = SecretStr(telemetry.endpoint or "")
    post = Post(address, answer_seconds=telemetry.answer_seconds, clock=parts.now)
    namespace = parts.keys.namespace
    return Tracer(
        events=parts.events, jobs=parts.job_store, signals=parts.signals, logs=parts.log_store,
        store=parts.traces, ids=SpanIds(namespace),
        sender=OtlpSender(post, namespace=namespace, headers=telemetry.given_headers),
    )  # fmt: skip
