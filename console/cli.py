"""`coalmine`: the root of the command line, its global options, and the list of its commands.

Commands are registered here, in the order in which `--help` lists them; the commands themselves are in
`console.commands`, one file for each group. Importing this file must stay cheap, because shell completion
and `--help` do it too: no settings are read and no connection is opened, and what is slow to import (the
web framework) is imported by the command that needs it.

typer prints the docstring of a command as its help, so notes for developers go into comments there.
"""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from console.boundary import DEBUG_VARIABLE, MEANINGS, Boundary
from console.commands import cost as cost_command
from console.commands import demo as demo_command
from console.commands import fleet as fleet_commands
from console.commands import init as init_command
from console.commands import status as status_command
from console.commands import up as up_command
from console.commands import web as web_command
from console.commands.account import account_app
from console.commands.config import config_app
from console.commands.enqueue import EXAMPLES as ENQUEUE_EXAMPLES
from console.commands.enqueue import enqueue
from console.commands.issue import issue_app
from console.commands.job import job_app
from console.commands.mail import mail_app
from console.commands.notify import notify_app
from console.commands.template import template_app
from console.commands.trial import trial_app
from console.invocation import Invocation
from tasks.secrecy import hide_secrets
from tasks.settings.secret_files import read_secret_files

#: The table of exit codes at the end of `coalmine --help`; blank lines keep typer from joining the lines.
_CODES = "\n\n".join(["Exit codes:", *(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items())])

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
    read_secret_files(os.environ)
    # Options that were not given stay out, so that file and environment keep their say over those settings.
    # The environment is read with the settings: a variable is not an option.
    values = {"config": config, "redis_url": redis_url, "broker_url": broker_url, "namespace": namespace}
    ctx.obj = Invocation()
    for name, value in values.items():
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            ctx.obj.take(name, value)
    # Runs after the command whether it succeeded or raised, and before the boundary prints.
    ctx.call_on_close(ctx.obj.close)


app.command(epilog=status_command.EXAMPLES)(status_command.status)
app.add_typer(template_app, name="template")
app.add_typer(trial_app, name="trial")
app.command(epilog=ENQUEUE_EXAMPLES)(enqueue)
app.add_typer(job_app, name="job")
app.add_typer(issue_app, name="issue")
app.add_typer(account_app, name="account")
app.add_typer(mail_app, name="mail")
app.add_typer(notify_app, name="notify")
fleet_commands.register(app)
app.add_typer(config_app, name="config")
app.command(epilog=cost_command.EXAMPLES)(cost_command.cost)


app.command(epilog=init_command.EXAMPLES)(init_command.init)
app.command(epilog=up_command.EXAMPLES)(up_command.up)
app.command(epilog=web_command.EXAMPLES)(web_command.web)
app.command(epilog=demo_command.EXAMPLES)(demo_command.demo)


def main() -> None:
    """Run the command line and exit.

    Secrets are hidden first, before any child is started: agents run as the same user and could read the
    first environment of this process (see `tasks.secrecy`).
    """
    hide_secrets()
    app()
