"""A registry whose entries are imported when they are looked at.

Settings know every kind of forge by its name, and most fleets use one: what the others are made of is
imported by nobody.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

Entry = TypeVar("Entry")


class LateEntries(Mapping[str, Entry]):
    """Entries by name, in the order in which they were given. Names alone import nothing.

    `places` says for each name where its entry is: the module, a colon, and the name there. An entry is the
    same object each time, as modules are imported once; ImportError of its module when it is looked at.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> Entry:
        module, _, attribute = self._places[name].partition(":")
        found: Entry = getattr(import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places
