"""A worker's consumer: it waits for its server, and does not take the program's faults for it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from tasks import consumer
from tasks.broker_faults import is_servers
from tasks.consumer import MOST_FAULTS, SHORT_SECONDS, PatientConsumer
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
