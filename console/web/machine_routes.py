"""What machines ask: `/healthz`, `/readyz` and `/metrics`. Docstrings are part of `/openapi.json`."""

from collections.abc import Callable, Sequence
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from console.metrics.exposition import CONTENT_TYPE, exposed
from console.metrics.readings import MetricReading
from console.web.request_limits import in_thread


class Health(BaseModel):
    """The answer of `/healthz`: the process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The answer of `/readyz`: the store answers."""

    status: Literal["ready"] = "ready"


def machine_routes(
    ask_store: Callable[[], object], read_numbers: Callable[[], Sequence[MetricReading]]
) -> APIRouter:
    """`/healthz` for a restart of the process, `/readyz` for sending it traffic, `/metrics` for Prometheus.

    A store that is away makes `/readyz` answer 503 and leaves `/healthz` at 200: a restart would not bring
    the store back. `/healthz` needs no token, because probes of container platforms have none.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process runs")
    async def healthz() -> Health:
        """Answer, even while the store is away."""
        return Health()

    @router.get(
        "/readyz",
        summary="Whether the store answers",
        responses={503: {"description": "It does not."}},
    )
    async def readyz() -> Readiness:
        """Ask the store."""
        await in_thread(ask_store)
        return Readiness()

    @router.get(
        "/metrics",
        summary="Numbers of the fleet for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {}}, "description": "Prometheus' text form."},
            503: {"description": "The store does not answer."},
        },
    )
    async def metrics() -> Response:
        """Read the stores and write their numbers."""
        text = await in_thread(lambda: exposed(read_numbers()))
        return Response(text, media_type=CONTENT_TYPE)

    return router
