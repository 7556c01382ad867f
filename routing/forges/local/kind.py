"""The local forge as one of the kinds: what `routing.forges.registry` knows of it. It sends no webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from routing.forges.kind import ForgeKind
from routing.forges.local.config import LocalConfig

if TYPE_CHECKING:
    from routing.forges.local.forge import LocalForge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings


def _make(config: LocalConfig, _surroundings: Surroundings) -> LocalForge:
    """Make the forge; it takes nothing from the surroundings of HTTP clients."""
    from routing.forges.local.forge import LocalForge

    return LocalForge.of(config)


def _remote(config: LocalConfig, _repo: str) -> Remote:
    """The repository itself: agents push into it. Its HEAD is what a person has checked out: not asked."""
    from routing.forges.local.git import LocalGit
    from routing.git.remote import Remote

    repository = config.repository or Path()
    return Remote(address=str(repository), main_branch=LocalGit(repository, config.main or "").main_branch)


LOCAL = ForgeKind(title="local", config=LocalConfig, make=_make, remote=_remote)
