"""`coalmine web`: the HTTP server for pages, the API, webhooks and metrics, in the foreground.

The application is in `console.web`. The first line of output is printed when connections are accepted, so a
script can wait for it and read the address, also with `--port 0`. A guessable webhook secret is a note and
not an error. SIGTERM ends the command with exit code 0.
"""

from typing import Annotated

import typer

from console.details.setting_lines import SettingsSource
from console.doctor.guessable_secrets import REMEDY, guessable
from console.invocation import AsJson, examples, opened, started
from console.output.rendering import text
from console.web.access import checked_token
from console.web.listening import address_of, listen

web_app = typer.Typer()


@web_app.command(epilog=examples("web", "web --port 9000", "web --host 0.0.0.0 --public"))
def web(
    ctx: typer.Context,
    *,
    host: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_WEB__HOST", metavar="ADDRESS", help="Address to listen on. (default: 127.0.0.1)"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            envvar="COALMINE_WEB__PORT",
            min=0,
            max=65_535,
            help="Port to listen on; 0 is any free one. (default: 8321)",
        ),
    ] = None,
    public: Annotated[
        bool | None,
        typer.Option(
            "--public/--no-public",
            envvar="COALMINE_WEB__PUBLIC",
            help="Accept requests from other machines; needs the setting web.token. (default: no)",
        ),
    ] = None,
    descriptor: Annotated[
        int | None,
        typer.Option(hidden=True, min=3, help="Number of an open socket that listens there already."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve pages, their API, webhooks and metrics until Ctrl-C.

    Each forge has settings for its webhook: its secret, and the repositories that may send deliveries.
    """
    from console.web.app import web_of  # noqa: PLC0415 - no other command should wait for the framework
    from console.web.open_connections import ConnectionLimits  # noqa: PLC0415 - the same
    from console.web.server import serve  # noqa: PLC0415 - the same

    coalmine, terminal = opened(ctx, as_json=as_json)
    invocation = started(ctx)
    source = SettingsSource(file=invocation.file, origins=invocation.origins)
    settings = coalmine.settings.web
    # None: neither the option nor its variable was given, so the settings file or the default decides.
    host = settings.host if host is None else host
    token = checked_token(settings, host, public=settings.public if public is None else public)
    # Reported, and not refused: a forge may use the secret already.
    for short in guessable(coalmine.settings.forge):
        terminal.note(f"{short}; {REMEDY}")
    with listen(host, settings.port if port is None else port, descriptor=descriptor) as listener:
        address = address_of(listener)
        serve(
            web_of(coalmine, token=token, source=source),
            listener,
            limits=ConnectionLimits(of_address=settings.connections_per_address),
            on_ready=lambda: terminal.line(
                {"address": address}, text(f"Listening on {address}; Ctrl-C ends it.")
            ),
        )
