"""What a forge delivers of what people did in a world: shaped as what real ones sent, or have documented."""

import json
import uuid
from typing import Any

from tests.fakes.deliveries import SECRET, SentDelivery, dialect_of
from tests.fakes.forge_history import Happening
from tests.fakes.forge_world import ForgeWorld, WorldIssue
from tests.fakes.gitlab_deliveries import gitlab_body, gitlab_event
from tests.servers.gitea_server import GiteaRoutes
from tests.servers.github_server import GitHubRoutes

#: How Gitea calls what GitHub calls otherwise; which label came or went it does not say.
_GITEA_ACTIONS = {"labeled": "label_updated", "unlabeled": "label_updated", "commented": "created"}


def deliveries_of(
    kind: str, world: ForgeWorld, issue: WorldIssue, action: str, *, secret: str = SECRET
) -> tuple[SentDelivery, ...]:
    """What is sent when the newest happening of this kind happened, in order; asked again, sent again.

    `action` is one of the world's: `opened`, `edited`, `labeled`, `unlabeled`, `assigned`, `unassigned`,
    `closed`, `reopened`, `commented`. A new issue's labels and assignees are in it, as the forge does.
    """
    newest = world.history.of(issue.number, action)[-1]
    happenings = [newest]
    if action == "opened":
        first = [
            one for one in world.history.of(issue.number, "labeled", "assigned") if one.actor == newest.actor
        ]
        if kind == "github":
            happenings = [newest, *first]
        elif kind != "gitlab":  # labels of a new issue are in `opened`; its assignees come first
            happenings = [*(one for one in first if one.kind == "assigned"), newest]
    requests = [_request(kind, world, issue, one).signed_with(secret) for one in happenings]
    if kind not in {"github", "gitlab"}:  # Gitea sends this one twice, with one delivery id
        requests = [
            again
            for one, request in zip(happenings, requests, strict=True)
            for again in [request] * (2 if one.kind == "assigned" else 1)
        ]
    return tuple(_with_all_signatures(request) for request in requests)


def _request(kind: str, world: ForgeWorld, issue: WorldIssue, one: Happening) -> SentDelivery:
    if kind == "gitlab":
        event = gitlab_event(one)
    else:
        event = "issue_comment" if one.kind == "commented" else "issues"
    delivery = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{world.repo}/{one.id}"))
    names = dialect_of(kind)
    headers = {"content-type": "application/json"}
    headers |= dict.fromkeys(names.event, event) | dict.fromkeys(names.delivery, delivery)
    if kind not in {"github", "gitlab"}:
        headers |= {"x-gogs-event": event, "x-gogs-delivery": delivery}
    body = _BODIES.get(kind, _gitea)(world, issue, one)
    return SentDelivery(kind=kind, headers=headers, body=json.dumps(body).encode())


def _with_all_signatures(request: SentDelivery) -> SentDelivery:
    """Gitea and Forgejo send one signature under the names of those that they descend from."""
    names = dialect_of(request.kind).signature
    signature = request.headers[names[0]]
    more = [] if request.kind in {"github", "gitlab"} else ["x-gogs-signature"]
    named = dict.fromkeys([*names, *more], signature)
    return SentDelivery(kind=request.kind, headers=request.headers | named, body=request.body)


def _github(world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    routes = GitHubRoutes(world)
    body: dict[str, Any] = {
        "action": "created" if one.kind == "commented" else one.kind,
        "issue": routes.issue(issue),
        "repository": {"id": 1, "full_name": world.repo, "default_branch": "main"},
        "sender": {"login": one.actor, "type": "User"},
    }
    if one.kind in {"labeled", "unlabeled"}:
        body["label"] = {"id": world.label_id(one.subject), "name": one.subject, "color": "ededed"}
    if one.kind in {"assigned", "unassigned"}:
        body["assignee"] = {"login": one.subject, "type": "User"}
    return body | _more(routes, world, issue, one)


def _gitea(world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    routes = GiteaRoutes(world)
    shown = routes.issue(issue)
    shown["assignee"] = {"login": issue.assignees[0]} if issue.assignees else None
    about = {"is_pull": False} if one.kind == "commented" else {"number": issue.number}
    return {
        "action": _GITEA_ACTIONS.get(one.kind, one.kind),
        **about,
        "issue": shown,
        "repository": {"id": 1, "full_name": world.repo, "default_branch": "main"},
        "sender": {"id": 1, "login": one.actor, "username": one.actor},
        **_more(routes, world, issue, one),
    }


def _more(routes: GitHubRoutes, world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """What both send in the same way."""
    if one.kind == "edited":
        return {"changes": {"body": {"from": "what it said before"}}}
    if one.kind == "commented":
        said = [
            each
            for each in world.comments.values()
            if each.issue == issue.number and each.author == one.actor
        ]
        return {"comment": routes.shown_comment(said[-1])}
    return {}


#: What makes the body, where it is not Gitea's.
_BODIES = {"github": _github, "gitlab": gitlab_body}
