"""`coalmine config …`: the settings in force, and where each comes from.

It reads settings and connects to nothing, so it works while servers are away. No secret leaves it: a value
is masked by its type, SecretStr, so a new secret setting is masked without a change here.
"""

import json
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer
from pydantic import BaseModel, SecretStr

from console.invocation import AsJson, Invocation, examples, started
from console.output.rendering import table, text
from console.output.terminal import Terminal
from routing.store.redis.address import masked
from tasks.settings.forge_tables import ForgeTables, variable_of
from tasks.settings.old_places import moved
from tasks.settings.settings import file_values, renamed_variables

config_app = typer.Typer(help="Settings.", no_args_is_help=True)


@config_app.command(epilog=examples("config show", "config show --json"))
def show(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Print every setting: its value, where the value comes from, its variable. Secrets are masked."""
    invocation = started(ctx)
    rows = [_row(invocation, place, value) for place, value in flat(invocation.settings)]
    document = {"file": str(invocation.file), "settings": {row["name"]: row for row in rows}}
    shown = ((row["name"], _words(row["value"]), row["source"], row["variable"]) for row in rows)
    file = invocation.file if invocation.file.is_file() else f"{invocation.file} (does not exist)"
    Terminal(as_json=as_json).answer(
        document, text(f"file: {file}"), "", table(("setting", "value", "from", "variable"), shown)
    )


def flat(settings: BaseModel, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting as its place, such as `("job", "max_attempts")`, and its value; sections are entered.

    A forge's place has its name in it, `("forge", "github", "token")`, because people set forges by name.
    Places are stable: joined with dots they are the keys of `--json`.
    """
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from flat(value, (*place, name))
        elif name == "forge" and not place:
            for forge in value:
                yield from flat(forge, (name, forge.name))
        elif (*place, name)[-2:] != ("policy", "v"):  # the version of the record is not a setting
            yield (*place, name), value


def _row(invocation: Invocation, place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """One setting for JSON: name, masked value, source, and the variable that sets it."""
    return {
        "name": ".".join(place),
        "value": shown_value(place[-1], value),
        "source": source_of(invocation, place),
        "variable": variable_of(*place),
    }


def shown_value(name: str, value: Any) -> Any:
    """The value for JSON. A secret URL loses its credentials; any other secret is masked as a whole."""
    if isinstance(value, SecretStr):
        if name == "redis_url":
            return masked(value.get_secret_value())
        return _without_credentials(value.get_secret_value()) if name.endswith("_url") else "********"
    if isinstance(value, tuple):
        return [shown_value(name, item) for item in value]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, Path | StrEnum) else value


def _without_credentials(url: str) -> str:
    """Scheme, host and path; user, password and query may be secrets. Text that is not a URL is masked."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else "********"


def source_of(invocation: Invocation, place: tuple[str, ...]) -> str:
    """Where a value comes from: `option`, `environment`, `file` or `default`.

    An option whose variable is set counts as from the environment, because typer reads both as one. Old
    names of settings and of forges are looked for as well, also in variables that set a whole section as
    JSON.
    """
    file = file_values(invocation.file)
    forges = ForgeTables.read(file, os.environ)
    of_before = {*forges.renamed.values(), *renamed_variables(os.environ).values()}
    # Variables may call a forge by the key of its table as well as by its name.
    names = [place, *((place[0], key, *place[2:]) for key in forges.keys_of(place))]
    given = {name.upper(): value for name, value in os.environ.items()}
    in_environment = (
        any(_is_given(given, name) for name in names)
        or variable_of(*place) in of_before
        or _named(forges.old_in_variables, place)
    )
    if place[0] in invocation.given and not in_environment:
        return "option"
    if in_environment:
        return "environment"
    written = ({**moved(file)[0], "forge": forges.by_name()}, forges.old_in_file)
    return "file" if any(_named(tree, place) for tree in written) else "default"


def _is_given(variables: Mapping[str, str], place: tuple[str, ...]) -> bool:
    """Whether the variable of this place is set, or one of a section around it, as JSON that names it."""
    if variable_of(*place) in variables:
        return True
    for end in range(1, len(place)):
        try:
            whole = json.loads(variables.get(variable_of(*place[:end]), "{}"))
        except ValueError:  # the variable belongs to no section: the settings were read without it
            continue
        if isinstance(whole, list):  # all forges
            whole = {each.get("name", each.get("kind")): each for each in whole if isinstance(each, Mapping)}
        if _named(whole, place[end:]):
            return True
    return False


def _named(tree: Any, place: tuple[str, ...]) -> bool:
    """Whether the settings file has a value at this place, even the same as the default."""
    for name in place:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True


def _words(value: Any) -> str:
    """A value for people: switches as the file has them, a dash for none."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
