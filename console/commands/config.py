"""`coalmine config …`: the settings in force, and where each comes from.

It reads settings and connects to nothing, so it works while servers are away. No secret leaves it.
"""

from pathlib import Path

import typer

from console.details.setting_lines import SettingsSource, settings_document
from console.invocation import AsJson, examples, started
from console.output.rendering import table, text
from console.output.settings_view import value_words
from console.output.terminal import Terminal

#: The file that shows every setting.
EXAMPLE = "coalmine.example.toml"

config_app = typer.Typer(help="Settings.", no_args_is_help=True)


@config_app.command(epilog=examples("config show", "config show --json"))
def show(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Print every setting: its value, where the value comes from, its variable. Secrets are masked."""
    invocation = started(ctx)
    source = SettingsSource(file=invocation.file, origins=invocation.origins)
    document = settings_document(invocation.settings, source)
    rows = document["settings"].values()
    shown = ((row["name"], value_words(row["value"]), row["source"], row["variable"]) for row in rows)
    file = invocation.file if invocation.file.is_file() else f"{invocation.file} (does not exist)"
    Terminal(as_json=as_json).answer(
        document, text(f"file: {file}"), "", table(("!setting", "value", "!from", "?!variable"), shown)
    )


@config_app.command(epilog=examples("config example", "config example > coalmine.toml"))
def example(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Print a settings file with every setting, its default and its meaning."""
    started(ctx).refuse_options("the example is the same for every fleet")
    if as_json:
        Terminal(as_json=True).answer({"file": EXAMPLE, "text": _example()})
    else:
        typer.echo(_example(), nl=False)


def _example() -> str:
    """The text of coalmine.example.toml: in a wheel it lies in the package, in a clone beside it."""
    package = Path(__file__).parents[1]
    places = (package / EXAMPLE, package.parent / EXAMPLE)
    return next(place for place in places if place.is_file()).read_text(encoding="utf-8")
