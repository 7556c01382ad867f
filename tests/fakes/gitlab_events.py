"""Deliveries of GitLab: each kind of event that its documentation has, with what is done about it.

https://docs.gitlab.com/user/project/integrations/webhook_events/. The bodies have all members that are shown
there, see `gitlab_bodies`.
"""

from typing import Any

from tests.fakes import gitlab_bodies as bodies
from tests.fakes.gitlab_bodies import BRANCH, body, ends, named, pushed


def issue(
    action: str | None = "update",
    *,
    kind: str = "issue",
    labels: tuple[str, ...] = ("coalmine",),
    **more: Any,
) -> dict[str, Any]:
    """An issue event."""
    titles = [bodies.label(name) for name in labels]
    of = "Issue" if kind == "issue" else "Task"
    attributes = bodies.issue_attributes(action, labels=titles, type=of)
    return body(kind, attributes, **{"labels": titles, "assignees": [], "changes": {}, **more})


def note(on: str = "issue", action: str = "create", **more: Any) -> dict[str, Any]:
    """A comment event; what it is on has its own member."""
    titles = [bodies.label("coalmine")]
    parts: dict[str, Any] = {
        "issue": bodies.issue_attributes(None, labels=titles, position=0, branch_name=None),
        "merge_request": bodies.request_attributes(assignee=None, position=0),
        "commit": bodies.commit(),
        "snippet": {"id": 3, "title": "t", "content": "", "file_name": "a.py", "type": "ProjectSnippet"},
    }
    words = {"issue": "Issue", "merge_request": "MergeRequest", "commit": "Commit", "snippet": "Snippet"}
    given = {"project_id": bodies.PROJECT_ID, on: parts[on], **more}
    return body("note", bodies.note_attributes(action, words[on]), **given)


def request(action: str | None, branch: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A merge request event; `more` are members of the request."""
    given = {"oldrev": bodies.SHA} if action == "update" else {}
    attributes = bodies.request_attributes(branch, action=action, **given, **more)
    about = {"labels": [], "changes": {}, "assignees": [], "reviewers": [bodies.user("bob")]}
    return body("merge_request", attributes, **about)


def pipeline(status: str, ref: str = BRANCH, **more: Any) -> dict[str, Any]:
    """A pipeline event."""
    about = {"merge_request": None, "commit": bodies.commit(), "source_pipeline": bodies.upstream()}
    attributes = bodies.pipeline_attributes(status, ref)
    return body("pipeline", attributes, **{**about, "builds": [bodies.build(status)], **more})


def push(ref: str) -> dict[str, Any]:
    """A push event."""
    return pushed("push", ref)


def changed(before: tuple[str, ...], after: tuple[str, ...]) -> dict[str, Any]:
    """The change of labels, among others."""
    titles = [[bodies.label(name) for name in names] for names in (before, after)]
    times = {"previous": bodies.AT, "current": bodies.AT}
    labels = {"previous": titles[0], "current": titles[1]}
    return {"labels": labels, "updated_at": times, "updated_by_id": {"previous": None, "current": 1}}


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
        pipeline("failed", "refs/merge-requests/5/head", merge_request={"source_branch": BRANCH, **ends()}),
    ),
]  # fmt: skip

#: Events that say nothing to us, or not of this repository, this work, or these issues.
IGNORED: list[tuple[str, dict[str, Any]]] = [
    *(("Tag Push Hook", pushed("tag_push", ref)) for ref in ("refs/tags/v1", "refs/tags/coalmine/v2")),
    *(("Wiki Page Hook", bodies.wiki_page(action)) for action in ("create", "update", "delete")),
    *(("Job Hook", bodies.job(word)) for word in ("created", "pending", "running", "manual", "skipped")),
    *(("Job Hook", bodies.job(word)) for word in ("failed", "success", "canceled")),
    *(("Deployment Hook", bodies.deployment(word)) for word in ("running", "success", "failed", "canceled")),
    *(("Feature Flag Hook", bodies.feature_flag(active=on)) for on in (True, False)),
    *(("Release Hook", bodies.release(action)) for action in ("create", "update", "delete")),
    *(("Milestone Hook", bodies.milestone(action)) for action in ("create", "close", "reopen", "delete")),
    *(("Emoji Hook", bodies.emoji(action)) for action in ("award", "revoke")),
    *(("Vulnerability Hook", bodies.vulnerability(word)) for word in ("detected", "confirmed", "resolved")),
    ("Resource Access Token Hook", bodies.expiring("access_token", project=bodies.project())),
    ("Resource Access Token Hook", bodies.expiring("access_token", group={"group_path": "acme"})),
    ("Resource Deploy Token Hook", bodies.expiring("deploy_token", project=bodies.project())),
    *(
        ("Member Hook", bodies.membership(f"user_{what}_group"))
        for what in ("add_to", "update_for", "remove_from", "access_request_to", "access_request_denied_for")
    ),
    *(("Project Hook", bodies.of_group(f"project_{what}")) for what in ("create", "destroy")),
    *(("Subgroup Hook", bodies.of_group(f"subgroup_{what}")) for what in ("create", "destroy")),
    *(("Issue Hook", issue(action, labels=())) for action in ("open", "update")),
    ("Issue Hook", issue(labels=(), changes=changed(("bug",), ()))),
    ("Issue Hook", issue() | {"project": bodies.project("acme/other")}),
    ("Issue Hook", issue() | {"project": bodies.project("acme/tools/deep/shop")}),
    ("Work Item Hook", issue("open", kind="work_item") | {"project": None}),  # an epic, of a group
    *(("Note Hook", note(action=word) | {"user": bodies.user("agentbot")}) for word in ("create", "update")),
    *(("Note Hook", note(on, action)) for on in ("commit", "snippet") for action in ("create", "update")),
    ("Note Hook", note() | {"object_attributes": bodies.note_attributes("create", "Issue", system=True)}),
    *(("Merge Request Hook", request(action, "feature")) for action in ("open", "update", "merge", "close")),
    ("Merge Request Hook", request("open", source_project_id=8)),
    *(("Push Hook", push(f"refs/heads/{branch}")) for branch in ("feature", "coalmine", "not/coalmine/a")),
    *(
        ("Pipeline Hook", pipeline(word))
        for word in ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")
    ),
    ("Pipeline Hook", body("pipeline", named(bodies.pipeline_attributes("success", "v1"), tag=True))),
    ("Pipeline Hook", pipeline("success", "feature")),
]  # fmt: skip
