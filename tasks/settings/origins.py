"""Where each setting comes from: an option, the environment, the file, the last `up`, or its default.

The strongest first. The commands `config show` and `up` say it, and `up` asks it before it adds a value of
its own: what file or environment say is never overridden by an option that nobody gave. Pure but for the
file, which is read once.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, SecretStr

from tasks.settings.forge_tables import ForgeTables, renamed_variables, variable_of
from tasks.settings.old_places import moved
from tasks.settings.refused import PREFIX
from tasks.settings.settings import file_values
from tasks.settings.tracker_tables import by_name

#: A setting as its names from the section on: `("forge", "github", "token")`.
Place = tuple[str, ...]

#: Addresses of servers, which are secret only for the credentials in them.
_ADDRESSES: frozenset[Place] = frozenset({("redis_url",), ("broker_url",)})


class Origin(StrEnum):
    """Where a value comes from."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    FLEET = "fleet"  # what the `up` of the fleet that was found has noted of its own
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


def open_variables(settings: BaseModel, origins: "Origins") -> dict[str, str]:
    """The variables of the environment that hold no secret, for notes that other processes read.

    An address counts as one when it has credentials; a section as JSON when any of its settings is one. What
    else the environment says of a section with a secret is left out too: it may be wrong without it. Paths
    are made absolute, and those of the file and of defaults are added so: who reads the note may be in
    another folder.
    """
    values = {
        variable_of(*called): (place, value)
        for place, value in flat(settings)
        for called in origins.names_of(place)
    }
    found, secret = dict[str, str](), set[str]()
    for name, text in origins.variables.items():
        now = origins.renamed.get(name, name)
        set_here = [each for key, each in values.items() if key == now or key.startswith(f"{now}__")]
        if not name.startswith(PREFIX) or not set_here:
            continue
        secrets = [place for place, value in set_here if _is_secret(place, value)]
        if secrets:
            secret |= {now, *(variable_of(*place[:-1]) for place in secrets if place[1:])}
            continue
        is_path = now in values and isinstance(values[now][1], Path)
        found[name] = str(Path(text).absolute()) if is_path else text
    paths = {
        variable_of(*place): str(value.absolute())
        for place, value in flat(settings)
        if isinstance(value, Path)
        and origins.of(place) in {Origin.FILE, Origin.DEFAULT}
        # A variable about a forge is an error where nothing else names that one.
        and (place[0] != "forge" or origins.of(place) is Origin.FILE)
    }
    left_out = tuple(f"{name}__" for name in secret)
    return paths | {
        name: text for name, text in found.items() if not origins.renamed.get(name, name).startswith(left_out)
    }


def _is_secret(place: Place, value: Any) -> bool:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return place not in _ADDRESSES or "@" in text or "password" in text.lower()
    if isinstance(value, BaseModel):
        return any(_is_secret(place, getattr(value, name)) for name in type(value).model_fields)
    return isinstance(value, tuple | list) and any(_is_secret(place, each) for each in value)


@dataclass(frozen=True, kw_only=True)
class Origins:
    """What each source says. `options` and `last_up` are the variables that they became."""

    variables: Mapping[str, str]  # of the environment, by their names in capitals
    fleet: Mapping[str, str] = field(default_factory=dict)  # those that the fleet lent it
    options: frozenset[str] = frozenset()
    last_up: frozenset[str] = frozenset()
    forges: ForgeTables
    renamed: Mapping[str, str]  # variables by old names, and what they are called now
    file: Mapping[str, Any]

    @classmethod
    def read(
        cls,
        file: Path,
        environment: Mapping[str, str] | None = None,
        *,
        options: frozenset[str] = frozenset(),
        last_up: frozenset[str] = frozenset(),
        fleet: frozenset[str] = frozenset(),
    ) -> Self:
        """Read the file and the environment, by default this process's. Raises SettingsError as they do.

        `fleet` are variables in the environment that only came there from a fleet that was found.
        """
        given = os.environ if environment is None else environment
        values = file_values(file)
        forges = ForgeTables.read(values, given)
        return cls(
            variables={name.upper(): value for name, value in given.items() if name not in fleet},
            fleet={name.upper(): value for name, value in given.items() if name in fleet},
            options=options,
            last_up=last_up,
            forges=forges,
            renamed=forges.renamed | renamed_variables(given),
            file=moved(values)[0] | {"forge": forges.by_name(), "tracker": by_name(values.get("tracker"))},
        )

    def names_of(self, place: Place) -> list[Place]:
        """What variables may call a setting: a forge by its name, and by the key of its table."""
        return [place, *((place[0], key, *place[2:]) for key in self.forges.keys_of(place))]

    def of(self, place: Place) -> Origin:
        """The strongest source that says something about a setting, even if that is the default's value.

        Old names of settings and of forges are looked for as well, also in variables that set a whole section
        as JSON.
        """
        names = self.names_of(place)
        called = {variable_of(*name) for name in names}
        if called & self.options:
            return Origin.OPTION
        by_last_up = called & self.last_up
        if not by_last_up and (
            any(_is_given(self.variables, name) for name in names)
            or variable_of(*place) in self.renamed.values()
            or _named(self.forges.old_in_variables, place)
        ):
            return Origin.ENVIRONMENT
        if any(_is_given(self.fleet, name) for name in names):
            return Origin.FLEET
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
