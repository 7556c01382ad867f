"""What old sections of forges are called now, as text for a person who rewrites a settings file.

The text goes to terminals and logs: it has no secret in it, and no value of a field that is unknown.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from routing.forges.config import ForgeConfig
from routing.forges.registry import KINDS
from routing.http.settings import HttpLimits
from tasks.settings.issue_settings import IssueSettings
from tasks.settings.time_settings import TimeSettings

#: User information in a URL.
_CREDENTIALS = re.compile(r"://[^/?#\s]*@")


def in_new_form(tables: Sequence[Mapping[str, Any]], old: Mapping[str, Any], file: Mapping[str, Any]) -> str:
    """TOML of forges, and of what has moved out of their section; `file` is what the file says besides."""
    parts = ["the sections [forge.…] are written in another way now; in their place, write:", ""]
    parts += [line for table in tables for line in _table_lines(table)]
    for name, model in (("issues", IssueSettings), ("times", TimeSettings), ("http", HttpLimits)):
        parts += _section_lines(name, old.get(name, {}), model, file.get(name))
    return "\n".join(parts)


def _table_lines(table: Mapping[str, Any]) -> list[str]:
    kind = KINDS.get(str(table.get("kind")))
    model = kind.config if kind is not None else ForgeConfig
    return ["[[forge]]", *_value_lines(table, model), ""]


def _section_lines(name: str, section: Mapping[str, Any], model: Any, there: Any) -> Iterator[str]:
    """What to write into a section; `there` is what the file has of it, whose values win and stay."""
    known = there if isinstance(there, Mapping) else {}
    plain = {key: value for key, value in section.items() if not isinstance(value, Mapping)}
    plain = {key: value for key, value in plain.items() if key not in known}
    if plain:
        head = f"[{name}]" if there is None else f"# merge into [{name}], which is there already:"
        yield from [head, *_value_lines(plain, model), ""]
    for key, value in section.items():
        if isinstance(value, Mapping):
            inner = model.model_fields[key].annotation if key in model.model_fields else BaseModel
            yield from _section_lines(f"{name}.{key}", value, inner, known.get(key))


def _value_lines(values: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """`name = value` as TOML, with all masked that may be a secret: unknown fields are, too.

    JSON's strings, numbers and lists are TOML's, too.
    """
    for name, value in values.items():
        known = model.model_fields.get(name)
        if known is None or _is_secret(known.annotation) or _may_hold_secrets(value):
            yield f'# {name} = "********"  (the value stays; better in the environment)'
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{name} = {value}"
        else:
            yield f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}"


def _may_hold_secrets(value: Any) -> bool:
    """Whether a value is a table, or holds a URL with user information."""
    if isinstance(value, list):
        return any(map(_may_hold_secrets, value))
    return isinstance(value, Mapping) or (isinstance(value, str) and bool(_CREDENTIALS.search(value)))


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
