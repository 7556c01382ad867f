"""The scripts that the stores declare, found in their modules."""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

import routing.store
from routing.store.redis.scripts import Script


@cache
def declared_scripts() -> list[Script[Any]]:
    """Each declaration once, however many modules import it."""
    modules = pkgutil.walk_packages(routing.store.__path__, "routing.store.")
    values = [value for module in modules for value in vars(import_module(module.name)).values()]
    return list({id(value): value for value in values if isinstance(value, Script)}.values())


def script_sources() -> dict[str, str]:
    """The text of every script, as a server is sent it, by name."""
    return {script.name: script.source for script in declared_scripts()}
