"""What the suite's GitLab delivers of what people did in a world, as its documentation shows it."""

from typing import Any

from tests.fakes.forge_history import Happening
from tests.fakes.forge_world import ForgeWorld, WorldIssue
from tests.servers.gitlab_server import PROJECT, GitLabRoutes

#: What GitLab calls an action; whatever else happens to an issue is an update that says what was changed.
_ACTIONS = {"opened": "open", "closed": "close", "reopened": "reopen"}


def gitlab_event(one: Happening) -> str:
    """The name of the event, as its header has it."""
    return "Note Hook" if one.kind == "commented" else "Issue Hook"


def gitlab_body(world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """The body that tells of one happening, with the issue as it is now."""
    routes = GitLabRoutes(world)
    shown = {"user": routes.user(one.actor), "project": _project(world)}
    if one.kind == "commented":
        return shown | _note(routes, world, issue, one)
    titles = [_label(world, name) for name in issue.labels]
    attributes = _issue(issue) | {"action": _ACTIONS.get(one.kind, "update"), "labels": titles}
    return shown | {
        "object_kind": "issue",
        "event_type": "issue",
        "object_attributes": attributes,
        "labels": titles,
        "assignees": [routes.user(login) for login in issue.assignees],
        "changes": _changes(routes, world, issue, one),
    }


def _project(world: ForgeWorld) -> dict[str, Any]:
    return {"id": PROJECT, "path_with_namespace": world.repo, "default_branch": "main"}


def _issue(issue: WorldIssue) -> dict[str, Any]:
    state = "opened" if issue.state == "open" else "closed"
    return {
        "id": issue.id,
        "iid": issue.number,
        "project_id": PROJECT,
        "title": issue.title,
        "description": issue.body,
        "state": state,
        "type": "Issue",
        "updated_at": issue.updated_at,
    }


def _label(world: ForgeWorld, name: str) -> dict[str, Any]:
    return {"id": world.label_id(name), "title": name, "color": "#ededed", "type": "ProjectLabel"}


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


def _note(routes: GitLabRoutes, world: ForgeWorld, issue: WorldIssue, one: Happening) -> dict[str, Any]:
    """The newest comment of its author: on an issue, or on a merge request."""
    said = [
        each for each in world.comments.values() if each.issue == issue.number and each.author == one.actor
    ]
    pull = world.pulls.get(issue.number)
    note = {
        "id": said[-1].id,
        "note": said[-1].body,
        "noteable_type": "Issue" if pull is None else "MergeRequest",
        "action": "create",
        "system": False,
    }
    titles = [_label(world, name) for name in issue.labels]
    on = {"merge_request": routes.request(pull)} if pull else {"issue": _issue(issue) | {"labels": titles}}
    return {"object_kind": "note", "event_type": "note", "object_attributes": note, **on}
