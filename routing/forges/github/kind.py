"""GitHub, on github.com or on a server of one's own: settings, client, address of git, and webhooks.

Signatures: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from routing.forges.config import ForgeName, RemoteConfig
from routing.forges.kind import ForgeKind
from routing.forges.rest.webhook import RestWebhook
from routing.http.settings import BaseUrl

if TYPE_CHECKING:
    from routing.forges.rest.forge import RestForge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings

#: Where the API of github.com is, and of the companies' own instances on ghe.com: `api.` before their host.
_PUBLIC_API = "api.github.com"
_GHE_API = ("api.", ".ghe.com")

#: What a GitHub Enterprise Server adds to its own address for the API.
_SERVER_API = "/api/v3"


class GitHubConfig(RemoteConfig):
    """Which GitHub, and as whom. On a server of one's own the address ends with `/api/v3`."""

    kind: Literal["github"] = "github"
    name: ForgeName = "github"
    base_url: BaseUrl | None = "https://api.github.com"


def github_forge(config: GitHubConfig, surroundings: Surroundings) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet."""
    from routing.forges.github.access import API_VERSION, GitHubAccess
    from routing.forges.github.changes import GitHubChanges
    from routing.forges.github.checks import GitHubChecks
    from routing.forges.github.feedback import GitHubFeedback
    from routing.forges.github.issues import GitHubIssues
    from routing.forges.rest.client import ForgeClient, HttpDialect
    from routing.forges.rest.forge import RestForge
    from routing.forges.rest.history import RestHistory

    dialect = HttpDialect(
        api_root="",
        scheme="Bearer",
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION},
        numbered_pages=False,
    )
    client = ForgeClient(config, dialect, surroundings)
    history = RestHistory(remote=partial(_remote, config), folder=surroundings.folder_of(config.name))
    checks = GitHubChecks(client)
    issues = GitHubIssues(client, forge=config.name, login=config.login)
    return RestForge(
        name=config.name,
        client=client,
        issues=issues,
        checks=checks,
        changes=GitHubChanges(
            client, config=config, statuses=checks.of, history=history, own_login=issues.own_login
        ),
        rights=GitHubAccess(client),
        said=GitHubFeedback(client, own_login=issues.own_login, verdicts=GitHubChanges.verdicts),
    )


def _remote(config: GitHubConfig, repo: str) -> Remote:
    """GitHub takes one user's name with any kind of token."""
    from routing.forges.rest.clone import ANY_USER, clone_remote

    return clone_remote(config, repo, user=ANY_USER, root=_git_root)


def _git_root(api: str) -> str:
    """The address that git uses, made of the API's; ValueError where no rule leads from one to the other.

    `api.github.com` → `github.com`, `api.CORP.ghe.com` → `CORP.ghe.com`, `HOST/api/v3` → `HOST`.
    """
    parts = urlsplit(api)
    host = parts.hostname or ""
    if host == _PUBLIC_API:
        return "https://github.com"
    before, after = _GHE_API
    if host.startswith(before) and host.endswith(after):
        return f"https://{host.removeprefix(before)}"
    if parts.path and not parts.path.endswith(_SERVER_API):
        message = "a GitHub's API is at https://api.github.com or at https://HOST/api/v3"
        raise ValueError(message)
    return api.removesuffix(_SERVER_API)


GITHUB = ForgeKind(
    title="GitHub",
    config=GitHubConfig,
    make=github_forge,
    remote=_remote,
    webhook=RestWebhook(
        signature=("x-hub-signature-256",),
        prefix="sha256=",
        event=("x-github-event",),
        delivery=("x-github-delivery",),
    ),
)
