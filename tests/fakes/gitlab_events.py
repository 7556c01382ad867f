"""Deliveries of GitLab: what each kind of event looks like in its documentation, with what is read of it.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from typing import Any

BRANCH = "coalmine/0123456789abcdef"
PROJECT = {"id": 7, "path_with_namespace": "acme/tools/shop", "default_branch": "main"}
ENDS = {"source_project_id": 7, "target_project_id": 7}


def _body(kind: str, attributes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A body with the facts that every one has."""
    given = {"object_attributes": attributes} if attributes is not None else {}
    return {"object_kind": kind, "user": {"username": "ada"}, "project": PROJECT, **given, **more}


def issue(
    action: str | None = "update",
    *,
    kind: str = "issue",
    labels: tuple[str, ...] = ("coalmine",),
    **more: Any,
) -> dict[str, Any]:
    """An issue event."""
    titles = [{"id": 1, "title": name} for name in labels]
    return _body(kind, {"id": 99, "iid": 23, "action": action, "state": "opened"}, labels=titles, **more)


def note(on: str = "issue", action: str = "create", **more: Any) -> dict[str, Any]:
    """A comment event; what it is on has its own member."""
    parts: dict[str, Any] = {
        "issue": {"iid": 23, "labels": [{"title": "coalmine"}]},
        "merge_request": {"iid": 5, "source_branch": BRANCH, **ENDS},
        "commit": {"id": "1" * 40},
        "snippet": {"id": 3},
    }
    return _body(
        "note", {"id": 1, "note": "Hi", "action": action, "system": False}, **{on: parts[on]}, **more
    )


def request(action: str | None, branch: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A merge request event."""
    return _body("merge_request", {"iid": 5, "source_branch": branch, "action": action, **ENDS, **more})


def pipeline(status: str, ref: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A pipeline event."""
    return _body("pipeline", {"id": 1, "ref": ref, "status": status, "tag": False}, **more)


def push(ref: str) -> dict[str, Any]:
    """A push event."""
    return _body("push", ref=ref, user_username="ada", before="0" * 40, after="1" * 40)


def changed(before: tuple[str, ...], after: tuple[str, ...]) -> dict[str, Any]:
    """The change of labels."""
    titles = [[{"title": name} for name in names] for names in (before, after)]
    return {"labels": {"previous": titles[0], "current": titles[1]}}


#: Event header, body, and what is done: looked at (an issue, or work), or ignored.
LOOKED_AT: list[tuple[str, dict[str, Any]]] = [
    *(("Issue Hook", issue(action)) for action in ("open", "close", "reopen", "update", None)),
    ("Confidential Issue Hook", issue("open") | {"event_type": "confidential_issue"}),
    ("Work Item Hook", issue("open", kind="work_item")),
    ("Issue Hook", issue(labels=(), changes=changed(("coalmine",), ()))),
    ("Issue Hook", issue(labels=(), changes=changed(("coalmine", "bug"), ("other",)))),
    ("Issue Hook", issue(changes=changed((), ("coalmine",)))),
    ("Issue Hook", issue(labels=(), changes={"assignees": {"current": [{"username": "ada"}]}})),
    ("Note Hook", note()),
    ("Note Hook", note(action="update")),
    ("Confidential Note Hook", note()),
    ("Note Hook", note("merge_request")),
    ("Note Hook", note("merge_request", "update")),
    *(
        ("Merge Request Hook", request(action))
        for action in (
            *("open", "close", "reopen", "update", "approved", "approval", "unapproved", "unapproval"),
            "merge",
            None,
        )
    ),
    *(("Push Hook", push(f"refs/heads/{branch}")) for branch in ("main", BRANCH)),
    *(("Pipeline Hook", pipeline(word)) for word in ("success", "failed", "canceled", "skipped", "manual")),
    ("Pipeline Hook", pipeline("success", "main")),
    (
        "Pipeline Hook",
        pipeline("failed", "refs/merge-requests/5/head", merge_request={"source_branch": BRANCH, **ENDS}),
    ),
]  # fmt: skip

#: Kinds of events that say nothing to us, as they are called there and in their bodies.
OTHERS = {
    "Tag Push Hook": "tag_push",
    "Wiki Page Hook": "wiki_page",
    "Job Hook": "build",
    "Deployment Hook": "deployment",
    "Feature Flag Hook": "feature_flag",
    "Release Hook": "release",
    "Milestone Hook": "milestone",
    "Emoji Hook": "emoji",
    "Resource Access Token Hook": "access_token",
    "Vulnerability Hook": "vulnerability",
    "Resource Deploy Token Hook": "deploy_token",
}

IGNORED: list[tuple[str, dict[str, Any]]] = [
    *(
        (event, _body(kind, {"id": 1, "action": action}))
        for event, kind in OTHERS.items()
        for action in ("create", "update", "delete")
    ),
    *(
        (f"{what} Hook", {"event_name": f"{name}_{what.lower()}", "user_username": "ada", "group_id": 4})
        for what, names in {
            "Member": ("user_add_to", "user_update_for", "user_remove_from"),
            "Subgroup": ("create", "destroy"),
            "Project": ("create", "destroy"),
        }.items()
        for name in names
    ),
    *(
        ("Job Hook", {"object_kind": "build", "ref": BRANCH, "build_status": word, "project": PROJECT})
        for word in ("created", "pending", "running", "failed", "success", "canceled")
    ),
    *(
        ("Deployment Hook", {"object_kind": "deployment", "status": word, "project": PROJECT})
        for word in ("running", "success", "failed", "canceled")
    ),
    *(("Emoji Hook", _body("emoji", {"name": "tada"}, event_type=word)) for word in ("award", "revoke")),
    ("Resource Access Token Hook", {"object_kind": "access_token", "event_name": "expiring", "group": {}}),
    ("Tag Push Hook", {"object_kind": "tag_push", "ref": "refs/tags/v1", "project": PROJECT}),
    ("Issue Hook", issue(labels=())),
    ("Issue Hook", issue(labels=(), changes=changed(("bug",), ()))),
    ("Issue Hook", issue() | {"project": PROJECT | {"path_with_namespace": "acme/other"}}),
    ("Issue Hook", issue() | {"project": PROJECT | {"path_with_namespace": "acme/tools/deep/shop"}}),
    ("Work Item Hook", issue("open", kind="work_item") | {"project": None}),
    ("Note Hook", note() | {"user": {"username": "agentbot"}}),
    ("Note Hook", note("commit")),
    ("Note Hook", note("snippet")),
    ("Note Hook", note() | {"object_attributes": {"system": True, "note": "assigned to @ada"}}),
    ("Merge Request Hook", request("open", "feature")),
    ("Merge Request Hook", request("open", source_project_id=8)),
    ("Push Hook", push("refs/heads/feature")),
    *(
        ("Pipeline Hook", pipeline(word))
        for word in ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")
    ),
    ("Pipeline Hook", _body("pipeline", {"ref": "v1", "status": "success", "tag": True})),
    ("Pipeline Hook", pipeline("success", "feature")),
]  # fmt: skip
