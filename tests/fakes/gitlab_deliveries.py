"""What the suite's GitLab delivers of what people did in a world, as its documentation shows it."""

from typing import Any

from tests.fakes import gitlab_bodies as bodies
from tests.fakes.forge_history import Happening
from tests.fakes.forge_world import ForgeWorld, WorldIssue, WorldPull
from tests.servers.gitlab_server import PROJECT, GitLabRoutes

#: What GitLab calls an action; whatever else happens to an issue is an update that says what was changed.
_ACTIONS = {"opened": "open", "closed": "close", "reopened": "reopen"}


def gitlab_event(one: Happening) -> str:
    """The name of the event, as its header has it."""
    return "Note Hook" if one.kind == "commented" else "Issue Hook"


def gitlab_body(world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """The body that tells of one happening, with the issue as it is now."""
    routes = GitLabRoutes(world)
    if one.kind == "commented":
        return _comment(routes, world, issue, one)
    titles = [_label(world, name) for name in issue.labels]
    attributes = _issue(world, issue, _ACTIONS.get(one.kind, "update"))
    more = {
        "labels": titles,
        "assignees": [routes.user(login) for login in issue.assignees],
        "changes": _changes(routes, world, issue, one),
    }
    return bodies.body("issue", attributes, **_shown(routes, world, one.actor), **more)


def gitlab_review(
    world: ForgeWorld, pull: WorldPull, review: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Its words and its remarks, each as a comment on the merge request, and an approval."""
    said = [review["body"]] if review["body"] else []
    said += [one["body"] for one in pull.remarks if one["pull_request_review_id"] == review["id"]]
    shown = _shown(GitLabRoutes(world), world, str(review["user"]["login"]))
    sent = [("Note Hook", _note(world, pull, text, **shown)) for text in said]
    if review["state"] == "APPROVED":
        attributes = bodies.request_attributes(pull.branch) | GitLabRoutes(world).request(pull)
        sent.append(
            ("Merge Request Hook", bodies.body("merge_request", attributes | {"action": "approved"}, **shown))
        )
    return sent


def _shown(routes: GitLabRoutes, world: ForgeWorld, actor: str) -> dict[str, Any]:
    """Who did it, and where."""
    who = bodies.user() | routes.user(actor)
    return {"user": who, "project": bodies.project(world.repo) | {"id": PROJECT}}


def _issue(world: ForgeWorld, issue: WorldIssue, action: str | None) -> dict[str, Any]:
    titles = [_label(world, name) for name in issue.labels]
    state = "opened" if issue.state == "open" else "closed"
    own = {"id": issue.id, "iid": issue.number, "project_id": PROJECT, "title": issue.title, "state": state}
    more = {"description": issue.body, "updated_at": issue.updated_at, "labels": titles}
    return bodies.issue_attributes(action, **own, **more)


def _label(world: ForgeWorld, name: str) -> dict[str, Any]:
    return bodies.label(name) | {"id": world.label_id(name)}


def _changes(routes: GitLabRoutes, world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """What was before, and what is now: of labels and assignees all, not the one that came or went."""
    came = one.kind in {"labeled", "assigned"}
    if one.kind in {"labeled", "unlabeled"}:
        others = [_label(world, name) for name in issue.labels if name != one.subject]
        return {"labels": _before_and_after(others, _label(world, one.subject), came=came)}
    if one.kind in {"assigned", "unassigned"}:
        others = [routes.user(login) for login in issue.assignees if login != one.subject]
        return {"assignees": _before_and_after(others, routes.user(one.subject), came=came)}
    if one.kind == "edited":
        return {"description": {"previous": "what it said before", "current": issue.body}}
    return {}


def _before_and_after(others: list[Any], subject: Any, *, came: bool) -> dict[str, Any]:
    more = [*others, subject]
    return {"previous": others, "current": more} if came else {"previous": more, "current": others}


def _comment(routes: GitLabRoutes, world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """The newest comment of its author: on an issue, or on a merge request."""
    said = [
        each for each in world.comments.values() if each.issue == issue.number and each.author == one.actor
    ]
    pull, shown = world.pulls.get(issue.number), _shown(routes, world, one.actor)
    if pull is not None:
        return _note(world, pull, said[-1].body, **shown)
    attributes = bodies.note_attributes("create", "Issue", id=said[-1].id, note=said[-1].body)
    return bodies.body("note", attributes, issue=_issue(world, issue, None), **shown)


def _note(world: ForgeWorld, pull: WorldPull, text: str, **shown: Any) -> dict[str, Any]:
    """A comment on a merge request."""
    attributes = bodies.note_attributes("create", "MergeRequest", note=text)
    about = bodies.request_attributes(pull.branch) | GitLabRoutes(world).request(pull)
    return bodies.body("note", attributes, merge_request=about, **shown)
