"""The web application: routes, middleware, and the health checks `/healthz` and `/readyz`.

`make_web` takes what it needs as arguments and knows no settings, so tests make it with fakes; `web_of`
makes it from the parts of a fleet. Middleware runs from the last that was added inwards: security headers
are added to every answer, including the refusals of the token.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from console.web.error_answers import answer_errors
from console.web.headers import SecurityHeaders, TokenGuard
from console.web.request_limits import in_thread
from console.web.webhook_routes import webhook_routes
from routing.forges.config import RemoteConfig
from routing.webhook.door import Door
from tasks.broker import DISPATCH
from tasks.composition.composition import Coalmine
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.tick import TickRequests


def make_web(
    *, door: Door, ask_store: Callable[[], object], accepted: Callable[[], None] = lambda: None,
    token: str | None = None, delivery_bytes: int = 1_048_576,
) -> FastAPI:  # fmt: skip
    """Make the application. With a token, every path needs it except webhooks and `/healthz`.

    `ask_store` raises an UnavailableError when the store does not answer. `accepted` is called after the
    answer to each delivery that was accepted. A delivery's body may have `delivery_bytes`.

    FastAPI's documentation pages are off, because they load scripts from other hosts; `/openapi.json` is on.
    """
    app = FastAPI(
        title="Coalmine",
        version=version("coalmine"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_errors(app)
    if token is not None:
        app.add_middleware(TokenGuard, token=token)
    app.add_middleware(SecurityHeaders)
    app.include_router(webhook_routes(door, accepted, most_bytes=delivery_bytes))
    app.include_router(_health_routes(ask_store))
    return app


def web_of(parts: Coalmine, *, token: str | None = None) -> FastAPI:
    """The application, made from the parts of a fleet.

    Only forges over HTTP can send webhooks. An accepted delivery asks for a dispatch tick at once, so that
    nobody waits for the poll interval; when that request fails it is logged, and the next regular tick does
    the work.
    """
    settings = parts.settings
    remote = [forge for forge in settings.forge if isinstance(forge, RemoteConfig)]
    door = Door(remote, parts.deliveries, kill_switch=settings.kill_switch)
    tick_requests = TickRequests(parts.app, parts.ticks)

    def look_now() -> None:
        with LogAndContinue("tick.failed", tick="webhook"):
            tick_requests.ask(DISPATCH)

    return make_web(
        door=door,
        ask_store=parts.job_store.ping,
        accepted=look_now,
        token=token,
        delivery_bytes=settings.web.delivery_bytes,
    )


class Health(BaseModel):
    """The answer of `/healthz`: the process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The answer of `/readyz`: the store answers."""

    status: Literal["ready"] = "ready"


def _health_routes(ask_store: Callable[[], object]) -> APIRouter:
    """`/healthz` for a restart of the process, `/readyz` for sending it traffic.

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

    return router
