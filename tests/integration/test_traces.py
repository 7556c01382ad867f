"""Traces from a real worker and beat, by OTLP over HTTP, to a collector that reads the official messages."""

import os
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import fleet, until_state
from tests.servers.sink_server import SinkServer, Word, sink_server
from tests.waiting import wait_until

pytestmark = pytest.mark.long


def taken(server: SinkServer) -> list[Any]:
    """The spans that were taken, as the official messages have them."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # noqa: PLC0415 - of the extra

    found = []
    for post in list(server.deliveries):
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(post.body)
        for resource in request.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert (names["service.name"], names["service.namespace"]) == ("coalmine", "coalmine")
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def test_a_job_is_a_trace_that_its_agent_may_join(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """From draw to score, with the header of the settings; a collector that was away misses nothing."""
    assert redis_client.ping()
    with sink_server() as server:
        server.next.append(Word(status=503))
        variables = {
            "COALMINE_TELEMETRY__ENDPOINT": server.address,
            "COALMINE_TELEMETRY__HEADERS": "X-Tenant=acme",
            "COALMINE_TELEMETRY__INTERVAL_SECONDS": "0.3",
        }
        with fleet(tmp_path, redis_server.url, **variables) as made:
            made.worker()
            made.beat()
            parts = made.coalmine()
            wait_until(parts.traces.place, description="traces are sent from now on")
            seen = tmp_path / "traceparent"
            snapshot = Snapshot(prompt="work", command=f'printf %s "$TRACEPARENT" > {seen}')
            parts.templates.add("implementer", snapshot)
            job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
            until_state(parts, job, JobState.SUCCEEDED)
            wait_until(
                lambda: len(taken(server)) > 4, description="draw, queue, turn, job and score", timeout=30
            )
    spans = {span.name: span for span in taken(server)}
    turn, whole, score = (
        spans[name] for name in ("invoke_agent implementer", "job implementer", "gen_ai.evaluation.result")
    )
    assert set(spans) == {"draw", "queue champion", turn.name, whole.name, score.name}
    assert {span.trace_id for span in spans.values()} == {whole.trace_id}
    assert len(whole.trace_id) == 16
    assert turn.parent_span_id == whole.span_id
    assert (score.parent_span_id, score.links[0].span_id) == (turn.span_id, turn.span_id)
    assert [event.name for event in score.events] == ["gen_ai.evaluation.result"]
    assert 0 < turn.end_time_unix_nano - turn.start_time_unix_nano < 60e9
    assert seen.read_text() == f"00-{turn.trace_id.hex()}-{turn.span_id.hex()}-01"
    given = {each.headers.get("x-tenant") for each in server.deliveries}
    assert given == {"acme"}
    assert {each.headers.get("content-type") for each in server.deliveries} == {"application/x-protobuf"}
    assert os.environ.get("TRACEPARENT") is None
