"""The local forge as one of the kinds: what `routing.forges.registry` knows of it. It sends no webhooks."""

from routing.forges.kind import ForgeKind
from routing.forges.local.forge import LocalConfig, LocalForge
from routing.git.remote import Remote
from routing.http.connection import Surroundings


def _make(config: LocalConfig, _surroundings: Surroundings) -> LocalForge:
    """Make the forge; it takes nothing from the surroundings of HTTP clients."""
    return LocalForge.of(config)


def _remote(config: LocalConfig, _repo: str) -> Remote:
    """The repository itself: agents push into it."""
    return Remote(address=str(config.repository))


LOCAL = ForgeKind(title="local", config=LocalConfig, make=_make, remote=_remote)
