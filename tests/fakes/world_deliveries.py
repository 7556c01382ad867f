"""What a forge delivers of what people did in a world: shaped as what real ones sent, or have documented."""

import json
import uuid
from typing import Any

from tests.fakes.deliveries import SECRET, SentDelivery, dialect_of
from tests.fakes.forge_history import Happening
from tests.fakes.forge_world import ForgeWorld, WorldIssue, WorldPull
from tests.fakes.gitlab_deliveries import gitlab_body, gitlab_event, gitlab_review
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
    requests = [_request(kind, world, issue, one) for one in happenings]
    if kind not in {"github", "gitlab"}:  # Gitea sends this one twice, with one delivery id
        requests = [
            again
            for one, request in zip(happenings, requests, strict=True)
            for again in [request] * (2 if one.kind == "assigned" else 1)
        ]
    return tuple(_signed(request, secret) for request in requests)


def review_deliveries(
    kind: str, world: ForgeWorld, pull: WorldPull, *, secret: str = SECRET
) -> tuple[SentDelivery, ...]:
    """What is sent of the newest review of a request.

    GitHub sends one of the review and of each remark, Gitea of the review alone, GitLab of each note.
    """
    review = pull.reviews[-1]
    sent = [
        _delivery(kind, world, event, body, name=f"{review['id']}/{count}")
        for count, (event, body) in enumerate(_REVIEWS.get(kind, _gitea_review)(world, pull, review))
    ]
    return tuple(_signed(one, secret) for one in sent)


def _request(kind: str, world: ForgeWorld, issue: WorldIssue, one: Happening) -> SentDelivery:
    if kind == "gitlab":
        event = gitlab_event(one)
    else:
        event = "issue_comment" if one.kind == "commented" else "issues"
    body = _BODIES.get(kind, _gitea)(world, issue, one)
    return _delivery(kind, world, event, body, name=str(one.id))


def _delivery(kind: str, world: ForgeWorld, event: str, body: dict[str, Any], *, name: str) -> SentDelivery:
    delivery = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{world.repo}/{name}"))
    names = dialect_of(kind)
    headers = {"content-type": "application/json"}
    headers |= dict.fromkeys(names.event, event) | dict.fromkeys(names.delivery, delivery)
    if kind not in {"github", "gitlab"}:
        headers |= {"x-gogs-event": event, "x-gogs-delivery": delivery}
    return SentDelivery(kind=kind, headers=headers, body=json.dumps(body).encode())


def _signed(request: SentDelivery, secret: str) -> SentDelivery:
    """Gitea and Forgejo send one signature under the names of those that they descend from."""
    request = request.signed_with(secret)
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
    about = {"is_pull": issue.number in world.pulls} if one.kind == "commented" else {"number": issue.number}
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


#: An event, and its body.
EventBody = tuple[str, dict[str, Any]]


def _github_review(world: ForgeWorld, pull: WorldPull, review: dict[str, Any]) -> list[EventBody]:
    routes = GitHubRoutes(world)
    about = {
        "pull_request": routes.pull(pull),
        "repository": {"id": 1, "full_name": world.repo, "default_branch": "main"},
        "sender": {**review["user"], "type": "User"},
    }
    shown = {**review, "state": str(review["state"]).lower()}
    sent: list[EventBody] = [("pull_request_review", {"action": "submitted", "review": shown, **about})]
    sent += [
        ("pull_request_review_comment", {"action": "created", "comment": remark, **about})
        for remark in pull.remarks
        if remark["pull_request_review_id"] == review["id"]
    ]
    return sent


def _gitea_review(world: ForgeWorld, pull: WorldPull, review: dict[str, Any]) -> list[EventBody]:
    word = {"APPROVED": "approved", "REQUEST_CHANGES": "rejected"}.get(str(review["state"]), "comment")
    body = {
        "action": "reviewed",
        "number": pull.issue.number,
        "pull_request": GiteaRoutes(world).pull(pull),
        "repository": {"id": 1, "full_name": world.repo, "default_branch": "main"},
        "sender": {**review["user"], "username": review["user"]["login"]},
        "review": {"type": f"pull_request_review_{word}", "content": review["body"]},
    }
    return [(f"pull_request_{word}", body)]


#: What makes the body, where it is not Gitea's.
_BODIES = {"github": _github, "gitlab": gitlab_body}
_REVIEWS = {"github": _github_review, "gitlab": gitlab_review}
