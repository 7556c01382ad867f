"""A worker's consumer: it waits for its server, does not take the program's faults for it, and its events."""

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from tasks import consumer
from tasks.broker_connection import HintDispatcher
from tasks.broker_faults import is_servers
from tasks.consumer import EVENTS_SECONDS, MOST_FAULTS, SHORT_SECONDS, PatientConsumer
from tasks.work.outage import Outage


def raised(step: Callable[[], object]) -> Exception:
    """What a step raises, with its trace."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def in_module(name: str, text: str) -> Callable[[], object]:
    """A function of another module."""
    scope: dict[str, Any] = {"__name__": name, "json": json}
    exec(f"def step(): {text}", scope)  # noqa: S102 - a text of ours
    made: Callable[[], object] = scope["step"]
    return made


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (redis.ResponseError("MISCONF"), True),
        (ConnectionResetError(), True),
        (OperationalError(), True),
        (raised(in_module("kombu.transport.redis", "a, b = b'1'")), True),
        (raised(in_module("kombu.utils.json", "json.loads('{')")), True),
        (raised(in_module("tasks.consumer", "None.connection")), False),
        (raised(in_module("celery.worker.consumer", "json.loads('{')")), False),
        (TypeError(), False),
    ],
)
def test_whose_fault_an_error_is(error: Exception, *, whose: bool) -> None:
    """By its kind, or by the package that stumbled, as it does over an answer that was cut in two."""
    assert is_servers(error) is whose


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> PatientConsumer:
    """A consumer that was ready a moment ago, and waits no time."""
    monkeypatch.setattr(consumer, "_pause", lambda _seconds: None)
    monkeypatch.setattr("tasks.consumer.time.monotonic", lambda: 1000.0)
    monkeypatch.setattr(consumer, "BROKER", Outage("broker", is_silent=True))
    made = PatientConsumer.__new__(PatientConsumer)
    made._waits, made._ready_at, made._faults = iter([0.0] * 100), 999.0, 0  # noqa: SLF001
    return made


def test_a_fault_of_the_program_ends_the_worker(patient: PatientConsumer) -> None:
    """After a few tries, each with its trace; a server that is away would be waited for."""
    error = TypeError("ours")
    with capture_logs() as said:
        for _ in range(MOST_FAULTS - 1):
            patient.on_connection_error_before_connected(error)
        with pytest.raises(TypeError, match="ours"):
            patient.on_connection_error_before_connected(error)
    assert [line["event"] for line in said] == ["consumer.fault"] * MOST_FAULTS
    assert all(line["exc_info"] is error for line in said)


def test_a_fault_now_and_then_ends_no_worker(patient: PatientConsumer) -> None:
    """Connections that served for a while lie between them."""
    patient._ready_at = 1000.0 - SHORT_SECONDS - 1  # noqa: SLF001
    for _ in range(3 * MOST_FAULTS):
        patient.on_connection_error_before_connected(TypeError("ours"))


def test_a_server_that_is_away_ends_no_worker(patient: PatientConsumer) -> None:
    """However often."""
    for _ in range(3 * MOST_FAULTS):
        patient.on_connection_error_before_connected(ConnectionRefusedError())


class Loop:
    """A worker's event loop, as far as its consumer uses it: what waits is called by the test."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, Callable[[], object]]] = []

    def call_soon(self, step: Callable[..., object], *arguments: Any) -> None:
        """The next turn is at once."""
        step(*arguments)

    def call_later(self, seconds: float, step: Callable[[], object]) -> None:
        """Remember it."""
        self.waits.append((seconds, step))


@pytest.fixture
def sending(patient: PatientConsumer) -> PatientConsumer:
    """A consumer in whose dispatcher events of tasks wait, with a loop."""
    patient._sends_events = False  # noqa: SLF001
    patient.hub, patient.init_callback, patient.connection = Loop(), None, None
    dispatcher: Any = HintDispatcher(
        app=Celery("coalmine"), enabled=False, buffer_group=["task"],
        on_send_buffered=patient.on_send_event_buffered,
    )  # fmt: skip
    dispatcher.enabled, dispatcher.sent = True, []
    dispatcher._publish = lambda events, *_options: dispatcher.sent.append(len(events))  # noqa: SLF001
    patient.event_dispatcher = dispatcher
    return patient


def test_events_of_tasks_are_sent_together(sending: PatientConsumer) -> None:
    """Three of a job, in one message and a moment later; the next job's wait for a moment of their own."""
    dispatcher, loop = sending.event_dispatcher, sending.hub
    for jobs in (1, 2):
        for name in ("task-received", "task-started", "task-succeeded"):
            dispatcher.send(name, uuid="1")
        assert (dispatcher.sent, len(loop.waits)) == ([3] * (jobs - 1), jobs)
        seconds, send = loop.waits[-1]
        assert seconds == EVENTS_SECONDS
        send()
    assert dispatcher.sent == [3, 3]


def test_events_that_wait_are_sent_before_a_worker_ends(sending: PatientConsumer) -> None:
    """Its connection is there until then; a server that is away does not keep it."""
    sending.blueprint = Mock()
    sending.event_dispatcher.send("task-succeeded", uuid="1")
    sending.stop()
    assert sending.event_dispatcher.sent == [1]
    sending.event_dispatcher.flush = Mock(side_effect=ConnectionRefusedError)
    sending.stop()
    assert sending.blueprint.stop.call_count == 2


def test_events_that_wait_outlive_their_connection(sending: PatientConsumer) -> None:
    """The next connection's dispatcher sends them; a loop that was emptied is asked anew."""
    lost = sending.event_dispatcher
    lost.send("task-received", uuid="1")
    anew: Any = HintDispatcher(app=Celery("coalmine"), enabled=False, buffer_group=["task"])
    anew.extend_buffer(lost)
    assert [event["type"] for event in anew._group_buffer["task"]] == ["task-received"]  # noqa: SLF001
    sending.on_ready()
    lost.send("task-started", uuid="1")
    assert len(sending.hub.waits) == 2
