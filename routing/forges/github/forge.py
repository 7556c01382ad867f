"""GitHub, on github.com or on a server of one's own."""

from routing.forges.github.access import API_VERSION, GitHubAccess
from routing.forges.github.changes import GitHubChanges
from routing.forges.github.checks import GitHubChecks
from routing.forges.github.issues import GitHubIssues
from routing.forges.rest.client import ForgeClient, HttpDialect, Surroundings
from routing.forges.rest.forge import RestForge
from routing.http.settings import BaseUrl, ForgeName, RestForgeSettings

_DIALECT = HttpDialect(
    api_root="",
    scheme="Bearer",
    headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION},
    numbered_pages=False,
)


class GitHubSettings(RestForgeSettings):
    """Which GitHub, and as whom. On a GitHub Enterprise Server the address ends with `/api/v3`."""

    name: ForgeName = "github"
    base_url: BaseUrl = "https://api.github.com"


def github_forge(settings: GitHubSettings, surroundings: Surroundings | None = None) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet."""
    client = ForgeClient(settings, _DIALECT, surroundings or Surroundings())
    checks = GitHubChecks(client)
    return RestForge(
        name=settings.name,
        client=client,
        issues=GitHubIssues(client, forge=settings.name, login=settings.login),
        checks=checks,
        changes=GitHubChanges(client, settings=settings, statuses=checks.of),
        rights=GitHubAccess(client),
    )
