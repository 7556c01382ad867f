"""The suite's GitLab: the routes and words that https://docs.gitlab.com/api/ describes.

Projects go by their number, or by their whole name as one quoted part of the path. Whatever has another form
is not found, as there.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.fakes.forge_world import OWN_LOGIN, ForgeWorld, RefusedMergeError, WorldIssue, WorldPull
from tests.servers.forge_server import GONE, Answer, AskedRequest, ForgeServer, Route
from tests.servers.git_server import GitDoor
from tests.servers.gitlab_discussions import GitLabTalk

Found = re.Match[str]

#: The project's number, which is in no name.
PROJECT = 17

_LEVELS = {"admin": 40, "write": 30, "read": 20, "none": 0}
_WORDS = {"failure": "failed", "error": "failed", "warning": "failed", "cancelled": "canceled"}


def gitlab_server(world: ForgeWorld) -> ForgeServer:
    """Start it over a world."""
    routes = GitLabRoutes(world)
    return ForgeServer(
        routes.routes(), scheme="Bearer", root="/api/v4", leads=routes.leads,
        git=GitDoor(world, user=OWN_LOGIN, any_user=True),
    )  # fmt: skip


class GitLabRoutes:
    """One method a route."""

    def __init__(self, world: ForgeWorld) -> None:
        self.world = world
        self.talk = GitLabTalk(world, self.user)

    def leads(self, path: str) -> str:
        """Nowhere from the number, once the project is deleted."""
        is_gone = self.world.deleted and re.match(rf"/projects/{PROJECT}(/|$)", path)
        return "/gone" if is_gone else path

    def routes(self) -> dict[str, Route]:
        """Methods and paths."""
        project = f"/projects/{PROJECT}"
        issue, request = rf"{project}/issues/(\d+)", rf"{project}/merge_requests/(\d+)"
        commits = rf"{project}/repository/commits/([0-9a-f]+)"
        return {
            "GET /user": lambda _asked, _found: Answer(value=self.user(OWN_LOGIN)),
            "GET /users": self.users,
            "GET /version": lambda _asked, _found: Answer(
                value={"version": self.world.version, "revision": "1"}
            ),
            f"GET {project}": lambda _asked, _found: Answer(value=self.project()),
            r"GET /groups/([^/]+)/projects": self.projects,
            r"GET /users/([^/]+)/projects": self.projects,
            rf"GET {project}/members/all/(\d+)": self.member,
            f"GET {project}/protected_branches": self.protected,
            f"GET {project}/issues": self.issues,
            f"GET {issue}": self.with_issue(lambda _asked, one: Answer(value=self.issue(one))),
            f"PUT {issue}": self.with_issue(self.edit_issue),
            f"GET {issue}/notes": self.with_issue(self.talk.notes_of_issue),
            f"POST {issue}/notes": self.with_issue(self.talk.write),
            rf"GET {issue}/notes/(\d+)": self.talk.note,
            rf"PUT {issue}/notes/(\d+)": self.talk.edit,
            f"GET {issue}/resource_label_events": self.with_issue(self.label_events),
            "POST /api/graphql": self.label_times,
            f"GET {issue}/links": self.with_issue(self.links),
            f"GET {project}/pipelines": self.pipelines,
            f"GET {commits}": self.commit,
            f"GET {commits}/statuses": self.statuses,
            f"GET {commits}/merge_requests": self.requests_at,
            f"GET {project}/repository/merge_base": self.merge_base,
            rf"GET {project}/repository/branches/(.+)": self.branch,
            f"GET {project}/merge_requests": self.requests,
            f"POST {project}/merge_requests": self.open_request,
            f"GET {request}": self.with_pull(lambda _asked, one: Answer(value=self.request(one))),
            f"PUT {request}/merge": self.with_pull(self.merge),
            f"PUT {request}/rebase": self.with_pull(self.rebase),
            f"GET {request}/discussions": self.with_pull(self.talk.discussions),
            f"GET {request}/notes": self.with_pull(self.talk.notes_of_request),
            f"POST {request}/notes": self.with_pull(self.talk.write_on_request),
            rf"POST {request}/discussions/([0-9a-f]+)/notes": self.talk.reply,
            rf"PUT {request}/discussions/([0-9a-f]+)": self.talk.resolve,
            f"GET {request}/versions": self.with_pull(self.talk.versions),
            rf"GET {request}/versions/(\d+)": self.talk.version,
            f"GET {request}/diffs": self.with_pull(self.talk.diffs),
            rf"GET {project}/merge_trains/merge_requests/(\d+)": self.with_pull(self.car),
            rf"POST {project}/merge_trains/merge_requests/(\d+)": self.with_pull(self.board),
            f"POST {request}/cancel_merge_when_pipeline_succeeds": self.with_pull(self.leave),
            rf"GET /projects/(?!{PROJECT}/)(.+)": self.project_by_name,
        }

    def with_issue(self, step: Callable[[AskedRequest, WorldIssue], Answer]) -> Route:
        """A route of one issue, which may not be there; requests are others."""

        def route(asked: AskedRequest, found: Found) -> Answer:
            issue = self.world.issues.get(int(found[1]))
            return GONE if issue is None or issue.number in self.world.pulls else step(asked, issue)

        return route

    def with_pull(self, step: Callable[[AskedRequest, WorldPull], Answer]) -> Route:
        """A route of one merge request, which may not be there."""

        def route(asked: AskedRequest, found: Found) -> Answer:
            pull = self.world.pulls.get(int(found[1]))
            return GONE if pull is None else step(asked, pull)

        return route

    def user(self, login: str) -> dict[str, Any]:
        """A user, whose number is that of the place among those whom the world knows."""
        place = list(self.world.users).index(login) if login in self.world.users else 90
        return {"id": 100 + place, "username": login, "name": login.title(), "state": "active"}

    def users(self, asked: AskedRequest, _found: Found) -> Answer:
        """The user of a name."""
        name = asked.query["username"]
        return Answer(value=[self.user(name)] if name in self.world.users else [], paged="link")

    def member(self, _asked: AskedRequest, found: Found) -> Answer:
        """What a user may do; a stranger is not found."""
        for login, may in self.world.users.items():
            if str(self.user(login)["id"]) == found[1] and may != "none":
                return Answer(value=self.user(login) | {"access_level": _LEVELS[may]})
        return GONE

    def project_by_name(self, asked: AskedRequest, found: Found) -> Answer:
        """By its whole name, quoted as one part; a former name leads to the number."""
        if asked.quoted_path.count("/") != 2:
            return GONE
        if found[1] in self.world.others:
            return Answer(value={"id": self.world.others[found[1]], "path_with_namespace": found[1]})
        if self.world.deleted:
            return GONE
        if found[1] in self.world.former_names:
            return Answer(status=301, headers={"Location": f"/api/v4/projects/{PROJECT}"})
        return Answer(value=self.project()) if found[1].lower() == self.world.repo.lower() else GONE

    def project(self) -> dict[str, Any]:
        """The project, with the role of the token's user."""
        level = _LEVELS[self.world.users[OWN_LOGIN]]
        empty = not self.world.has_branch("main")
        return {
            "id": PROJECT,
            "path_with_namespace": self.world.repo,
            "default_branch": None if empty else "main",
            "archived": self.world.archived,
            "issues_enabled": self.world.has_issues,
            "merge_method": "ff" if self.world.fast_forward else "merge",
            "merge_trains_enabled": self.world.merge_queue,
            "permissions": {
                "project_access": {"access_level": level, "notification_level": 3} if level else None,
                "group_access": None,
            },
        }

    def projects(self, asked: AskedRequest, found: Found) -> Answer:
        """Those of the group `acme`, and of the user `ann`; one more of each is archived."""
        kind, owner = asked.path.split("/")[1], found[1]
        if (kind, owner) not in {("groups", "acme"), ("users", "ann")}:
            return GONE
        names = [self.world.repo, "acme/till"] if owner == "acme" else ["ann/dots"]
        shown = [{"path_with_namespace": name, "archived": False} for name in names]
        shown += [] if asked.query.get("archived") == "false" else [
            {"path_with_namespace": f"{owner}/old", "archived": True}
        ]  # fmt: skip
        paged = "keyset" if asked.query.get("pagination") == "keyset" else "link"
        return Answer(value=[{"id": 30 + count, **one} for count, one in enumerate(shown)], paged=paged)

    def protected(self, _asked: AskedRequest, _found: Found) -> Answer:
        """Who may push to which branches."""
        ids = {login: self.user(login)["id"] for login in self.world.users}
        shown = [
            {
                "name": rule["rule_name"],
                "push_access_levels": [
                    {"access_level": None, "user_id": ids[login], "group_id": None}
                    for login in rule.get("push_whitelist_usernames", ())  # type: ignore[attr-defined]
                ]
                or [{"access_level": 30 if rule["enable_push"] else 0, "user_id": None, "group_id": None}],
            }
            for rule in self.world.protections
        ]
        return Answer(value=shown, paged="link")

    def issue(self, issue: WorldIssue) -> dict[str, Any]:
        """An issue in GitLab's words."""
        return {
            "id": issue.id,
            "iid": issue.number,
            "project_id": PROJECT,
            "title": issue.title,
            "description": issue.body,
            "labels": list(issue.labels),
            "state": "opened" if issue.state == "open" else "closed",
            "author": self.user(issue.author) if issue.author else None,
            "assignees": [self.user(login) for login in issue.assignees],
            "updated_at": issue.updated_at,
            "web_url": f"https://forge.test/{self.world.repo}/-/issues/{issue.number}",
            "references": {"short": f"#{issue.number}", "full": f"{self.world.repo}#{issue.number}"},
            "moved_to_id": None,
            "closed_by": self._closed_by(issue),
        }

    def _closed_by(self, issue: WorldIssue) -> dict[str, Any] | None:
        """Who closed an issue that is closed."""
        closed = self.world.history.of(issue.number, "closed") if issue.state == "closed" else []
        return self.user(closed[-1].actor) if closed and closed[-1].actor else None

    def issues(self, asked: AskedRequest, _found: Found) -> Answer:
        """Issues alone, in the order that is asked for; labels of two cases are two."""
        label, states = asked.query.get("labels", ""), {"opened": "open", "closed": "closed"}
        shown = [
            self.issue(one)
            for one in self.world.issues.values()
            if one.number not in self.world.pulls
            and one.state == states.get(asked.query.get("state", ""), one.state)
            and (not label or label in one.labels)
        ]
        return Answer(value=shown if asked.query.get("sort") == "asc" else shown[::-1], paged="link")

    def edit_issue(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Labels come and go by name, assignees are replaced; users without access are ignored."""
        if not set(asked.body) & {"add_labels", "remove_labels", "assignee_ids", "state_event"}:
            return Answer(status=400, value={"error": "at least one parameter must be provided"})
        for name in filter(None, asked.body.get("add_labels", "").split(",")):
            self.world.label(issue, name, OWN_LOGIN)
        for name in filter(None, asked.body.get("remove_labels", "").split(",")):
            if name in issue.labels:
                self.world.unlabel(issue, name, OWN_LOGIN)
        if "assignee_ids" in asked.body:
            known = {
                self.user(login)["id"]: login for login, may in self.world.users.items() if may != "none"
            }
            wanted = [known[one] for one in asked.body["assignee_ids"] if one in known]
            for login in [one for one in issue.assignees if one not in wanted]:
                self.world.unassign(issue, login, OWN_LOGIN)
            for login in wanted:
                self.world.assign(issue, login, OWN_LOGIN)
        if asked.body.get("state_event") == "close":
            self.world.close(issue, OWN_LOGIN)
        return Answer(value=self.issue(issue))

    def label_events(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Labels that came and went, oldest first."""
        shown = [
            {
                "id": one.id,
                "user": self.user(one.actor) if one.actor else None,
                "created_at": one.at,
                "label": {"id": self.world.label_id(one.subject), "name": one.subject},
                "action": "add" if one.kind == "labeled" else "remove",
            }
            for one in self.world.history.of(issue.number, "labeled", "unlabeled")
        ]
        return Answer(value=shown, paged="link")

    def label_times(self, asked: AskedRequest, _found: Found) -> Answer:
        """When the labels of an issue were made, and last changed, by GraphQL."""
        number = int(asked.body["variables"]["issue"].removeprefix("gid://gitlab/Issue/"))
        made = "2020-01-01T00:00:00Z"
        nodes = [
            {
                "id": f"gid://gitlab/ProjectLabel/{self.world.labels[name]}",
                "createdAt": made,
                "updatedAt": self.world.label_changes.get(name, made),
            }
            for issue in self.world.issues.values()
            if issue.id == number
            for name in issue.labels
        ]
        return Answer(value={"data": {"issue": {"labels": {"nodes": nodes}}}})

    def links(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """All linked issues at once: what blocks it, and what is merely related."""
        others = [
            one for one in self.world.issues.values() if one.number not in {*issue.blocked_by, issue.number}
        ]
        related = [one for one in others if one.number not in self.world.pulls]
        shown = [
            self.issue(self.world.issues[one]) | {"link_type": "is_blocked_by"} for one in issue.blocked_by
        ]
        return Answer(value=[*shown, *(self.issue(one) | {"link_type": "relates_to"} for one in related)])

    def _said(self, commit: str) -> list[dict[str, Any]]:
        """The newest of each context, as GitLab keeps one job of a name."""
        newest: dict[object, dict[str, Any]] = {}
        for one in self.world.statuses:
            if one["commit"] == commit:
                word = str(one["word"])
                newest[one["context"]] = {
                    "id": one["id"], "sha": commit, "name": one["context"], "status": _WORDS.get(word, word),
                    "description": one["description"], "target_url": one["url"], "created_at": one["at"],
                    "finished_at": one["at"], "allow_failure": False, "pipeline_id": self._pipeline(commit),
                }  # fmt: skip
        return list(newest.values())

    def _pipeline(self, commit: str) -> int:
        return 1000 + int(commit[:6], 16)

    def pipelines(self, asked: AskedRequest, _found: Found) -> Answer:
        """The pipeline of a commit, which other systems' statuses are made into."""
        commit = asked.query["sha"]
        words = [one["status"] for one in self._said(commit)]
        if not words:
            return Answer(value=[], paged="link")
        last = {"success", "failed", "canceled", "skipped"}
        status = (
            "running"
            if set(words) - last
            else next((one for one in ("failed", "canceled") if one in words), words[0])
        )
        shown = {"id": self._pipeline(commit), "sha": commit, "ref": "main", "status": status}
        return Answer(
            value=[shown | {"source": "external", "created_at": "2026-01-01T00:00:00Z"}], paged="link"
        )

    def statuses(self, _asked: AskedRequest, found: Found) -> Answer:
        """Jobs and statuses of a commit."""
        return Answer(value=self._said(found[1]), paged="link") if self.world.has_commit(found[1]) else GONE

    def commit(self, _asked: AskedRequest, found: Found) -> Answer:
        """A commit as GitLab has it."""
        if not self.world.has_commit(found[1]):
            return GONE
        one = self.world.log(found[1], "-1")[0]
        return Answer(value={"id": one["sha"], "message": one["message"], "committed_date": one["at"]})

    def merge_base(self, asked: AskedRequest, _found: Found) -> Answer:
        """The newest commit that two have in common."""
        refs = [value for name, value in asked.pairs if name == "refs[]"]
        if len(refs) < 2:
            return Answer(status=400, value={"message": "Provide at least 2 refs"})
        if unknown := [one for one in refs if not self.world.has_commit(one)]:
            return Answer(status=400, value={"message": f"Could not find ref: {unknown[0]}"})
        if self.world.compare(refs[0], refs[1]) is None:
            return Answer(status=404, value={"message": "404 Merge Base Not Found"})
        return Answer(value={"id": self.world.repository.git("merge-base", *refs)})

    def branch(self, asked: AskedRequest, found: Found) -> Answer:
        """A branch, whose name is one quoted part of the path."""
        if asked.quoted_path.count("/") != 5 or not self.world.has_branch(found[1]):
            return GONE
        tip, protected = self.world.repository.tip(found[1]), bool(self.world.must_pass(found[1]))
        return Answer(value={"name": found[1], "commit": {"id": tip}, "protected": protected})

    def request(self, pull: WorldPull) -> dict[str, Any]:
        """A merge request in GitLab's words."""
        statuses = {True: "mergeable", None: "checking", False: "conflict"}
        state = "merged" if pull.merged_at else {"open": "opened"}.get(pull.issue.state, "closed")
        squashed = pull.merge_commit is not None and pull.is_squashed
        own = squashed or self.world.fast_forward  # then no commit was made for the merge
        status = (
            "need_rebase" if pull.mergeable and self.world.needs_rebase(pull) else statuses[pull.mergeable]
        )
        return {
            "id": 80_000 + pull.issue.number,
            "iid": pull.issue.number,
            "state": state,
            "title": pull.issue.title,
            "description": pull.issue.body,
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "source_project_id": PROJECT,
            "target_project_id": PROJECT,
            "sha": self.world.head(pull),
            "merged_at": pull.merged_at,
            "merge_commit_sha": None if own else pull.merge_commit,
            "squash_commit_sha": pull.merge_commit if squashed else None,
            "detailed_merge_status": status if state == "opened" else "not_open",
            "has_conflicts": pull.mergeable is False,
            "merge_error": pull.merge_error or None,
            "rebase_in_progress": False,
            "closed_by": self._closed_by(pull.issue) if state == "closed" else None,
            "web_url": f"https://forge.test/{self.world.repo}/-/merge_requests/{pull.issue.number}",
        }

    def requests(self, asked: AskedRequest, _found: Found) -> Answer:
        """Merge requests by their branch."""
        branch = asked.query.get("source_branch", "")
        shown = [self.request(one) for one in self.world.pulls.values() if branch in {"", one.branch}]
        return Answer(value=shown[::-1], paged="link")

    def requests_at(self, _asked: AskedRequest, found: Found) -> Answer:
        """Merge requests that hold a commit, here as their head, or were merged as it."""
        pulls = list(self.world.pulls.values())
        shown = [self.request(one) for one in pulls if found[1] in {one.merge_commit, self.world.head(one)}]
        return Answer(value=shown if self.world.has_commit(found[1]) else [], paged="link")

    def open_request(self, asked: AskedRequest, _found: Found) -> Answer:
        """A new merge request, of which there may be one a branch."""
        branch, title = asked.body["source_branch"], asked.body["title"]
        if not self.world.has_branch(asked.body["target_branch"]):
            return Answer(status=422, value={"message": ["Target branch does not exist"]})
        if any(one.branch == branch and one.issue.state == "open" for one in self.world.pulls.values()):
            said = "Another open merge request already exists for this source branch"
            return Answer(status=409, value={"message": [said]})
        pull = self.world.open_pull(branch, title, base=asked.body["target_branch"])
        pull.issue.body = self.talk.carried_out(pull.issue, asked.body.get("description", ""))
        return Answer(status=201, value=self.request(pull))

    def merge(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """Merge at the head that is named; who does not name one merges whatever is there."""
        squash = bool(asked.body.get("squash"))
        message = asked.body["squash_commit_message" if squash else "merge_commit_message"]
        if pull.issue.title.lower().startswith("draft:"):
            return Answer(status=405, value={"message": "405 Method Not Allowed"})
        try:
            self.world.merge(pull, message, asked.body.get("sha"), squash=squash)
        except RefusedMergeError as error:
            said = {405: "405 Method Not Allowed", 409: "SHA does not match HEAD of source branch"}
            return Answer(status=error.status, value={"message": said[error.status]})
        return Answer(value=self.request(pull))

    def rebase(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """The branch is put onto the one that it goes to after the answer, or an error is noted."""
        try:
            self.world.update(pull, rebase=True)
        except RefusedMergeError:
            pull.merge_error = "Rebase failed: Rebase locally, resolve all conflicts, then push the branch."
        return Answer(status=202, value={"rebase_in_progress": True})

    def car(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """A place on the merge train."""
        if not self.world.merge_queue:
            return Answer(status=403, value={"message": "403 Forbidden"})
        if pull.issue.number not in self.world.queued:
            return GONE
        first = self.world.queued[0] == pull.issue.number
        return Answer(value={"id": 1, "status": "fresh" if first else "idle"})

    def board(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """Onto the train at a head."""
        if not self.world.merge_queue:
            return Answer(status=403, value={"message": "403 Forbidden"})
        if asked.body.get("sha") not in {None, self.world.head(pull)}:
            return Answer(status=409, value={"message": "SHA does not match HEAD of source branch"})
        self.world.queued.append(pull.issue.number)
        self.world.history.add(pull.issue.number, "added_to_merge_queue", OWN_LOGIN)
        return Answer(status=201, value=[{"id": 1, "status": "idle"}])

    def leave(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """Off the train."""
        if pull.issue.number not in self.world.queued:
            return Answer(status=406, value={"message": "406 Not Acceptable"})
        self.world.queued.remove(pull.issue.number)
        self.world.history.add(pull.issue.number, "removed_from_merge_queue", OWN_LOGIN)
        return Answer(status=201, value={"status": "success"})
