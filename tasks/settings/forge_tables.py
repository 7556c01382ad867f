"""The forges of the settings: `[[forge]]` tables, variables over them, and the sections of earlier versions.

A variable names its forge: `COALMINE_FORGE__CORP__TOKEN` is the token of the forge `corp`, a `-` in the name
being written `_`. It replaces that field of the forge's table. Without such a table, the variables of a forge
that is called like its kind make one (`COALMINE_FORGE__GITHUB__…`), as do those that name the kind
(`COALMINE_FORGE__CORP__KIND=gitea`); others are an error. `COALMINE_FORGE` may hold all forges as JSON; it is
merged into the file's tables, and single variables win over it.

In earlier versions the file had one section a kind (`[forge.github]`), and sections that held for all forges
(`[forge.watch]`). They are still read, with one warning that shows what to write in their place.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SerializeAsAny
from pydantic_core import PydanticCustomError

from routing.errors import SettingsError
from routing.forges.config import NAME_PATTERN, ForgeConfig
from routing.forges.registry import KINDS, kind_named
from tasks.settings.issue_settings import IssueSettings
from tasks.settings.new_form import in_new_form
from tasks.settings.old_places import OLD_PLACES, moved

_PREFIX = "COALMINE_FORGE"

#: What the section `forge` held for all forges, and where it is now.
_MOVED = {
    **{name: ("issues", name) for name in IssueSettings.model_fields},
    "dispatch_interval_seconds": ("times", "dispatch_interval_seconds"),
    "http": ("http",),
}

#: Fields with another name than before, by kind and old name.
_RENAMED = {("local", "at_once"): "per_repo"}

#: Names that no forge may have: a variable with one of them sets what holds for all forges.
_TAKEN = frozenset(name.replace("_", "-") for name in _MOVED)


def _config_of(value: object) -> object:
    """A table as the record of its kind."""
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        raise PydanticCustomError("kind_missing", "kind is missing; use one of: " + ", ".join(KINDS))
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


def renamed_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that use old places, alone or in a section as JSON, and what they are called now."""
    given = {name.upper(): value for name, value in environment.items()}
    renamed: dict[str, str] = {}
    for old, new in OLD_PLACES.items():
        if variable_of(*old) in given:
            renamed[variable_of(*old)] = variable_of(*new)
        for end in range(1, len(old)):
            whole = variable_of(*old[:end])
            held: Any = _json_object(given.get(whole, ""))
            for name in old[end:-1]:
                held = held.get(name) if isinstance(held, Mapping) else None
            if isinstance(held, Mapping) and old[-1] in held:
                renamed[f"{old[-1]} in {whole}"] = variable_of(*new)
    return renamed


def _json_object(text: str) -> Mapping[str, Any]:
    """The section of a variable; {} for anything else, which the settings refuse."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(kw_only=True)
class ForgeTables:
    """What file and variables say of forges, as the settings take it, and what was old about it.

    Made by `read`, and not changed after it. The types of values are checked by the settings; here only names
    are, and that what must be a table is one. `tables` and `keys` are of one length and order. What has moved
    out of the section `forge` is kept by source, as variables win over the file's new names, and those win
    over its old ones.
    """

    tables: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # what variables call the tables
    old_in_file: dict[str, Any] = field(default_factory=dict)
    old_in_variables: dict[str, Any] = field(default_factory=dict)
    written: list[dict[str, Any]] = field(default_factory=list)  # the file's tables, without variables
    file_is_old: bool = False
    renamed: dict[str, str] = field(default_factory=dict)  # variables that are set, and their names now
    notes: list[str] = field(default_factory=list)  # what else is to be done about old variables

    @classmethod
    def read(cls, file: Mapping[str, Any], environment: Mapping[str, str]) -> "ForgeTables":
        """Read both, the environment last; SettingsError where one is not a table or names no forge."""
        made = cls()
        made._take_file(file.get("forge", []))
        made._check_names()
        made.old_in_file, _ = moved(made.old_in_file)
        made.written = deepcopy(made.tables)
        variables = {name.upper(): value for name, value in environment.items()}
        if _PREFIX in variables:
            made._take_whole(_parsed(_PREFIX, variables[_PREFIX]))
        made._take_variables(variables)
        made._check_names()
        made.old_in_variables, _ = moved(made.old_in_variables)
        return made

    def file_warning(self, file: Mapping[str, Any]) -> str:
        """What to write in place of what the file says, '' when nothing is old; secrets are masked."""
        return in_new_form(self.written, self.old_in_file, file) if self.file_is_old else ""

    def by_name(self) -> dict[str, dict[str, Any]]:
        """The tables by the names of their forges."""
        tables = zip(self.keys, self.tables, strict=True)
        return {str(table.get("name", table.get("kind", key))): table for key, table in tables}

    def keys_of(self, place: Sequence[str]) -> list[str]:
        """What variables may call the forge of a setting beside its name."""
        tables = zip(self.keys, self.tables, strict=True)
        return [key for key, table in tables if place[0] == "forge" and table.get("name") == place[1]]

    def local_name(self) -> str:
        """What variables call the local forge: as the one that is set up is called, else `local`."""
        found = self.local_names()
        return found[0] if len(found) == 1 else "local"

    def local_names(self) -> list[str]:
        """What variables call the local forges; `local` alone where none is set up."""
        found = [
            key for key, table in zip(self.keys, self.tables, strict=True) if table.get("kind") == "local"
        ]
        return found or ["local"]

    def _take_file(self, whole: Any) -> None:
        """A list of tables, or the sections of earlier versions."""
        if isinstance(whole, list):
            for table in whole:
                self._refuse_sections("[[forge]]", table)
                self._add(_name_in(table), dict(table))
            return
        if not isinstance(whole, Mapping):
            message = "forge is a single value in the file; write one [[forge]] table for each forge"
            raise SettingsError(message)
        self.file_is_old = bool(whole)
        order = [*KINDS, *(name for name in whole if name not in KINDS)]
        for name in [name for name in order if name in whole]:
            if name in _MOVED:
                _put(self.old_in_file, _MOVED[name], _section_if(name, f"forge.{name}", whole[name]))
            else:
                self._add(name, {"kind": name} | _renamed(name, _section(f"forge.{name}", whole[name])))

    def _take_whole(self, whole: Any) -> None:
        """All forges as JSON: tables are merged into those of the same name, or of the same old section."""
        if isinstance(whole, list):
            for table in whole:
                self._refuse_sections(_PREFIX, table)
            names = [_name_in(table) for table in whole]
            for name, table in zip(names, whole, strict=True):
                if names.count(name) > 1:
                    message = f"two forges in {_PREFIX} are called {name}; give each its own `name`"
                    raise SettingsError(message)
                known = self._called(name)
                if known is None:
                    self._add(name, dict(table))
                else:
                    self.tables[known].update(table)
            return
        for name, value in whole.items():
            source = f"{_PREFIX}: {name}"
            if name in _MOVED:
                _put(self.old_in_variables, _MOVED[name], _section_if(name, source, value))
                self.renamed[source] = variable_of(*_MOVED[name])
            else:
                fields = _section(source, value)
                self._set(name, fields, dict.fromkeys(fields, _PREFIX))

    @staticmethod
    def _refuse_sections(source: str, table: Any) -> None:
        """TOML takes `[forge.watch]` for a part of the `[[forge]]` before it."""
        if not isinstance(table, Mapping):
            message = f"each forge in {source} is a table with `kind` and what else is set about the forge"
            raise SettingsError(message)
        for name, place in _MOVED.items():
            if name in table:
                message = f"forge.{name} holds for all forges; write {'.'.join(place)}"
                raise SettingsError(message)

    def _add(self, key: str, table: dict[str, Any]) -> None:
        """Note a table; a second one of the same key stays, and the settings refuse it by its name."""
        self.keys.append(key)
        self.tables.append(table)

    def _check_names(self) -> None:
        """Refuse names that no variable can reach, as each forge must be settable by its variables."""
        for table in self.tables:
            name = table.get("name", "x")
            kind = table.get("kind")
            if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
                said = "a name is 1 to 40 of a-z, 0-9 and -; it begins with a letter and ends with none of -"
            elif name in _TAKEN:
                said = "a variable with this name sets what holds for all forges; choose another name"
            elif name == "local" and kind != "local":
                said = "only a forge of the kind local may be called so; choose another name"
            else:
                continue
            shown = name if isinstance(name, str) else str(kind)
            message = f"forge.{shown}.name ({variable_of('forge', shown, 'name')}): {said}"
            raise SettingsError(message)

    def _take_variables(self, variables: Mapping[str, str]) -> None:
        """Collect the variables by forge first, so that one that gives the kind may come after another."""
        given: dict[str, dict[str, Any]] = {}
        sources: dict[str, dict[str, str]] = {}
        for variable in sorted(variables):  # a whole section comes before its fields, which win over it
            if not variable.startswith(f"{_PREFIX}__"):
                continue
            value = variables[variable]
            first, *rest = variable.removeprefix(f"{_PREFIX}__").lower().split("__")
            if first in _MOVED:
                place = (*_MOVED[first], *rest)
                place = OLD_PLACES.get(place, place)
                self.renamed[variable] = variable_of(*place)
                is_section = not rest and first in _SECTIONS
                _put(self.old_in_variables, place, _object(variable, value) if is_section else value)
                continue
            fields = {rest[-1]: value} if rest else _object(variable, value)
            name = "__".join([first, *rest[:-1]]).replace("_", "-")
            given.setdefault(name, {}).update(fields)
            sources.setdefault(name, {}).update(dict.fromkeys(fields, variable))
        # Those that make a forge, or give it its name, come before those that may be called after it.
        for name in sorted(given, key=lambda name: not {"kind", "name"} & set(given[name])):
            self._set(name, given[name], sources[name])

    def _called(self, name: str) -> int | None:
        """The index of the table that a variable means, by the forge's name and else by its old section."""
        for index, table in enumerate(self.tables):
            if table.get("name", table.get("kind")) == name:
                return index
        return self.keys.index(name) if name in self.keys else None

    def _set(self, name: str, fields: dict[str, Any], sources: Mapping[str, str]) -> None:
        """Put the variables of one forge over its table; `sources` are the variables of the fields."""
        index, is_new = self._called(name), False
        if index is None:
            self._check_that_one_is_meant(name, fields)
            index, is_new = len(self.tables), True
            self._add(name, {"kind": name} if name in KINDS else {"name": name})
        table = self.tables[index]
        known_as = str(fields.get("name", name) if is_new else table.get("name", name))
        kind = str(fields.get("kind", table.get("kind", "")))
        for old, variable in sources.items():
            new = _RENAMED.get((kind, old), old)
            is_alone = variable == variable_of("forge", name, old)  # and not a field of JSON
            if is_new and old == "name" and known_as != name:
                self.notes.append(
                    f"set {variable_of('forge', known_as, 'kind')}={kind} in place of `name` in {variable}"
                )
            elif (new, known_as) != (old, name):
                said = variable if is_alone else f"{old} in {variable}"
                self.renamed[said] = variable_of("forge", known_as, new)
        table.update(_renamed(kind, fields))

    def _check_that_one_is_meant(self, name: str, fields: Mapping[str, Any]) -> None:
        """Refuse variables that would make a forge by mistake, with a token where nobody looks."""
        if "kind" in fields:
            return
        variable = variable_of("forge", name, *list(fields)[:1])
        if name not in KINDS:
            there = ", ".join(self.by_name()) or "none"
            message = (
                f"{variable} names the forge {name}, and there is none "
                f"called so (there are: {there}); correct it, or add a [[forge]] with that name"
            )
            raise SettingsError(message)
        others = [other for other, table in self.by_name().items() if table.get("kind") == name]
        if others:
            message = (
                f"{variable} names the forge {name}, and the forge of this kind is called {others[0]}; "
                f"write {variable_of('forge', others[0], *list(fields)[:1])}, or set "
                f"{variable_of('forge', name, 'kind')}={name} for a second forge"
            )
            raise SettingsError(message)


#: Those of `_MOVED` that hold settings of their own.
_SECTIONS = frozenset({"backlog", "watch", "model", "http"})


def _name_in(table: Mapping[str, Any]) -> str:
    return str(table.get("name", table.get("kind", "")))


def _section(source: str, value: Any) -> dict[str, Any]:
    """A table, or SettingsError: a lone value under `forge` is a misspelt name."""
    if not isinstance(value, Mapping):
        message = (
            f"{source} is neither a setting nor a table of a forge; correct its name, or remove it "
            "(`coalmine config show` lists all settings)"
        )
        raise SettingsError(message)
    return dict(value)


def _section_if(name: str, source: str, value: Any) -> Any:
    """The value of a moved name, which must be a table where it is a section."""
    if name in _SECTIONS and not isinstance(value, Mapping):
        message = f"{source} is a section, and a single value is given; write [{'.'.join(_MOVED[name])}]"
        raise SettingsError(message)
    return value


def _renamed(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under the names that they have now; where both are there, the new name counts."""
    made = {_RENAMED.get((kind, name), name): value for name, value in fields.items()}
    return made | {name: value for name, value in fields.items() if (kind, name) not in _RENAMED}


def _parsed(variable: str, text: str) -> Any:
    """The JSON of a variable that holds a whole section; SettingsError for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{variable} is not JSON ({error}); set one variable a field instead"
        raise SettingsError(message) from None
    if not isinstance(value, list | dict):
        message = f"{variable} does not hold a section; set one variable a field instead"
        raise SettingsError(message)
    return value


def _object(variable: str, text: str) -> dict[str, Any]:
    """The JSON object of a variable; SettingsError for anything else."""
    value = _parsed(variable, text)
    if not isinstance(value, dict):
        message = f"{variable} holds a list; give a JSON object, or set one variable a field instead"
        raise SettingsError(message)
    return value


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    """Set a value at its place; sections are merged, and of two values the later one counts."""
    for name in place[:-1]:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            message = f"{variable_of(*place)} is set, and {name} is not a section; unset one of both"
            raise SettingsError(message)
        tree = inner
    known = tree.get(place[-1])
    both = isinstance(known, dict) and isinstance(value, dict)
    tree[place[-1]] = known | value if both else value
