"""The web application: its routes and its middleware.

`make_web` takes what it needs as arguments and knows no settings, so tests make it with fakes; `web_of`
makes it from the parts of a fleet. Middleware runs from the last that was added inwards: security headers
are added to every answer, including the refusals of the token.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import FastAPI

from console.metrics.delivery_counts import DeliveryCounts
from console.metrics.readings import MetricReading, read_metrics
from console.web.error_answers import answer_errors
from console.web.headers import SecurityHeaders, TokenGuard
from console.web.machine_routes import machine_routes
from console.web.webhook_routes import webhook_routes
from routing.forges.config import RemoteConfig
from routing.webhook.door import Door
from tasks.broker import DISPATCH
from tasks.composition.composition import Coalmine
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.tick import TickRequests


def make_web(
    *, door: Door, ask_store: Callable[[], object], accepted: Callable[[], None] = lambda: None,
    read_numbers: Callable[[], Sequence[MetricReading]] = tuple,
    token: str | None = None, delivery_bytes: int = 1_048_576,
) -> FastAPI:  # fmt: skip
    """Make the application. With a token, every path needs it except webhooks and `/healthz`.

    `ask_store` raises an UnavailableError when the store does not answer; `read_numbers` has what `/metrics`
    shows beside the webhooks of this process, and raises the same. `accepted` is called after the answer to
    each delivery that was accepted. A delivery's body may have `delivery_bytes`.

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
    counts = DeliveryCounts(door.addresses)
    app.include_router(webhook_routes(door, accepted, counts, most_bytes=delivery_bytes))
    app.include_router(machine_routes(ask_store, lambda: [*read_numbers(), *counts.readings()]))
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
        read_numbers=lambda: read_metrics(parts),
        accepted=look_now,
        token=token,
        delivery_bytes=settings.web.delivery_bytes,
    )
