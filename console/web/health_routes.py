"""`/healthz`: the process runs. `/readyz`: it can do its work."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from console.web.in_thread import in_thread


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The store answers."""

    status: Literal["ready"] = "ready"


def health_routes(ask_store: Callable[[], object]) -> APIRouter:
    """Both paths. `ask_store` raises an UnavailableError when the store does not answer."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process runs")
    async def healthz() -> Health:
        """Answer, whatever else is wrong."""
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

    return router
