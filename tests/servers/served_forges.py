"""Our clients of the suite's own GitHub, Gitea and GitLab, with the world that they serve."""

import random
import time
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from routing.forges.gitea.kind import GiteaConfig, gitea_forge
from routing.forges.github.kind import GitHubConfig, github_forge
from routing.forges.gitlab.kind import GitLabConfig, gitlab_forge
from routing.forges.rest.forge import RestForge
from routing.http.connection import Surroundings
from routing.http.settings import HttpLimits
from routing.issues.issue import IssueRef
from tests.fakes.forge_world import TOKEN, ForgeWorld, WorldIssue
from tests.servers.forge_server import ForgeServer


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedForge:
    """A forge, its server, and the world that it serves."""

    kind: str
    forge: RestForge
    server: ForgeServer
    world: ForgeWorld

    def ref(self, issue: WorldIssue) -> IssueRef:
        """The issue's name."""
        return IssueRef(forge=self.forge.name, repo=self.world.repo, number=issue.number)

    def with_settings(self, **changes: Any) -> RestForge:
        """Another client of the same server; the caller closes its connections."""
        return forge_of(self.kind, self.server.address, **changes)


def forge_of(kind: str, address: str, **changes: Any) -> RestForge:
    """A client with short listings, so that there are pages."""
    limits = changes.pop("limits", HttpLimits(page_size=2, max_pages=5, attempts=2))
    given: dict[str, Any] = {"base_url": address, "token": SecretStr(TOKEN), "merge": "green"}
    surroundings = Surroundings(
        limits=limits,
        generator=random.Random(3),
        sleep=lambda _seconds: None,
        ids=changes.pop("ids", None),
        monotonic=changes.pop("monotonic", time.monotonic),
    )
    if kind == "github":
        return github_forge(GitHubConfig(**(given | changes)), surroundings)
    if kind == "gitlab":
        return gitlab_forge(GitLabConfig(**(given | changes)), surroundings)
    return gitea_forge(GiteaConfig(**(given | changes)), surroundings)
