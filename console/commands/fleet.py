"""Commands about the whole fleet: pause, resume, events.

A pause is a switch in the store that every dispatcher and worker asks; it survives restarts, and differs
from the kill switch, which is a setting and needs no server.
"""

import fnmatch
from typing import Annotated

import typer

from console.decisions.fleet_decisions import resume_fleet
from console.invocation import AsJson, examples, noted, opened, started
from console.output.event_views import event_document, event_line

#: Seconds of one wait for events.
WAIT_SECONDS = 1.0

fleet_app = typer.Typer()


@fleet_app.command(epilog=examples("pause 'the forge is being upgraded'"))
def pause(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Argument(metavar="[REASON]", help="Why; people who find the fleet idle see it.")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Stop dispatch: no job is claimed or published. Agents that are running go on."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    changed = coalmine.switch.pause(reason or f"paused by {started(ctx).user}")
    why = coalmine.switch.reason() or ""
    if changed:
        noted(ctx, reason=reason)
    done = "Dispatch is paused" if changed else "Dispatch was paused already"
    terminal.answer({"paused": True, "changed": changed, "reason": why}, f"{done}: {why}")


@fleet_app.command(epilog=examples("resume"))
def resume(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Start dispatch again, and try versions again that did not start.

    After a pause, or when the agents of a version failed as soon as they started.
    The jobs that waited go on. A closed account is opened with `coalmine account reopen`.
    """
    coalmine, terminal = opened(ctx, as_json=as_json)
    resumed = resume_fleet(coalmine, by=started(ctx).user)
    if resumed.changed:
        noted(ctx)
    done = "Dispatch goes on." if resumed.dispatch else "Dispatch was not paused."
    if resumed.versions:
        held = coalmine.job_store.occupancy().limited
        done += f" Tried again: {', '.join(resumed.versions)}; {held} jobs waited."
    elif not resumed.changed:
        done += " No version was held; nothing was changed."
    document = {"paused": False, "changed": resumed.changed, "tried_again": list(resumed.versions)}
    terminal.answer(document, done)


@fleet_app.command(epilog=examples("events --follow", "events --kind 'candidate.*' --json"))
def events(
    ctx: typer.Context,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for new events, until Ctrl-C.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, max=100_000, help="Begin with this many of the latest events.")
    ] = 20,
    kind: Annotated[
        str, typer.Option(metavar="PATTERN", help="Only events of this kind, for instance 'job.*'.")
    ] = "*",
    as_json: AsJson = False,
) -> None:
    """Print the stream of events. With --json, one JSON object on each line."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=not follow)
    # With --limit 0 one event is still read: following begins after it. "0-0" is before the first event of
    # a stream.
    newest = coalmine.events.newest(max(limit, 1))
    last = newest[0].id if newest else "0-0"
    batch = newest[:limit][::-1]
    while True:
        for event in batch:
            if fnmatch.fnmatchcase(event.kind, kind):
                terminal.line(event_document(event), event_line(event))
            last = event.id
        if not follow:
            return
        batch = coalmine.events.after(last, wait_seconds=WAIT_SECONDS)
