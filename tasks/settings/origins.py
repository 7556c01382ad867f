"""Where each setting comes from: an option, the environment, the file, the last `up`, or its default.

The strongest first. The commands `config show` and `up` say it, and `up` asks it before it adds a value of
its own: what file or environment say is never overridden by an option that nobody gave. Pure but for the
file, which is read once.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from tasks.settings.forge_tables import ForgeTables, renamed_variables, variable_of
from tasks.settings.old_places import moved
from tasks.settings.settings import file_values
from tasks.settings.tracker_tables import by_name

#: A setting as its names from the section on: `("forge", "github", "token")`.
Place = tuple[str, ...]


class Origin(StrEnum):
    """Where a value comes from."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FILE = "file"
    LAST_UP = "last up"  # an option that was given to `up` before; kept in its state folder
    DEFAULT = "default"


def flat(settings: BaseModel, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every setting as its place, such as `("job", "max_attempts")`, and its value; sections are entered.

    A forge's place has its name in it, `("forge", "github", "token")`, because people set forges by name; so
    has a tracker's.
    Places are stable: joined with dots they are the keys of `--json`.
    """
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from flat(value, (*place, name))
        elif name in {"forge", "tracker"} and not place:
            for source in value:
                yield from flat(source, (name, source.name))
        elif (*place, name)[-2:] != ("policy", "v"):  # the version of the record is not a setting
            yield (*place, name), value


@dataclass(frozen=True, kw_only=True)
class Origins:
    """What each source says. `options` and `last_up` are the variables that they became."""

    variables: Mapping[str, str]  # of the environment, by their names in capitals
    options: frozenset[str] = frozenset()
    last_up: frozenset[str] = frozenset()
    forges: ForgeTables
    renamed: frozenset[str]  # variables that old names in the environment stand for
    file: Mapping[str, Any]

    @classmethod
    def read(
        cls,
        file: Path,
        environment: Mapping[str, str] | None = None,
        *,
        options: frozenset[str] = frozenset(),
        last_up: frozenset[str] = frozenset(),
    ) -> Self:
        """Read the file and the environment, by default this process's. Raises SettingsError as they do."""
        given = os.environ if environment is None else environment
        values = file_values(file)
        forges = ForgeTables.read(values, given)
        return cls(
            variables={name.upper(): value for name, value in given.items()},
            options=options,
            last_up=last_up,
            forges=forges,
            renamed=frozenset({*forges.renamed.values(), *renamed_variables(given).values()}),
            file=moved(values)[0] | {"forge": forges.by_name(), "tracker": by_name(values.get("tracker"))},
        )

    def of(self, place: Place) -> Origin:
        """The strongest source that says something about a setting, even if that is the default's value.

        Old names of settings and of forges are looked for as well, also in variables that set a whole section
        as JSON.
        """
        # Variables may call a forge by the key of its table as well as by its name.
        names = [place, *((place[0], key, *place[2:]) for key in self.forges.keys_of(place))]
        called = {variable_of(*name) for name in names}
        if called & self.options:
            return Origin.OPTION
        by_last_up = called & self.last_up
        if not by_last_up and (
            any(_is_given(self.variables, name) for name in names)
            or variable_of(*place) in self.renamed
            or _named(self.forges.old_in_variables, place)
        ):
            return Origin.ENVIRONMENT
        if any(_named(tree, place) for tree in (self.file, self.forges.old_in_file)) and not by_last_up:
            return Origin.FILE
        return Origin.LAST_UP if by_last_up else Origin.DEFAULT


def _is_given(variables: Mapping[str, str], place: Place) -> bool:
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


def _named(tree: Any, place: Place) -> bool:
    """Whether a source has a value at this place, even the same as the default."""
    for name in place:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True
