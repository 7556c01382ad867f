"""The trackers of the settings: `[[tracker]]` tables, each read as the record of its kind.

`COALMINE_TRACKER` may hold all of them as JSON, in place of the file's. Each field of one may have a variable
of its own: `COALMINE_TRACKER__JIRA__TOKEN` is the token of the tracker called `jira`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny
from pydantic_core import PydanticCustomError

from routing.errors import SettingsError
from routing.trackers.config import TrackerConfig
from routing.trackers.registry import TRACKER_KINDS, tracker_kind_named


def _config_of(value: object) -> object:
    """A table as the record of its kind."""
    if not isinstance(value, Mapping):
        return value
    if "kind" not in value:
        raise PydanticCustomError("kind_missing", "kind is missing; use one of: " + ", ".join(TRACKER_KINDS))
    try:
        return tracker_kind_named(str(value.get("kind", ""))).config.model_validate(value)
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _with_names_of_their_own(trackers: tuple[TrackerConfig, ...]) -> tuple[TrackerConfig, ...]:
    names = [tracker.name for tracker in trackers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two trackers are called {twice[0]}; give each its own `name`"
        raise ValueError(message)
    return trackers


def tables_of(value: Any) -> Any:
    """The file's trackers as a list: `[[tracker]]` is one, and `[tracker.corp]` is that with a name.

    A table that is called after a kind is of that kind. What is neither form is left as it is.
    """
    if not isinstance(value, Mapping) or not all(isinstance(one, Mapping) for one in value.values()):
        return value
    return [
        {"name": name, **({"kind": name} if name in TRACKER_KINDS else {}), **table}
        for name, table in value.items()
    ]


#: The trackers of a fleet, each of its kind's own class.
Trackers = Annotated[
    tuple[Annotated[SerializeAsAny[TrackerConfig], BeforeValidator(_config_of)], ...],
    Field(max_length=100),
    AfterValidator(_with_names_of_their_own),
    BeforeValidator(tables_of),
]


def names_of(tables: Any) -> list[str]:
    """What people call each of the file's tables, in their order."""
    listed = tables_of(tables)
    listed = listed if isinstance(listed, list) else []
    return [_name(table) if isinstance(table, Mapping) else "" for table in listed]


def with_variables(tables: Any, given: Any) -> Any:
    """The file's tables with what variables say of them; a whole list in a variable takes their place.

    Variables may describe a tracker that no table does, if it is called after its kind. SettingsError for
    another name that no table has: its token would be where nobody looks.
    """
    there = tables_of(tables)
    if not isinstance(given, Mapping):
        return given
    if not isinstance(there, list):
        return there
    listed = [dict(table) if isinstance(table, Mapping) else table for table in there]
    for key, fields in given.items():
        called = str(key).replace("_", "-").lower()
        if called not in names_of(listed) and called in TRACKER_KINDS:
            listed.append({"kind": called})
        found = next((table for table in listed if isinstance(table, dict) and _name(table) == called), None)
        if found is None or not isinstance(fields, Mapping):
            known = ", ".join(filter(None, names_of(listed))) or "none"
            message = (
                f"COALMINE_TRACKER__{str(key).upper()} names the tracker {called}, and no [[tracker]] is "
                f"called so (there are: {known}); correct it, or add a [[tracker]] with that name"
            )
            raise SettingsError(message)
        _lay_over(found, fields)
    return listed


def _lay_over(table: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Put fields over a table's; those of a section one by one."""
    for name, value in fields.items():
        held = table.get(name)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            table[name] = {**held, **value}
        else:
            table[name] = value


def by_name(tables: Any) -> dict[str, Any]:
    """The file's tables by the names of their trackers."""
    listed = tables_of(tables)
    listed = listed if isinstance(listed, list) else []
    return {_name(table): table for table in listed if isinstance(table, Mapping)}


def refuse_names_of(forges: Iterable[str], trackers: Iterable[TrackerConfig]) -> None:
    """SettingsError for a tracker that is called as a forge is: the names of issues begin with it."""
    taken = set(forges)
    if both := sorted(tracker.name for tracker in trackers if tracker.name in taken):
        message = f"a tracker and a forge are both called {both[0]}; give the tracker another `name`"
        raise SettingsError(message)


def _name(table: Mapping[str, Any]) -> str:
    return str(table.get("name", table.get("kind", "")))
