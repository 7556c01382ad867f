"""A forge that the fleet serves: its description, and what speaks to it."""

from collections.abc import Callable
from dataclasses import dataclass

from routing.forges.config import ForgeConfig
from routing.forges.forge import Forge
from routing.git.remote import Remote
from routing.issues.issue import Issue


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeSite:
    """One forge of the settings, wired."""

    config: ForgeConfig
    forge: Forge
    remote: Callable[[str], Remote]  # where git finds a repository of the allow-list
    run_ci: Callable[[str], object] | None = None  # judges a commit; None: CI is not ours to run

    @property
    def name(self) -> str:
        """The forge's configured name."""
        return self.config.name

    def wants(self, issue: Issue) -> bool:
        """Whether the issue is open, and for agents."""
        label = self.config.label
        return issue.state == "open" and (label is None or issue.carries(label))

    def full_name(self, repo: str) -> str:
        """`github:acme/shop`: the name under which jobs ask for a repository."""
        return f"{self.name}:{repo}"
