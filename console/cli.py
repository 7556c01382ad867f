"""`coalmine`: the root of the command line, and its global options.

Its commands are listed in `console.command_table`; the commands themselves are in `console.commands`, one
file for each group. Importing this file must stay cheap, because every command, each completion and `--help`
do it: no settings are read and no connection is opened, and no part of a fleet is imported.

typer prints the docstring of a command as its help, so notes for developers go into comments there.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from console.bash_completion import use_own_script
from console.boundary import DEBUG_VARIABLE, MEANINGS, Boundary
from tasks.secrecy import hide_secrets
from tasks.settings.secret_files import read_secret_files

#: The table of exit codes at the end of `coalmine --help`; blank lines keep typer from joining the lines.
_CODES = "\n\n".join(["Exit codes:", *(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items())])

use_own_script()
app = typer.Typer(
    name="coalmine",
    cls=Boundary,
    help="Runs a fleet of coding agents, and tries every new version of an agent on a small share of "
    "real work before it trusts it.",
    epilog=f"Settings: coalmine.toml and COALMINE_… variables over it, see `coalmine config show`. "
    f"--config, --redis-url, --broker-url and --namespace may also stand after the command. "
    f"{DEBUG_VARIABLE}=1 shows where an unexpected error comes from.\n\n{_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's signature of a callback
    """Print the version and end with exit code 0, before any other option is looked at (`is_eager`)."""
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, for this option alone

        typer.echo(f"coalmine {version('coalmine')}")
        raise typer.Exit


@app.callback()
def coalmine(
    ctx: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="COALMINE_CONFIG", metavar="FILE", help="Settings file. (default: coalmine.toml)"
        ),
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_REDIS_URL",
            metavar="URL",
            help="Redis: redis://, rediss://, unix:// or sentinel://.",
        ),
    ] = None,
    broker_url: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_BROKER_URL", metavar="URL", help="Celery's broker. (default: the same Redis)"
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_NAMESPACE", metavar="NAME", help="Prefix of all keys. (default: coalmine)"
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep the options before the command; nothing is read or opened until a command needs it.

    The same options may stand after the command; see `console.boundary`.
    """
    from console.invocation import Invocation  # noqa: PLC0415 - help, completion and --version need none

    del config, redis_url, broker_url, namespace  # taken by their names from the context: see below
    read_secret_files(os.environ)
    # Options that were not given stay out, so that file and environment keep their say over those settings.
    # The environment is read with the settings: a variable is not an option.
    root: Any = ctx.command
    ctx.obj = Invocation()
    for option in root.shared_options:
        source = ctx.get_parameter_source(option.name)
        if source is not None and source.name == "COMMANDLINE":
            ctx.obj.take(option.name, ctx.params[option.name])
    # Runs after the command whether it succeeded or raised, and before the boundary prints.
    ctx.call_on_close(ctx.obj.close)


def main() -> None:
    """Run the command line and exit.

    Secrets are hidden first, before any child is started: agents run as the same user and could read the
    first environment of this process (see `tasks.secrecy`).
    """
    hide_secrets()
    app()
