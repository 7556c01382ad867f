"""Bodies of GitLab's deliveries with all members that its documentation shows; the values are ours.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from typing import Any

REPO, PROJECT_ID, BRANCH = "acme/tools/shop", 7, "coalmine/0123456789abcdef"
SHA, NO_SHA, AT = "1" * 40, "0" * 40, "2026-03-04 15:06:07 UTC"

Members = dict[str, Any]


def named(base: Members, **members: Any) -> Members:
    """The same with some members set."""
    return {**base, **members}


def nothing(*names: str) -> Members:
    """Members that are there and have no value."""
    return dict.fromkeys(names)


def project(repo: str = REPO) -> Members:
    """A project, as it is in most bodies."""
    web, ssh = (f"https://gitlab.test/{repo}", f"git@gitlab.test:{repo}.git")
    return (
        {"id": PROJECT_ID, "name": "Shop", "description": "", "web_url": web, "avatar_url": None}
        | {"git_ssh_url": ssh, "git_http_url": f"{web}.git", "namespace": "Tools", "visibility_level": 20}
        | {"path_with_namespace": repo, "default_branch": "main", "ci_config_path": None, "homepage": web}
        | {"url": ssh, "ssh_url": ssh, "http_url": f"{web}.git"}
    )


def repository() -> Members:
    """What was in bodies before projects were."""
    return {"name": "Shop", "url": "git@gitlab.test:x.git", "description": "", "homepage": "https://x.test"}


def user(login: str = "ada") -> Members:
    """Who did something; the address is shown of those alone who show it themselves."""
    avatar = "https://gitlab.test/a.png"
    return {"id": 1, "name": "Ada", "username": login, "avatar_url": avatar, "email": "[REDACTED]"}


def label(title: str) -> Members:
    """A label of a project."""
    about = {"color": "#ffffff", "project_id": PROJECT_ID, "created_at": AT, "updated_at": AT}
    more = {"template": False, "description": None, "type": "ProjectLabel", "group_id": None}
    return {"id": 206, "title": title, **about, **more}


def commit(message: str = "Sum it once\n") -> Members:
    """A commit."""
    who = {"name": "Ada", "email": "ada@gitlab.test"}
    url = f"https://gitlab.test/{REPO}/-/commit/{SHA}"
    return {
        "id": SHA,
        "message": message,
        "title": message.strip(),
        "timestamp": "2026-03-04T15:06:07+02:00",
    } | {"url": url, "author": who}


def body(kind: str, attributes: Members, **more: Any) -> Members:
    """What nearly every body has; `more` are further members, or others in their place."""
    usual = {"object_kind": kind, "event_type": kind, "user": user(), "project": project()}
    return usual | {"repository": repository(), "object_attributes": attributes} | more


def issue_attributes(action: str | None, **more: Any) -> Members:
    """An issue, or another item of work."""
    times = dict.fromkeys(("time_estimate", "total_time_spent", "time_change", "relative_position"), 0)
    empty = nothing(
        *("last_edited_at", "last_edited_by_id", "milestone_id", "due_date", "moved_to_id", "weight"),
        *("duplicated_to_id", "human_total_time_spent", "human_time_estimate", "human_time_change"),
        *("health_status", "discussion_locked", "assignee_id"),
    )
    return (
        {"id": 301, "iid": 23, "title": "Cart is slow", "description": "It is.", "author_id": 51}
        | {"project_id": PROJECT_ID, "created_at": AT, "updated_at": AT, "updated_by_id": 1, "state_id": 1}
        | {"assignee_ids": [], "confidential": False, "type": "Issue", "state": "opened", "labels": []}
        | {"url": f"https://gitlab.test/{REPO}/-/issues/23", "severity": "unknown", "action": action}
        | {"escalation_status": "triggered", "escalation_policy": {"id": 18, "name": "On call"}}
        | times
        | empty
        | more
    )


def ends(branch: str = BRANCH) -> Members:
    """The two ends of a merge request."""
    both = {"source_project_id": PROJECT_ID, "target_project_id": PROJECT_ID}
    return {"source_branch": branch, "target_branch": "main", **both}


def request_attributes(branch: str = BRANCH, **more: Any) -> Members:
    """A merge request."""
    spent = {"total_time_spent": 0, "time_change": 0}
    empty = nothing(
        *("last_edited_at", "last_edited_by_id", "milestone_id", "human_total_time_spent", "assignee_id"),
        *("human_time_change", "human_time_estimate"),
    )
    return (
        {"id": 99, "iid": 5, "title": "Cart is slow", "description": "", "author_id": 51, "state_id": 1}
        | {"assignee_ids": [], "reviewer_ids": [6], "created_at": AT, "updated_at": AT, "prepared_at": AT}
        | {"state": "opened", "blocking_discussions_resolved": True, "work_in_progress": False}
        | {"draft": False, "first_contribution": False, "merge_status": "unchecked"}
        | {"detailed_merge_status": "mergeable", "url": f"https://gitlab.test/{REPO}/-/merge_requests/5"}
        | {"source": project(), "target": project(), "last_commit": commit(), "labels": []}
        | ends(branch)
        | spent
        | empty
        | more
    )


def note_attributes(action: str, on: str, **more: Any) -> Members:
    """A comment on a thing of a kind (`Issue`, `MergeRequest`, `Commit`, `Snippet`)."""
    empty = nothing("attachment", "line_code", "st_diff", "noteable_id", "change_position", "position")
    return (
        {"id": 1241, "note": "Sum it once.", "noteable_type": on, "author_id": 1, "created_at": AT}
        | {"updated_at": AT, "project_id": PROJECT_ID, "commit_id": "", "system": False, "action": action}
        | {"url": f"https://gitlab.test/{REPO}/-/issues/23#note_1241", "discussion_id": SHA}
        | empty
        | more
    )


def pipeline_attributes(status: str, ref: str = BRANCH, **more: Any) -> Members:
    """A pipeline."""
    return (
        {"id": 31, "iid": 3, "name": None, "ref": ref, "tag": False, "sha": SHA, "before_sha": NO_SHA}
        | {"source": "push", "status": status, "detailed_status": status, "stages": ["build", "test"]}
        | {"created_at": AT, "finished_at": None, "duration": None, "queued_duration": 4}
        | {"variables": [{"key": "REGION", "value": "north"}], "protected_ref": False}
        | {"url": f"https://gitlab.test/{REPO}/-/pipelines/31", **more}
    )


def build(status: str) -> Members:
    """A job of a pipeline."""
    runner = {"id": 3, "description": "r", "active": True, "runner_type": "instance_type", "is_shared": True}
    return (
        {"id": 380, "stage": "test", "name": "unit", "status": status, "created_at": AT, "started_at": AT}
        | {"finished_at": None, "duration": 17.25, "queued_duration": 196.0, "failure_reason": None}
        | {"when": "on_success", "manual": False, "allow_failure": False, "user": user()}
        | {"runner": {**runner, "tags": ["linux"]}, "artifacts_file": nothing("filename", "size")}
        | {"environment": {"name": "staging", "action": "start", "deployment_tier": "staging"}}
    )


def upstream() -> Members:
    """The pipeline that started one."""
    there = {"id": 41, "web_url": "https://gitlab.test/acme/up", "path_with_namespace": "acme/up"}
    return {"project": there, "pipeline_id": 30, "job_id": 3401}


def pushed(kind: str, ref: str) -> Members:
    """A push of a branch or of a tag."""
    changed = {"added": ["CHANGELOG"], "modified": ["cart.py"], "removed": []}
    return (
        {"object_kind": kind, "event_name": kind, "before": NO_SHA, "after": SHA, "ref": ref}
        | {"ref_protected": True, "checkout_sha": SHA, "message": None, "user_id": 4, "user_name": "Ada"}
        | {"user_username": "ada", "user_email": "", "user_avatar": None, "project_id": PROJECT_ID}
        | {"project": project(), "repository": repository(), "commits": [{**commit(), **changed}]}
        | {"total_commits_count": 1, "push_options": {}}
    )


def job(status: str) -> Members:
    """A job that changed its state; times are there twice."""
    when = nothing(*(f"build_{what}_at{iso}" for what in ("started", "finished") for iso in ("", "_iso")))
    return (
        {"object_kind": "build", "ref": BRANCH, "tag": False, "before_sha": NO_SHA, "sha": SHA}
        | {"build_id": 1977, "build_name": "test", "build_stage": "test", "build_status": status}
        | {"build_created_at": AT, "build_created_at_iso": AT, "build_duration": None, **when}
        | {"build_queued_duration": 1095.588715, "build_allow_failure": False, "retries_count": 2}
        | {"build_failure_reason": "script_failure", "pipeline_id": 2366, "project_id": PROJECT_ID}
        | {"project_name": "Tools / Shop", "user": user(), "repository": repository(), "project": project()}
        | {"commit": {"id": 2366, "name": None, "sha": SHA, "message": "m", "status": status}}
        | {"runner": build(status)["runner"], "environment": None, "source_pipeline": upstream()}
    )


def deployment(status: str) -> Members:
    """A deployment."""
    return (
        {"object_kind": "deployment", "status": status, "status_changed_at": AT, "deployment_id": 15}
        | {"deployable_id": 796, "deployable_url": None, "environment": "staging", "short_sha": SHA[:8]}
        | {"environment_tier": "staging", "environment_slug": "staging", "environment_external_url": None}
        | {"project": project(), "user": user(), "user_url": "https://gitlab.test/ada", "ref": "main"}
        | {"commit_url": f"https://gitlab.test/{REPO}/-/commit/{SHA}", "commit_title": "Sum it once"}
    )


def membership(event: str) -> Members:
    """Somebody comes into a group, goes, or asks to; it names no project."""
    group = {"group_name": "Acme", "group_path": "acme", "group_id": 100, "group_plan": None}
    about = {"user_username": "ada", "user_name": "Ada", "user_email": "", "user_id": 64}
    more = {"group_access": "Guest", "expires_at": None, "event_name": event}
    return {"created_at": AT, "updated_at": AT, **group, **about, **more}


def of_group(event: str) -> Members:
    """A project or a group came into a group, or went."""
    name = {"name": "shop", "path": "shop", "created_at": AT, "updated_at": AT, "event_name": event}
    if event.startswith("project"):
        owners = {"owners": [{"name": "Ada", "email": ""}], "project_visibility": "private"}
        ids = {"project_id": PROJECT_ID, "project_namespace_id": 32}
        return {**name, "path_with_namespace": REPO, **ids, **owners}
    parent = {"parent_group_id": 7, "parent_name": "acme", "parent_path": "acme", "parent_full_path": "acme"}
    return {**name, "full_path": "acme/shop", "group_id": 10, **parent}


def release(action: str) -> Members:
    """A release, whose facts stand in the body itself."""
    link = {"id": 1, "external": True, "link_type": "other", "name": "Log", "url": "https://gitlab.test/l"}
    assets = {"count": 1, "links": [link], "sources": [{"format": "zip", "url": "https://gitlab.test/z"}]}
    return (
        {"id": 1, "created_at": AT, "description": "", "name": "v1.1", "released_at": AT, "tag": "v1.1"}
        | {"object_kind": "release", "project": project(), "url": "https://gitlab.test/r", "action": action}
        | {"assets": assets, "commit": commit()}
    )


def milestone(action: str) -> Members:
    """A milestone."""
    due = {"due_date": None, "start_date": None, "group_id": None, "project_id": PROJECT_ID}
    attributes = {"id": 61, "iid": 10, "title": "v1.0", "description": "", "state": "active", **due}
    kinds = {"object_kind": "milestone", "event_type": "milestone"}
    return {**kinds, "project": project(), "object_attributes": attributes, "action": action}


def emoji(action: str) -> Members:
    """A reaction to a comment on an issue."""
    where = {"awardable_type": "Note", "awardable_id": 363, "awarded_on_url": "https://gitlab.test/n"}
    attributes = {"user_id": 1, "created_at": AT, "id": 1, "name": "tada", "updated_at": AT, **where}
    there = {"note": note_attributes("create", "Issue"), "issue": issue_attributes(None)}
    return body("emoji", {**attributes, "action": action}, event_type=action, project_id=PROJECT_ID, **there)


def expiring(kind: str, **owner: Any) -> Members:
    """A token that ends soon, of a project or of a group."""
    attributes = {"user_id": 90, "created_at": AT, "id": 25, "name": "acd", "expires_at": "2026-04-01"}
    return {"object_kind": kind, **owner, "object_attributes": attributes, "event_name": f"expiring_{kind}"}


def wiki_page(action: str) -> Members:
    """A page of a wiki."""
    wiki = {"web_url": "https://gitlab.test/w", "git_ssh_url": "w", "git_http_url": "w"}
    wiki |= {"path_with_namespace": f"{REPO}.wiki", "default_branch": "main"}
    text = {"title": "Home", "content": "Hi", "format": "markdown", "message": "m", "slug": "home"}
    more = {"url": "https://gitlab.test/w", "action": action, "diff_url": "d", "version_id": SHA}
    kind = {"object_kind": "wiki_page", "user": user(), "project": project()}
    return {**kind, "wiki": wiki, "object_attributes": {**text, **more}}


def feature_flag(*, active: bool) -> Members:
    """A flag that was switched."""
    flag = {"id": 6, "name": "quick", "description": "", "active": active}
    who = {"project": project(), "user": user(), "user_url": "https://gitlab.test/ada"}
    return {"object_kind": "feature_flag", **who, "object_attributes": flag}


def vulnerability(state: str) -> Members:
    """A weakness that was found; its project is named by its number alone."""
    at = nothing("confirmed_at", "confirmed_by_id", "dismissed_at", "dismissed_by_id", "resolved_at")
    about = {"url": "https://gitlab.test/v", "title": "DoS", "state": state, "project_id": PROJECT_ID}
    found = {"location": {"file": "uv.lock"}, "cvss": [], "severity": "high", "identifiers": [], "issues": []}
    return {"object_kind": "vulnerability", "object_attributes": {**about, **found, **at}}
