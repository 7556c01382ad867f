"""A trace shows what became of an issue: where its time went, what its turns cost, what the work was worth.

It is made from the events, which are written with each change of state, by a tick that follows their stream.
The ids of its spans follow from what they are about. So nothing is carried along with a job, a score that
comes days later finds its trace, and a span that is sent twice is the same one.
"""

from collections.abc import Sequence

import pytest

from routing.jobs.signal import SignalKind
from tasks.notify.sink import UndeliveredError
from tasks.telemetry.span import Span, SpanIds
from tasks.telemetry.tracer import Tracer
from tests.fleets.stepped_fleet import SteppedFleet


class Endpoint:
    """What takes spans, when it is there."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.is_away = False

    def send(self, spans: Sequence[Span]) -> None:
        """Take them."""
        if self.is_away:
            raise UndeliveredError("it does not answer")
        self.spans += spans


@pytest.fixture
def endpoint() -> Endpoint:
    """An endpoint that answers."""
    return Endpoint()


@pytest.fixture
def tracer(fleet: SteppedFleet, endpoint: Endpoint) -> Tracer:
    """It sends what happens from now on."""
    fleet.add()
    app = fleet.app
    made = Tracer(
        events=app.events, jobs=app.job_store, signals=app.signals, logs=app.log_store, store=app.traces,
        sender=endpoint, ids=SpanIds("coalmine"),
    )  # fmt: skip
    made.tick()
    return made


def test_a_job_is_a_trace(fleet: SteppedFleet, tracer: Tracer, endpoint: Endpoint) -> None:
    """Draw, queue, turn and job; the score belongs to the turn that did the work."""
    fleet.end(fleet.enqueue().job, SignalKind.FINISHED)
    fleet.app.harvester.harvest()
    tracer.tick()
    draw, queue, turn, job, score = endpoint.spans
    assert [span.name for span in endpoint.spans] == [
        "draw", "queue champion", "invoke_agent implementer", "job implementer", "gen_ai.evaluation.result",
    ]  # fmt: skip
    assert {span.place.trace for span in endpoint.spans} == {job.place.trace}
    assert draw.parent == queue.parent == turn.parent == job.place.span
    assert score.parent == turn.place.span


def test_what_an_endpoint_missed_it_gets_later(
    fleet: SteppedFleet, tracer: Tracer, endpoint: Endpoint
) -> None:
    """The place in the stream moves after the spans were taken."""
    fleet.enqueue()
    endpoint.is_away = True
    with pytest.raises(UndeliveredError):
        tracer.tick()
    endpoint.is_away = False
    tracer.tick()
    assert [span.name for span in endpoint.spans] == ["draw"]
