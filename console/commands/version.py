"""`coalmine version …`: what a single version of a template has come to."""

from typing import Annotated

import typer

from console.completion import complete_version
from console.invocation import AsJson, examples, opened
from console.output.trials.price_words import prices_view
from harvest.trials.outcome_prices import LOOKED_AT
from routing.templates.version import VersionReference

version_app = typer.Typer(help="Versions, and what they have come to.", no_args_is_help=True)


@version_app.callback()
def version() -> None:
    """Versions, and what they have come to."""


@version_app.command(epilog=examples("version cost implementer", "version cost implementer@v3 --json"))
def cost(
    ctx: typer.Context,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            autocompletion=complete_version,
            help="A version; NAME means all of its versions.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Print what a merged change of a version costs, with the failures, and how sure that is."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = coalmine.templates.find(version)
    prices = coalmine.outcome_prices.of_versions(found.template)
    if VersionReference.parse(version).pins:
        prices = {name: each for name, each in prices.items() if name == found.id}
    none = f"None of the newest {LOOKED_AT} jobs is one of {version}; `coalmine cost` has the sums of all."
    document = {
        "template": found.template,
        "versions": [{"version": name} | each.document() for name, each in prices.items()],
    }
    terminal.answer(document, *prices_view("version", prices, none=none))
