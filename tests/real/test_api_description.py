"""The API does what `/openapi.json` says: schemathesis calls each operation with what is described."""

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky
from pydantic import SecretStr
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from console.web.app import web_of
from routing.jobs.signal import SignalKind
from tasks.settings.web_settings import WebSettings
from tests.conftest import QuietRedis
from tests.fleets.stepped_fleet import SteppedFleet

TOKEN = "0123456789abcdef"  # noqa: S105 - of the test
RIGHT = {"Authorization": f"Bearer {TOKEN}"}

#: Calls of each operation.
EXAMPLES = 8

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def described() -> Iterator[BaseSchema]:
    """What the application of a fleet with a trial and some jobs says of itself."""
    with QuietRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        fleet = SteppedFleet(client, draws=[0.1, 0.9] * 5_000, web=WebSettings(token=SecretStr(TOKEN)))
        fleet.on_trial()
        for number in range(4):
            job = fleet.enqueue(issue=f"local:shop#{number}").job
            fleet.end(job, SignalKind.FINISHED if number % 2 else SignalKind.AGENT_ERRORED)
        fleet.app.harvester.harvest()
        yield schemathesis.openapi.from_asgi("/openapi.json", web_of(fleet.app, token=TOKEN), headers=RIGHT)


def test_every_operation_does_what_is_described(described: BaseSchema) -> None:
    """No answer is a fault of ours; its status, its kind and its form are among those that are described."""
    wrong, called = {}, 0
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            answer = case.call(headers=RIGHT)
            assert answer.status_code != 500, answer.text  # 503 is described: a store, or a secret, is away
            case.validate_response(answer, checks=CHECKS)

        called += 1
        try:
            answers()
        except BaseExceptionGroup as error:
            wrong[operation.label] = [str(each)[:1500] for each in error.exceptions]
        except (AssertionError, Flaky) as error:
            wrong[operation.label] = [str(error)[:1500]]
    assert wrong == {}
    assert called > 40
