"""Gitea and Forgejo, which speak the same but for the headers of their webhooks.

`gitea_forge` makes both; their settings, titles and headers alone tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from routing.forges.config import ForgeName, RemoteConfig
from routing.forges.kind import ForgeKind
from routing.forges.rest.webhook import RestWebhook

if TYPE_CHECKING:
    from routing.forges.rest.forge import RestForge
    from routing.git.remote import Remote
    from routing.http.connection import Surroundings

_API_ROOT = "/api/v1"

#: Gitea has events of its own for what GitHub tells apart by the action.
_ISSUES = frozenset({"issues", "issue_assign", "issue_label", "issue_milestone"})


class GiteaConfig(RemoteConfig):
    """Which Gitea, and as whom. The address is the server's own; `/api/v1` is added."""

    kind: Literal["gitea"] = "gitea"
    name: ForgeName = "gitea"


class ForgejoConfig(RemoteConfig):
    """Which Forgejo, and as whom. The address is the server's own; `/api/v1` is added."""

    kind: Literal["forgejo"] = "forgejo"
    name: ForgeName = "forgejo"


def gitea_forge(config: RemoteConfig, surroundings: Surroundings) -> RestForge:
    """Wire the parts; nothing is asked of the forge yet."""
    from routing.forges.gitea.access import GiteaAccess
    from routing.forges.gitea.changes import GiteaChanges
    from routing.forges.gitea.feedback import GiteaFeedback
    from routing.forges.gitea.issues import GiteaIssues
    from routing.forges.gitea.statuses import GiteaStatuses
    from routing.forges.rest.client import ForgeClient, HttpDialect
    from routing.forges.rest.clone import RepositoryNames
    from routing.forges.rest.forge import RestForge
    from routing.forges.rest.history import RestHistory

    dialect = HttpDialect(
        api_root=_API_ROOT, scheme="token", headers={"Accept": "application/json"}, numbered_pages=True
    )
    asking = ForgeClient(config, dialect, surroundings)
    by = GiteaAccess(asking)
    names = RepositoryNames(
        config, by_name=by.read, by_id=by.by_id, monotonic=surroundings.monotonic, ids=surroundings.ids
    )
    client = asking.following(names.called)
    access = GiteaAccess(client)
    history = RestHistory(
        remote=lambda repo: _remote(config, names.now(repo)), folder=surroundings.folder_of(config.name)
    )
    statuses = GiteaStatuses(client)
    issues = GiteaIssues(client, forge=config.name, login=config.login)
    return RestForge(
        name=config.name,
        client=client,
        issues=issues,
        checks=statuses,
        changes=GiteaChanges(client, config=config, statuses=statuses.of, history=history),
        rights=access,
        names=names,
        said=GiteaFeedback(client, own_login=issues.own_login, verdicts=GiteaChanges.verdicts),
    )


def _remote(config: RemoteConfig, repo: str) -> Remote:
    """The token alone decides, but a login that is known stands in the server's log."""
    from routing.forges.rest.clone import ANY_USER, clone_remote

    user = config.login or ANY_USER
    return clone_remote(config, repo, user=user, root=lambda api: api.removesuffix(_API_ROOT))


GITEA = ForgeKind(
    title="Gitea",
    config=GiteaConfig,
    make=gitea_forge,
    remote=_remote,
    webhook=RestWebhook(
        signature=("x-gitea-signature",),
        event=("x-gitea-event", "x-github-event"),
        delivery=("x-gitea-delivery", "x-github-delivery"),
        issue_events=_ISSUES,
    ),
)

#: Forgejo repeats its headers under the names of those that it descends from.
FORGEJO = ForgeKind(
    title="Forgejo",
    config=ForgejoConfig,
    make=gitea_forge,
    remote=_remote,
    webhook=RestWebhook(
        signature=("x-forgejo-signature", "x-gitea-signature"),
        event=("x-forgejo-event", "x-gitea-event", "x-github-event"),
        delivery=("x-forgejo-delivery", "x-gitea-delivery", "x-github-delivery"),
        issue_events=_ISSUES,
    ),
)
