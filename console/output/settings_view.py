"""Settings for people and for JSON: their values, with secrets masked, and which were changed.

A value is masked by its type, SecretStr, so a new secret setting is masked without a change here.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from routing.forges.registry import kind_named
from routing.printable import printable
from routing.store.redis.address import masked
from routing.trackers.registry import tracker_kind_named
from tasks.settings.origins import Origin, Origins, flat
from tasks.settings.settings import Settings


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


def value_words(value: Any) -> str:
    """A value for people: switches as the file has them, tables without what is empty, a dash for none."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ("; " if any(isinstance(item, dict) for item in value) else ", ").join(map(value_words, value))
    if isinstance(value, dict):
        given = ((name, item) for name, item in value.items() if item not in ("", None))
        return ", ".join(f"{name} {value_words(item)}" for name, item in given)
    return str(value).lower() if isinstance(value, bool) else str(value)


def changed_settings(settings: Settings, origins: Origins) -> Iterator[str]:
    """One line for each setting that differs from its default, with where it comes from."""
    defaults = dict(flat(Settings.model_construct()))
    for forge in settings.forge:
        fresh = kind_named(forge.kind).config(name=forge.name)
        defaults |= {("forge", forge.name, name): getattr(fresh, name) for name in type(fresh).model_fields}
    for tracker in settings.tracker:
        plain = tracker_kind_named(tracker.kind).config(name=tracker.name)
        defaults |= {
            ("tracker", tracker.name, name): getattr(plain, name) for name in type(plain).model_fields
        }
    for place, value in flat(settings):
        origin = origins.of(place)
        if origin is not Origin.DEFAULT and value != defaults.get(place):
            shown = printable(value_words(shown_value(place[-1], value)))
            yield f"  {'.'.join(place)} = {shown}  (from: {origin})"
