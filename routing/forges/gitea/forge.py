"""Gitea and Forgejo, which speak the same."""

from routing.forges.gitea.access import GiteaAccess
from routing.forges.gitea.changes import GiteaChanges
from routing.forges.gitea.issues import GiteaIssues
from routing.forges.gitea.statuses import GiteaStatuses
from routing.forges.rest.client import ForgeClient, HttpDialect, Surroundings
from routing.forges.rest.forge import RestForge
from routing.http.settings import ForgeName, RestForgeSettings

_DIALECT = HttpDialect(
    api_root="/api/v1", scheme="token", headers={"Accept": "application/json"}, numbered_pages=True
)


class GiteaSettings(RestForgeSettings):
    """Which Gitea, and as whom. The address is the server's own; `/api/v1` is added."""

    name: ForgeName = "gitea"


def gitea_forge(settings: GiteaSettings, surroundings: Surroundings | None = None) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet."""
    client = ForgeClient(settings, _DIALECT, surroundings or Surroundings())
    statuses = GiteaStatuses(client)
    return RestForge(
        name=settings.name,
        client=client,
        issues=GiteaIssues(client, forge=settings.name, login=settings.login),
        checks=statuses,
        changes=GiteaChanges(client, settings=settings, statuses=statuses.of),
        rights=GiteaAccess(client),
    )
