"""`coalmine status`: the fleet at a glance, also from a folder below its own, and after its end."""

import time
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live

from console.invocation import AsJson, Invocation, examples, no_fleet, started
from console.local.fleet_place import FleetPlace
from console.output.rendering import Prose, when_near
from console.output.terminal import Terminal
from console.status.fleet_reading import read_status
from console.status.fleet_status import FleetStatus
from console.status.status_document import status_document
from console.status.status_view import status_view
from routing.errors import NotFoundError, UnavailableError

#: Seconds between two looks with `--watch`.
WATCH_SECONDS = 2.0


status_app = typer.Typer()


@status_app.command(epilog=examples("status", "status --watch", "status --json"))
def status(
    ctx: typer.Context,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every 2 s, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the fleet: agents at work, the queue, what is held and why, trials, what it costs.

    It finds the fleet of this folder or of one above it. After its end it shows what the fleet has left. With
    --watch and --json it prints one JSON object on each line.
    """
    invocation, terminal = started(ctx), Terminal(as_json=as_json)
    invocation.open_history()
    _check_is_there(invocation)
    if not watch:
        found = read_status(invocation.coalmine)
        terminal.answer(_document(invocation.place, found), *_views(invocation.place, found))
        return
    _watch(invocation, terminal)


def _check_is_there(invocation: Invocation) -> None:
    """Raise NotFoundError where neither a folder nor the settings lead to a fleet."""
    if invocation.place is None and invocation.settings.redis_url is None:
        raise NotFoundError(no_fleet(None))


def _document(place: FleetPlace | None, found: FleetStatus) -> dict[str, Any]:
    """The status, with the fleet of this machine; `place` is null for a server that was named."""
    where = None
    if place is not None:
        where = {"state": str(place.state), "running": place.is_running, "pid": place.pid}
    return {"place": where} | status_document(found)


def _views(place: FleetPlace | None, found: FleetStatus) -> list[Any]:
    return [Prose(_where(place, found)), *status_view(found)]


def _where(place: FleetPlace | None, found: FleetStatus) -> str:
    """Which fleet it is, and whether it runs."""
    if place is None:
        count = len(found.processes)
        return f"The fleet of the server that is named; {count} of its processes gave a sign of life of late."
    folder = place.folder
    if place.is_running:
        since = f", since {when_near(place.started_at, found.at)}" if place.started_at else ""
        return f"The fleet of {folder} runs (process {place.pid}{since})."
    seen = f", last seen {when_near(place.last_seen_at, found.at)}" if place.last_seen_at else ""
    return f"The fleet of {folder} is not running{seen}: this is what it left. `coalmine up` there goes on."


def _watch(invocation: Invocation, terminal: Terminal) -> None:
    """Show it again and again. A server that is away for a moment is said, and asked again."""
    if terminal.as_json:
        while True:
            found = read_status(invocation.coalmine)
            terminal.line(_document(invocation.place, found), "")
            time.sleep(WATCH_SECONDS)
    with Live(console=terminal.console, screen=terminal.console.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                found = read_status(invocation.coalmine)
                parts = _views(invocation.place, found)
            except UnavailableError as error:
                parts = [Prose(str(error), "yellow")]
            live.update(Group(*parts), refresh=True)
            time.sleep(WATCH_SECONDS)
