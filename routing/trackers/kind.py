"""A kind of tracker: all that the rest of Coalmine needs to know to serve one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from routing.trackers.config import TrackerConfig

if TYPE_CHECKING:  # settings are read without an adapter
    from routing.http.connection import Surroundings
    from routing.trackers.tracker import Tracker

Config = TypeVar("Config", bound=TrackerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerKind(Generic[Config]):
    """One line of `routing.trackers.registry`; each kind's folder makes its own."""

    title: str  # what people call it
    config: type[Config]  # what is set about one; the default of its `kind` is this kind's name
    make: Callable[[Config, Surroundings], Tracker]  # wires an adapter; asks the tracker nothing

    @property
    def name(self) -> str:
        """The word for it in settings."""
        return str(self.config.model_fields["kind"].default)
