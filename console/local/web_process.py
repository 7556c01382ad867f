"""The web process of a fleet on this machine: whether it is needed, and where it listens."""

from dataclasses import dataclass
from typing import Self

from console.web.access import checked_token
from tasks.settings.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalDoor:
    """Where `coalmine web` is to listen."""

    host: str
    port: int  # never 0
    address: str  # as a browser writes it

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The door, or None where no forge could knock; refused where it could not be opened.

        A port that is taken is an error: the forge, or the proxy before us, was told that one. With port 0
        one that is free is chosen.
        """
        if not any(forge.is_served or forge.webhook_secret for forge in settings.forge.remote):
            return None
        from console.web.server import address_of, listen  # noqa: PLC0415 - only where there is a door

        web = settings.web
        checked_token(web, web.host, public=web.public)
        with listen(web.host, web.port) as listener:
            return cls(host=web.host, port=listener.getsockname()[1], address=address_of(listener))

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of `coalmine`."""
        return ("web", "--host", self.host, "--port", str(self.port))
