"""The scripts that the stores declare, found in their modules."""

import pkgutil
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any

import routing.store
from routing.store.redis.scripts import Script


@cache
def _values() -> list[Any]:
    """All that stands at the top of a module of the stores, each once, however many modules import it."""
    modules = pkgutil.walk_packages(routing.store.__path__, "routing.store.")
    values = [value for module in modules for value in vars(import_module(module.name)).values()]
    return list({id(value): value for value in values}.values())


def declared_scripts() -> list[Script[Any]]:
    """The declarations."""
    return [value for value in _values() if isinstance(value, Script)]


def answers() -> set[str]:
    """The words of all enums that the stores make, most of them of answers."""
    enums = [value for value in _values() if isinstance(value, type) and issubclass(value, StrEnum)]
    return {word.value for enum in enums if enum.__module__.startswith("routing.store.") for word in enum}


def script_sources() -> dict[str, str]:
    """The text of every script, as a server is sent it, by name."""
    return {script.name: script.source for script in declared_scripts()}
