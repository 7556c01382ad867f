"""A kind of forge: all that the rest of Coalmine needs to know to serve one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from routing.forges.config import ForgeConfig

if TYPE_CHECKING:  # settings are read without an adapter
    from routing.forges.forge import Forge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings
    from routing.webhook.dialect import WebhookDialect

Config = TypeVar("Config", bound=ForgeConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeKind(Generic[Config]):
    """One line of `routing.forges.registry`; each kind's folder makes its own."""

    title: str  # what people call it
    config: type[Config]  # what is set about one; the default of its `kind` is this kind's name
    make: Callable[[Config, Surroundings], Forge]  # wires an adapter; asks the forge nothing. SettingsError
    # when the configuration is not enough
    remote: Callable[[Config, str], Remote]  # where git finds a repository of the allow-list, and as whom
    webhook: WebhookDialect | None = None  # None: forges of this kind send none
    nested: bool = False  # whether an owner may be a group within groups: `acme/tools/shop`

    @property
    def name(self) -> str:
        """The word for it in settings."""
        return str(self.config.model_fields["kind"].default)
