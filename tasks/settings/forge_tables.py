"""The forges of the settings: `[[forge]]` tables, variables over them, and the sections of earlier versions.

A variable names its forge: `COALMINE_FORGE__CORP__TOKEN` is the token of the forge `corp`, a `-` in the name
being written `_`. It replaces that field of the forge's table. Without such a table, the variables of a forge
that is called like its kind make one (`COALMINE_FORGE__GITHUB__…`), as do those that name the kind
(`COALMINE_FORGE__CORP__KIND=gitea`); others are an error.

In earlier versions the file had one section a kind (`[forge.github]`), and sections that held for all forges
(`[forge.watch]`). They are still read, with one warning that shows what to write in their place.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr, SerializeAsAny

from routing.errors import SettingsError
from routing.forges.config import ForgeConfig
from routing.forges.registry import KINDS, kind_named
from routing.http.settings import HttpLimits
from tasks.settings.issue_settings import IssueSettings
from tasks.settings.old_places import OLD_PLACES, moved
from tasks.settings.time_settings import TimeSettings

_PREFIX = "COALMINE_FORGE"

#: What the section `forge` held for all forges, and where it is now.
_MOVED = {
    **{name: ("issues", name) for name in IssueSettings.model_fields},
    "dispatch_interval_seconds": ("times", "dispatch_interval_seconds"),
    "http": ("http",),
}

#: Fields with another name than before, by kind and old name.
_RENAMED = {("local", "at_once"): "per_repo"}


def _config_of(value: object) -> object:
    """A table as the record of its kind."""
    if not isinstance(value, Mapping):
        return value
    try:
        return kind_named(str(value.get("kind", ""))).config.model_validate(value)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _with_names_of_their_own(forges: tuple[ForgeConfig, ...]) -> tuple[ForgeConfig, ...]:
    names = [forge.name for forge in forges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two forges are called {twice[0]}; give each its own `name`"
        raise ValueError(message)
    return forges


#: The forges of a fleet, each of its kind's own class.
Forges = Annotated[
    tuple[Annotated[SerializeAsAny[ForgeConfig], BeforeValidator(_config_of)], ...],
    AfterValidator(_with_names_of_their_own),
]


def variable_of(*place: str) -> str:
    """The variable of a setting: `("forge", "my-corp", "token")` is COALMINE_FORGE__MY_CORP__TOKEN."""
    return "COALMINE_" + "__".join(place).replace("-", "_").upper()


@dataclass(kw_only=True)
class ForgeTables:
    """What file and variables say of forges, as the settings take it, and what was old about it.

    Made by `read`, and not changed after it. Values are still as they were written: their types are checked
    by the settings. `tables` and `keys` are of one length and order.
    """

    tables: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # what variables call the tables
    elsewhere: dict[str, Any] = field(default_factory=dict)  # what has moved out of the section `forge`
    written: tuple[list[dict[str, Any]], dict[str, Any]] = field(default_factory=lambda: ([], {}))  # both of
    # them without what single variables say
    file_is_old: bool = False
    renamed: dict[str, str] = field(default_factory=dict)  # variables, and what they are called now

    @classmethod
    def read(cls, file: Mapping[str, Any], environment: Mapping[str, str]) -> "ForgeTables":
        """Read both, the environment last, or raise SettingsError for a variable that names no forge."""
        made = cls()
        for whole in (file.get("forge", []), _parsed(_PREFIX, environment.get(_PREFIX, "[]"))):
            made._take(whole)
        made.elsewhere, _ = moved(made.elsewhere)
        made.written = deepcopy((made.tables, made.elsewhere))
        made._take_variables(environment)
        made.elsewhere, _ = moved(made.elsewhere)
        return made

    def file_warning(self) -> str:
        """What to write in place of what the file says, '' when nothing is old; secrets are masked."""
        parts: list[str] = []
        if self.file_is_old:
            parts = ["the sections [forge.…] are written in another way now; in their place, write:", ""]
            tables, elsewhere = self.written
            parts += [line for table in tables for line in _table_lines(table)]
            for name, model in (("issues", IssueSettings), ("times", TimeSettings), ("http", HttpLimits)):
                parts += _section_lines(name, elsewhere.get(name, {}), model)
        return "\n".join(parts)

    def renamed_variables(self) -> dict[str, str]:
        """Variables that are called otherwise now, and how."""
        renamed = dict(self.renamed)
        for key, table in zip(self.keys, self.tables, strict=True):
            if table.get("name", key) != key:
                renamed[variable_of("forge", key, "…")] = variable_of("forge", table["name"], "…")
        return renamed

    def by_name(self) -> dict[str, dict[str, Any]]:
        """The tables by the names of their forges."""
        tables = zip(self.keys, self.tables, strict=True)
        return {str(table.get("name", table.get("kind", key))): table for key, table in tables}

    def keys_of(self, place: Sequence[str]) -> list[str]:
        """What variables may call the forge of a setting beside its name."""
        tables = zip(self.keys, self.tables, strict=True)
        return [key for key, table in tables if place[0] == "forge" and table.get("name") == place[1]]

    def _take(self, whole: Any) -> None:
        """A list of tables, or the sections of earlier versions."""
        if isinstance(whole, list):
            for table in whole:
                self._refuse_sections(table)
                self._add(str(table.get("name", table.get("kind", ""))), dict(table))
            return
        self.file_is_old = True
        order = [*KINDS, *(name for name in whole if name not in KINDS)]
        for name in [name for name in order if name in whole]:
            if name in _MOVED:
                _put(self.elsewhere, _MOVED[name], whole[name])
            else:
                self._add(name, {"kind": name} | _renamed(name, dict(whole[name])))

    @staticmethod
    def _refuse_sections(table: Any) -> None:
        """TOML takes `[forge.watch]` for a part of the `[[forge]]` before it."""
        if not isinstance(table, Mapping):
            message = "each [[forge]] is a table with `kind` and what else is set about the forge"
            raise SettingsError(message)
        for name, place in _MOVED.items():
            if name in table:
                message = f"forge.{name} holds for all forges; write {'.'.join(place)}"
                raise SettingsError(message)

    def _add(self, key: str, table: dict[str, Any]) -> None:
        """Note a table; a second one of the same key stays, and the settings refuse it by its name."""
        self.keys.append(key)
        self.tables.append(table)

    def _take_variables(self, environment: Mapping[str, str]) -> None:
        """Collect the variables by forge first, so that one that gives the kind may come after another."""
        given: dict[str, dict[str, Any]] = {}
        for variable, value in environment.items():
            first, *rest = variable.upper().removeprefix(f"{_PREFIX}__").lower().split("__")
            if not variable.upper().startswith(f"{_PREFIX}__"):
                continue
            if first in _MOVED:
                place = (*_MOVED[first], *rest)
                place = OLD_PLACES.get(place, place)
                self.renamed[variable] = variable_of(*place)
                is_section = not rest and first not in {"fleet_size", "dispatch_interval_seconds"}
                _put(self.elsewhere, place, _parsed(variable, value) if is_section else value)
            elif rest:
                name = "__".join([first, *rest[:-1]]).replace("_", "-")
                given.setdefault(name, {})[rest[-1]] = value
            else:
                given.setdefault(first.replace("_", "-"), {}).update(_parsed(variable, value))
        for name, fields in given.items():
            self._set(name, fields)

    def _set(self, name: str, fields: dict[str, Any]) -> None:
        """Put the variables of one forge over its table."""
        for key, table in zip(self.keys, self.tables, strict=True):
            if name in {key, table.get("name")}:
                break
        else:
            if name not in KINDS and "kind" not in fields:
                variable = variable_of("forge", name, next(iter(fields)))
                there = ", ".join(self.keys) or "none"
                message = (
                    f"{variable} names the forge {name}, and there is none "
                    f"called so (there are: {there}); correct it, or add a [[forge]] with that name"
                )
                raise SettingsError(message)
            key, table = name, {"kind": name} if name in KINDS else {"name": name}
            self._add(key, table)
        kind = str(fields.get("kind", table.get("kind", "")))
        for old, new in _RENAMED.items():
            if old[0] == kind and old[1] in fields:
                self.renamed[variable_of("forge", key, old[1])] = variable_of("forge", key, new)
        table.update(_renamed(kind, fields))


def _renamed(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under the names that they have now."""
    return {_RENAMED.get((kind, name), name): value for name, value in fields.items()}


def _parsed(variable: str, text: str) -> Any:
    """The JSON of a variable that holds a whole section; SettingsError for anything else."""
    try:
        value = json.loads(text)
    except ValueError as error:
        message = f"{variable} is not JSON ({error}); set one variable a field instead"
        raise SettingsError(message) from None
    if not isinstance(value, list | dict):
        message = f"{variable} does not hold a section; set one variable a field instead"
        raise SettingsError(message)
    return value


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    """Set a value at its place; sections are merged, and of two values the later one counts."""
    for name in place[:-1]:
        tree = tree.setdefault(name, {})
    known = tree.get(place[-1])
    both = isinstance(known, dict) and isinstance(value, dict)
    tree[place[-1]] = known | value if both else value


def _table_lines(table: Mapping[str, Any]) -> list[str]:
    kind = KINDS.get(str(table.get("kind")))
    model = kind.config if kind is not None else ForgeConfig
    return ["[[forge]]", *_value_lines(table, model), ""]


def _section_lines(name: str, section: Mapping[str, Any], model: Any) -> Iterator[str]:
    plain = {key: value for key, value in section.items() if not isinstance(value, Mapping)}
    if plain:
        yield from [f"[{name}]", *_value_lines(plain, model), ""]
    for key, value in section.items():
        if isinstance(value, Mapping):
            inner = model.model_fields[key].annotation if key in model.model_fields else BaseModel
            yield from _section_lines(f"{name}.{key}", value, inner)


def _value_lines(values: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """`name = value` as TOML, with secrets masked: JSON's strings, numbers and lists are TOML's, too."""
    for name, value in values.items():
        known = model.model_fields.get(name)
        if known is not None and _is_secret(known.annotation):
            yield f'# {name} = "********"  (the value stays; better in the environment)'
        else:
            yield f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
