"""The web application: its routes and its middleware.

`make_web` takes what it needs as arguments and knows no settings, so tests make it with fakes; `web_of`
makes it from the parts of a fleet. Middleware runs from the last that was added inwards: security headers
are added to every answer, including the refusals of the token.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from pydantic import SecretStr

from console.details.setting_lines import SettingsSource
from console.doctor.doctor import check_groups
from console.doctor.health_board import HealthBoard
from console.metrics.delivery_counts import DeliveryCounts
from console.metrics.readings import MetricReading, read_metrics
from console.web.api.act_routes import act_routes
from console.web.api.api_routes import ERRORS, PREFIX, api_routes
from console.web.api.backtest_api_routes import backtest_api_routes
from console.web.api.fleet_api_routes import fleet_api_routes
from console.web.api.trial_api_routes import trial_api_routes
from console.web.error_answers import answer_errors
from console.web.headers import SecurityHeaders
from console.web.machine_routes import machine_routes
from console.web.people.answer_routes import answer_routes
from console.web.people.backtest_routes import backtest_routes
from console.web.people.decision_routes import decision_routes
from console.web.people.fleet_routes import fleet_routes
from console.web.people.guard import AccessGuard
from console.web.people.job_routes import job_routes
from console.web.people.live_routes import live_routes
from console.web.people.page_routes import page_routes
from console.web.people.session import Right, TrustedProxy, WebAccess
from console.web.people.sign_in_routes import sign_in_routes
from console.web.webhook_routes import webhook_routes
from routing.forges.config import RemoteConfig
from routing.webhook.door import Door
from tasks.broker import DISPATCH, LAND, WATCH
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.settings.web_settings import WebSettings
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.tick import TickRequests


def make_web(
    *, door: Door, ask_store: Callable[[], object], accepted: Callable[[], None] = lambda: None,
    read_numbers: Callable[[], Sequence[MetricReading]] = tuple,
    access: WebAccess = WebAccess(is_open=True),  # noqa: B008 - frozen
    routes: Sequence[APIRouter] = (), delivery_bytes: int = 1_048_576,
) -> FastAPI:  # fmt: skip
    """Make the application. Where `access` is not open, every path but webhooks and `/healthz` needs a token.

    `ask_store` raises an UnavailableError when the store does not answer; `read_numbers` has what `/metrics`
    shows beside the webhooks of this process, and raises the same. `accepted` is called after the answer to
    each delivery that was accepted. A delivery's body may have `delivery_bytes`. `routes` are added.

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
    app.add_middleware(AccessGuard, access=access)
    app.add_middleware(SecurityHeaders)
    counts = DeliveryCounts(door.addresses)
    webhooks = webhook_routes(door, accepted, counts, most_bytes=delivery_bytes)
    machines = machine_routes(ask_store, lambda: [*read_numbers(), *counts.readings()])
    for each in (webhooks, machines, *routes):
        app.router.routes.extend(each.routes)  # including a router would have each route analysed once more
    return app


def door_of(parts: Coalmine) -> Door:
    """The door of a fleet's forges over HTTP: no other kind can send webhooks."""
    settings = parts.settings
    remote = [forge for forge in settings.forge if isinstance(forge, RemoteConfig)]
    problems = ForgeParts(coalmine=parts, run_ci=lambda _commit: None).problems
    return Door(remote, parts.deliveries, kill_switch=settings.kill_switch, names=problems.names)


def looks_of(parts: Coalmine) -> Callable[[], None]:
    """What an accepted delivery asks for: the ticks that it is for, at once and not at the next poll.

    When that fails it is logged, and the next regular ticks do the work.
    """
    tick_requests = TickRequests(parts.app, parts.ticks)

    def look_now() -> None:
        with LogAndContinue("tick.failed", tick="webhook"):
            for tick in (DISPATCH, LAND, WATCH):
                tick_requests.ask(tick)

    return look_now


def web_of(parts: Coalmine, *, token: str | None = None, source: SettingsSource | None = None) -> FastAPI:
    """The application, made from the parts of a fleet: webhooks, numbers, the API and the pages.

    With a `token` every path needs it, or a session that it began; without one everybody who can connect may
    read. Deciding needs the settings' token in either case.

    `source` is what the settings were read from; by default the file and the variables of this process.

    """
    settings = parts.settings
    access = WebAccess(
        acting_token=_revealed(settings.web.token) or token,
        reading_token=_revealed(settings.web.read_token),
        is_open=token is None,
        proxy=_trusted_proxy(settings.web),
    )

    source = source or SettingsSource()
    board = HealthBoard(check_groups(parts, source.file, wait_seconds=1.0))
    return make_web(
        door=door_of(parts),
        ask_store=parts.job_store.ping,
        read_numbers=lambda: read_metrics(parts),
        accepted=looks_of(parts),
        access=access,
        routes=[
            api_routes(parts),
            fleet_api_routes(parts, board, source),
            backtest_api_routes(parts),
            trial_api_routes(parts),
            act_routes(parts, prefix=PREFIX, errors=ERRORS),
            page_routes(parts),
            job_routes(parts),
            fleet_routes(parts, board, source),
            backtest_routes(parts),
            decision_routes(parts),
            sign_in_routes(access),
            answer_routes(parts),
            live_routes(parts),
        ],
        delivery_bytes=settings.web.delivery_bytes,
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _trusted_proxy(settings: WebSettings) -> TrustedProxy | None:
    if not settings.user_header:
        return None
    right = Right.ACT if settings.user_header_acts else Right.READ
    return TrustedProxy(header=settings.user_header, networks=settings.user_header_from, right=right)
