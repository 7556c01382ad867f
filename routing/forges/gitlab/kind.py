"""GitLab as a kind of forge: settings, client, address of git, and webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from routing.forges.config import ForgeName, RemoteConfig
from routing.forges.gitlab.webhook import GitLabWebhook
from routing.forges.kind import ForgeKind
from routing.http.settings import BaseUrl

if TYPE_CHECKING:
    from routing.forges.rest.forge import RestForge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings

_API_ROOT = "/api/v4"

#: Who git is with any kind of token.
_ANY_USER = "oauth2"


class GitLabConfig(RemoteConfig):
    """Which GitLab, and as whom. The address is the server's own; `/api/v4` is added."""

    kind: Literal["gitlab"] = "gitlab"
    name: ForgeName = "gitlab"
    base_url: BaseUrl | None = "https://gitlab.com"


def gitlab_forge(config: GitLabConfig, surroundings: Surroundings) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet."""
    from routing.forges.gitlab.access import GitLabAccess
    from routing.forges.gitlab.changes import GitLabChanges
    from routing.forges.gitlab.discussions import GitLabDiscussions
    from routing.forges.gitlab.feedback import GitLabFeedback
    from routing.forges.gitlab.issues import GitLabIssues
    from routing.forges.gitlab.projects import GitLabProjects
    from routing.forges.gitlab.statuses import GitLabStatuses
    from routing.forges.rest.client import ForgeClient, HttpDialect
    from routing.forges.rest.clone import RepositoryNames
    from routing.forges.rest.forge import RestForge
    from routing.forges.rest.history import RestHistory

    dialect = HttpDialect(
        api_root=_API_ROOT, scheme="Bearer", headers={"Accept": "application/json"}, numbered_pages=False
    )
    client = ForgeClient(config, dialect, surroundings)
    by = GitLabProjects(client, monotonic=surroundings.monotonic)
    names = RepositoryNames(
        config, by_name=by.read, by_id=by.by_id, monotonic=surroundings.monotonic, ids=surroundings.ids
    )
    projects = GitLabProjects(client, monotonic=surroundings.monotonic, number_of=names.number_of)
    history = RestHistory(
        remote=lambda repo: _remote(config, names.now(repo)),
        folder=surroundings.folder_of(config.name),
        request_ref="refs/merge-requests/{number}/head",
    )
    statuses = GitLabStatuses(client, projects)
    issues = GitLabIssues(projects, client, forge=config.name, login=config.login)
    discussions = GitLabDiscussions(client)
    return RestForge(
        name=config.name,
        client=client,
        issues=issues,
        checks=statuses,
        changes=GitLabChanges(
            client, config=config, statuses=statuses.of, history=history, projects=projects,
            discussions=discussions, own_login=issues.own_login,
        ),
        rights=GitLabAccess(client, projects, issues),
        names=names,
        said=GitLabFeedback(client, projects, discussions, own_login=issues.own_login),
    )  # fmt: skip


def _remote(config: GitLabConfig, repo: str) -> Remote:
    """The token alone decides, but a login that is known stands in the server's log."""
    from routing.forges.rest.clone import clone_remote

    user = config.login or _ANY_USER
    return clone_remote(config, repo, user=user, root=lambda api: api.removesuffix(_API_ROOT), nested=True)


GITLAB = ForgeKind(
    title="GitLab",
    config=GitLabConfig,
    make=gitlab_forge,
    remote=_remote,
    webhook=GitLabWebhook(),
    nested=True,
)
