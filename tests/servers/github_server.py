"""The suite's GitHub: the routes and words that https://docs.github.com/rest describes."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes.forge_world import (
    OWN_LOGIN,
    ForgeWorld,
    RefusedMergeError,
    WorldComment,
    WorldIssue,
    WorldPull,
)
from tests.servers.forge_server import GONE, Answer, AskedRequest, ForgeServer, Route
from tests.servers.git_server import GitDoor

Found = re.Match[str]


def github_server(world: ForgeWorld) -> ForgeServer:
    """Start it over a world."""
    routes = GitHubRoutes(world)
    return ForgeServer(
        routes.routes(), scheme="Bearer", git=GitDoor(world, user="x-access-token"), leads=routes.leads
    )


class GitHubRoutes:
    """One method a route."""

    #: How the member for a status's state is called.
    state_word = "state"

    def __init__(self, world: ForgeWorld) -> None:
        self.world = world
        self._first = world.repo

    def leads(self, path: str) -> str:
        """The path of a route: names of now and of before lead to the repository, unless another has them."""
        found = re.match(r"/repos/([^/]+/[^/]+)", path)
        if found is None:
            return path
        name, rest = found[1], path[found.end() :]
        if name in self.world.others:
            return f"/others/{name}{rest}"
        ours = not self.world.deleted and name in {self.world.repo, *self.world.former_names}
        return f"/repos/{self._first}{rest}" if ours else "/gone" if self.world.deleted else path

    def routes(self) -> dict[str, Route]:
        """Methods and paths."""
        repo = rf"/repos/{re.escape(self.world.repo)}"
        issue = rf"{repo}/issues/(\d+)"
        return {
            "GET /user": lambda _asked, _found: Answer(value={"login": OWN_LOGIN}),
            f"GET {repo}": self.repository,
            r"GET /repositories/(\d+)": self.repository_by_id,
            "GET /others/([^/]+/[^/]+)": lambda _asked, found: Answer(
                value={"id": self.world.others[found[1]], "full_name": found[1]}
            ),
            "POST /graphql": self.graphql,
            "GET /versions": lambda _asked, _found: Answer(value=self.world.api_versions),
            f"GET {repo}/issues": self.issues,
            f"GET {issue}": self.with_issue(lambda _asked, one: Answer(value=self.issue(one))),
            f"PATCH {issue}": self.with_issue(self.edit_issue),
            f"GET {issue}/comments": self.with_issue(self.comments),
            f"POST {issue}/comments": self.with_issue(self.write_comment),
            rf"GET {repo}/issues/comments/(\d+)": self.comment,
            rf"PATCH {repo}/issues/comments/(\d+)": self.edit_comment,
            f"POST {issue}/labels": self.with_issue(self.add_labels),
            rf"DELETE {issue}/labels/(.+)": self.remove_label,
            f"GET {issue}/events": self.with_issue(self.events),
            f"GET {repo}/activity": self.activity,
            f"POST {issue}/assignees": self.with_issue(self.assign),
            f"GET {issue}/dependencies/blocked_by": self.with_issue(self.blockers),
            rf"GET {repo}/collaborators/([^/]+)/permission": self.permission,
            rf"GET {repo}/commits/([0-9a-f]+)/status": self.status,
            rf"GET {repo}/commits/([0-9a-f]+)/pulls": lambda _asked, found: Answer(
                value=[self.pull(one) for one in self.pulls_at(found[1])], paged="link"
            ),
            rf"GET {repo}/commits/([0-9a-f]+)/check-runs": self.check_runs,
            rf"GET {repo}/check-runs/(\d+)/annotations": self.annotations,
            rf"GET {repo}/commits/([0-9a-f]+)/check-suites": self.check_suites,
            rf"GET {repo}/actions/runs": self.workflow_runs,
            rf"GET {repo}/rules/branches/(.+)": self.rules,
            rf"GET {repo}/rulesets/(\d+)": lambda _asked, _found: Answer(
                value={"id": 7, "current_user_can_bypass": self.world.bypass}
            ),
            rf"GET {repo}/compare/(.+)\.\.\.(.+)": self.compare,
            rf"GET {repo}/branches/(.+)": self.branch,
            f"GET {repo}/pulls": self.pulls,
            f"POST {repo}/pulls": self.open_pull,
            rf"GET {repo}/pulls/(\d+)": self.with_pull(
                lambda _asked, one: Answer(value=self.pull(one) | {"mergeable": one.mergeable})
            ),
            rf"PUT {repo}/pulls/(\d+)/merge": self.with_pull(self.merge),
            rf"PUT {repo}/pulls/(\d+)/update-branch": self.with_pull(self.update_branch),
            rf"GET {repo}/pulls/(\d+)/reviews": self.with_pull(
                lambda _asked, one: Answer(value=[_as_github_has(each) for each in one.reviews], paged="link")
            ),
            rf"GET {repo}/pulls/(\d+)/comments": self.with_pull(
                lambda _asked, one: Answer(value=[_as_commented(each) for each in one.remarks], paged="link")
            ),
            rf"POST {repo}/pulls/(\d+)/comments/(\d+)/replies": self.reply,
            rf"POST {repo}/pulls/(\d+)/requested_reviewers": self.with_pull(self.ask_reviewers),
            r"GET /orgs/([^/]+)/repos": self.repositories,
            "GET /user/repos": self.given_repositories,
            r"GET /users/([^/]+)/repos": self.repositories,
            f"GET {repo}/commits": self.commits,
            rf"GET {repo}/git/commits/([0-9a-f]+)": self.git_commit,
        }

    def with_issue(self, step: Callable[[AskedRequest, WorldIssue], Answer]) -> Route:
        """A route of one issue, which may not be there."""

        def route(asked: AskedRequest, found: Found) -> Answer:
            issue = self.world.issues.get(int(found[1]))
            return GONE if issue is None else step(asked, issue)

        return route

    def with_pull(self, step: Callable[[AskedRequest, WorldPull], Answer]) -> Route:
        """A route of one pull request, which may not be there."""

        def route(asked: AskedRequest, found: Found) -> Answer:
            pull = self.world.pulls.get(int(found[1]))
            return GONE if pull is None else step(asked, pull)

        return route

    def reply(self, asked: AskedRequest, found: Found) -> Answer:
        """The token's user answers the first remark of a thread; others cannot be answered."""
        pull = self.world.pulls.get(int(found[1]))
        first = [one["id"] for one in pull.remarks if "in_reply_to_id" not in one] if pull else []
        if pull is None or int(found[2]) not in first:
            return GONE
        made = self.world.reply(pull, int(found[2]), OWN_LOGIN, asked.body["body"])
        return Answer(status=201, value=_as_commented(made))

    def ask_reviewers(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """Only collaborators can be asked."""
        if any(self.world.users.get(name, "none") == "none" for name in asked.body["reviewers"]):
            return Answer(status=422, value={"message": "Reviews may only be requested from collaborators."})
        pull.asked += asked.body["reviewers"]
        return Answer(status=201, value={})

    def repositories(self, asked: AskedRequest, found: Found) -> Answer:
        """Those of `acme`, an organisation, and of the user `ann`; one more of each is archived."""
        kind, owner = asked.path.split("/")[-3], found[1]
        if (kind, owner) not in {("orgs", "acme"), ("users", "ann")}:
            return GONE
        names = [self.world.repo, "acme/till"] if owner == "acme" else ["ann/dots"]
        shown = [{"full_name": name, "archived": False} for name in names]
        return Answer(value=[*shown, {"full_name": f"{owner}/old", "archived": True}], paged="link")

    def given_repositories(self, _asked: AskedRequest, _found: Found) -> Answer:
        """Those that the token was given, private ones too."""
        names = [self.world.repo, "ann/dots", "ann/diary", "bob/notes"]
        return Answer(value=[{"full_name": name, "archived": False} for name in names], paged="link")

    def repository(self, _asked: AskedRequest, _found: Found) -> Answer:
        """The repository itself, with what the token's user may do."""
        may = self.world.users[OWN_LOGIN]
        rights = {"admin": may == "admin", "push": may in {"admin", "write"}, "pull": may != "none"}
        shown = {"id": self.world.id, "full_name": self.world.repo, "default_branch": "main"}
        shown |= {"permissions": rights}
        return Answer(value={**shown, "archived": self.world.archived, "has_issues": self.world.has_issues})

    def repository_by_id(self, asked: AskedRequest, found: Found) -> Answer:
        """It, by the id that it keeps."""
        is_here = int(found[1]) == self.world.id and not self.world.deleted
        return self.repository(asked, found) if is_here else GONE

    def issue(self, issue: WorldIssue) -> dict[str, Any]:
        """An issue in GitHub's words."""
        is_pull = issue.number in self.world.pulls
        return {
            "id": issue.id,
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "labels": [{"id": self.world.label_id(name), "name": name} for name in issue.labels],
            "state": issue.state,
            "user": {"login": issue.author} if issue.author else None,
            "assignees": [{"login": login} for login in issue.assignees],
            "updated_at": issue.updated_at,
            "html_url": f"https://forge.test/{self.world.repo}/issues/{issue.number}",
            "repository_url": f"https://api.forge.test/repos/{self.world.repo}",
            **({"pull_request": {"url": "…"}} if is_pull else {}),
        }

    def issues(self, asked: AskedRequest, _found: Found) -> Answer:
        """Issues and pull requests, oldest first as our client asks."""
        label = asked.query.get("labels", "").lower()
        shown = [
            self.issue(one)
            for one in self.world.issues.values()
            if one.state == asked.query.get("state", "open")
            and (not label or label in [name.lower() for name in one.labels])
        ]
        return Answer(value=shown, paged="link")

    def edit_issue(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Close it, for instance."""
        if asked.body.get("state") == "closed":
            self.world.close(issue, OWN_LOGIN)
        return Answer(value=self.issue(issue))

    def shown_comment(self, comment: WorldComment) -> dict[str, Any]:
        """A comment in GitHub's words."""
        return {
            "id": comment.id,
            "user": {"login": comment.author},
            "body": comment.body,
            "created_at": comment.created_at,
            "issue_url": f"https://api.forge.test/repos/{self.world.repo}/issues/{comment.issue}",
        }

    def comments(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """The comments of an issue."""
        said = [self.shown_comment(one) for one in self.world.comments.values() if one.issue == issue.number]
        return Answer(value=said, paged="link")

    def write_comment(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """The token's user comments."""
        comment = self.world.comment(issue.number, OWN_LOGIN, asked.body["body"])
        return Answer(status=201, value=self.shown_comment(comment))

    def comment(self, _asked: AskedRequest, found: Found) -> Answer:
        """One comment."""
        comment = self.world.comments.get(int(found[1]))
        return GONE if comment is None else Answer(value=self.shown_comment(comment))

    def edit_comment(self, asked: AskedRequest, found: Found) -> Answer:
        """A token that may write may edit everybody's comments: the forge does not protect them."""
        comment = self.world.comments[int(found[1])]
        comment.body = asked.body["body"]
        return Answer(value=self.shown_comment(comment))

    def add_labels(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Labels by name; unknown ones come into being."""
        for name in asked.body["labels"]:
            self.world.label(issue, name, OWN_LOGIN)
        return Answer(value=self.issue(issue)["labels"])

    def remove_label(self, _asked: AskedRequest, found: Found) -> Answer:
        """One label by name."""
        issue = self.world.issues.get(int(found[1]))
        if issue is None or found[2] not in issue.labels:
            return Answer(status=404, value={"message": "Label does not exist"})
        self.world.unlabel(issue, found[2], OWN_LOGIN)
        return Answer(value=self.issue(issue)["labels"])

    def assign(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Those who have no access are ignored without a word."""
        for login in asked.body["assignees"]:
            if self.world.users.get(login) in {"write", "admin"}:
                self.world.assign(issue, login, OWN_LOGIN)
        return Answer(status=201, value=self.issue(issue))

    def blockers(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """The issues that block one, closed ones too."""
        blockers = [self.issue(self.world.issues[number]) for number in issue.blocked_by]
        return Answer(value=blockers, paged="link")

    def permission(self, _asked: AskedRequest, found: Found) -> Answer:
        """What a user may do."""
        known = self.world.users.get(found[1])
        return Answer(value={"permission": known, "role_name": known}) if known else GONE

    def status(self, _asked: AskedRequest, found: Found) -> Answer:
        """The combined status: the newest of each context."""
        if not self.world.has_commit(found[1]):
            return Answer(status=422, value={"message": f"No commit found for SHA: {found[1]}"})
        newest = {one["context"]: self.shown_status(one) for one in self._said(found[1])}
        return Answer(
            value={"state": "pending", "statuses": list(newest.values()), "total_count": len(newest)},
            under="statuses",
            paged="link",
        )

    def _said(self, commit: str) -> list[dict[str, object]]:
        return [one for one in self.world.statuses if one["commit"] == commit]

    def shown_status(self, one: dict[str, object]) -> dict[str, object]:
        """A status in the forge's words."""
        return {
            "id": one["id"],
            "context": one["context"],
            self.state_word: one["word"],
            "description": one["description"],
            "target_url": one["url"],
            "created_at": one["at"],
            "updated_at": one["at"],
        }

    def check_runs(self, _asked: AskedRequest, found: Found) -> Answer:
        """Check runs of a commit."""
        runs = [
            {
                "id": one["id"],
                "name": one["name"],
                "output": {
                    "title": None,
                    "summary": None,
                    "text": one["text"],
                    "annotations_count": len(self._notes(one)),
                    "annotations_url": "https://api.forge.test/notes",
                },
                "status": "completed" if one["conclusion"] else "in_progress",
                "conclusion": one["conclusion"],
                "started_at": "2026-01-01T10:00:00Z",
                "completed_at": "2026-01-01T10:01:00Z" if one["conclusion"] else None,
                "details_url": None,
                "app": {"slug": "github-actions"},
                "check_suite": {"id": one["suite"]},
            }
            for one in self.world.check_runs
            if one["commit"] == found[1]
        ]
        return Answer(value={"total_count": len(runs), "check_runs": runs}, under="check_runs", paged="link")

    def check_suites(self, _asked: AskedRequest, found: Found) -> Answer:
        """The suites of a commit: those of its check runs, and those that have none."""
        runs = [one for one in self.world.check_runs if one["commit"] == found[1]]
        shown: list[dict[str, Any]] = [
            {"id": number, "status": "completed", "conclusion": "success", "app": {"slug": "github-actions"},
             "latest_check_runs_count": sum(one["suite"] == number for one in runs)}
            for number in dict.fromkeys(one["suite"] for one in runs)
        ]  # fmt: skip
        shown += [
            {"id": one["id"], "status": one["status"], "conclusion": one["conclusion"],
             "app": {"slug": one["app"]}, "latest_check_runs_count": 0, "updated_at": "2026-01-01T10:00:00Z"}
            for one in self.world.suites
            if one["commit"] == found[1]
        ]  # fmt: skip
        return Answer(
            value={"total_count": len(shown), "check_suites": shown}, under="check_suites", paged="link"
        )

    def workflow_runs(self, asked: AskedRequest, _found: Found) -> Answer:
        """The workflows that Actions ran, or could not run, at a commit."""
        shown = [
            {"id": one["id"], "name": one["name"], "path": ".github/workflows/ci.yml",
             "html_url": "https://forge.test/run", "check_suite_id": one["id"]}
            for one in self.world.suites
            if one["name"] and one["commit"] == asked.query.get("head_sha")
        ]  # fmt: skip
        return Answer(
            value={"total_count": len(shown), "workflow_runs": shown}, under="workflow_runs", paged="link"
        )

    def branch(self, _asked: AskedRequest, found: Found) -> Answer:
        """A branch by its name of today, with what protects it, as everybody may see it."""
        if not self.world.has_branch(found[1]):
            return GONE
        names = self.world.must_pass(found[1])
        checks = [{"context": name, "app_id": None} for name in names]
        level = "non_admins" if names else "off"
        required = {"enforcement_level": level, "contexts": names, "checks": checks}
        return Answer(
            value={
                "name": found[1],
                "commit": {"sha": self.world.repository.tip(found[1])},
                "protected": bool(names),
                "protection": {"enabled": bool(names), "required_status_checks": required},
            }
        )

    def rules(self, _asked: AskedRequest, found: Found) -> Answer:
        """The rules that rulesets lay down for a branch."""
        checks = [{"context": name} for name in self.world.ruled_on(found[1])]
        ruled = {"type": "required_status_checks", "parameters": {"required_status_checks": checks}}
        others = {"type": "non_fast_forward"}
        queue = [{"type": "merge_queue", "parameters": {}}] if self.world.merge_queue else []
        shut = self.world.shut if found[1].startswith("coalmine/") else []
        ours = [{"type": kind, "ruleset_id": 7} for kind in shut]
        return Answer(value=[others, *([ruled] if checks else []), *queue, *ours], paged="link")

    def graphql(self, asked: AskedRequest, _found: Found) -> Answer:
        """One query of each kind."""
        wanted, query = asked.body["variables"], asked.body["query"]
        if "branchProtectionRules" in query:
            return self.classic(wanted)
        if "reviewThreads" in query or "resolveReviewThread" in query:
            return self.threads(wanted)
        return self.queue(wanted, query)

    def queue(self, wanted: dict[str, Any], query: str) -> Answer:
        """A pull request is put into the merge queue; what is refused comes with status 200, too."""
        pull = self.world.pulls[int(wanted["pull"].removeprefix("PR_"))]
        number = pull.issue.number
        queued = self.world.queued
        if "dequeuePullRequest" in query:
            if number not in queued:
                return Answer(value={"data": None, "errors": [{"message": "Pull request is not queued"}]})
            queued.remove(number)
            self.world.history.add(number, "removed_from_merge_queue", OWN_LOGIN)
            return Answer(value={"data": {"dequeuePullRequest": {"mergeQueueEntry": {"position": 1}}}})
        if "enqueuePullRequest" not in query:
            entry = {"position": queued.index(number) + 1, "state": "QUEUED"} if number in queued else None
            return Answer(value={"data": {"node": {"mergeQueueEntry": entry}}})
        if wanted["head"] != self.world.head(pull):
            return Answer(value={"data": None, "errors": [{"message": "Head oid is not up to date"}]})
        self.world.queued.append(pull.issue.number)
        self.world.history.add(pull.issue.number, "added_to_merge_queue", OWN_LOGIN)
        return Answer(value={"data": {"enqueuePullRequest": {"mergeQueueEntry": {"position": 1}}}})

    def threads(self, wanted: dict[str, Any]) -> Answer:
        """The threads of a pull request, or one of them marked as resolved."""
        if "thread" in wanted:
            self.world.resolved.append(int(wanted["thread"].removeprefix("PRRT_")))
            return Answer(value={"data": {"resolveReviewThread": {"thread": {"isResolved": True}}}})
        remarks = self.world.pulls[wanted["number"]].remarks
        nodes = [
            {"id": f"PRRT_{one['id']}", "isResolved": one["id"] in self.world.resolved,
             "comments": {"nodes": [{"databaseId": one["id"]}]}}
            for one in remarks if "in_reply_to_id" not in one
        ]  # fmt: skip
        return Answer(value={"data": {"repository": {"pullRequest": {"reviewThreads": {"nodes": nodes}}}}})

    def classic(self, wanted: dict[str, str]) -> Answer:
        """The classic protections of branches, to whom may see them."""
        if f"{wanted['owner']}/{wanted['name']}" != self.world.repo:
            refusal = {"type": "NOT_FOUND", "message": "Could not resolve to a Repository"}
            return Answer(value={"data": {"viewer": None, "repository": None}, "errors": [refusal]})
        defaults = {"isAdminEnforced": False, "lockBranch": False, "restrictsPushes": False}
        nobody = {"pushAllowances": {"totalCount": 0, "nodes": []}}
        shown = {
            "viewerCanAdminister": self.world.users.get(OWN_LOGIN) == "admin",
            "branchProtectionRules": {"nodes": [defaults | nobody | rule for rule in self.world.classic]},
        }
        return Answer(value={"data": {"viewer": {"login": OWN_LOGIN}, "repository": shown}})

    @staticmethod
    def _notes(run: dict[str, object]) -> list[dict[str, object]]:
        notes = run["notes"]
        return notes if isinstance(notes, list) else []

    def annotations(self, _asked: AskedRequest, found: Found) -> Answer:
        """What a check run noted at lines of files."""
        runs = [one for one in self.world.check_runs if str(one["id"]) == found[1]]
        return Answer(value=self._notes(runs[0]), paged="link") if runs else GONE

    def activity(self, asked: AskedRequest, _found: Found) -> Answer:
        """When a branch came to its commits, the newest first; of what no test says, long ago."""
        branch = asked.query["ref"]
        tip = self.world.repository.tip(branch)
        times = {tip: "2020-01-01T00:00:00Z"} | self.world.pushed_at
        known = [one["sha"] for one in self.world.log(branch) if one["sha"] in times]
        shown = [
            {"id": 1, "ref": f"refs/heads/{branch}", "activity_type": "push", "before": "0" * 40,
             "after": commit, "timestamp": times[commit], "actor": None}
            for commit in known
        ]  # fmt: skip
        return Answer(value=sorted(shown, key=lambda one: str(one["timestamp"]))[::-1], paged="link")

    def events(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """What happened, oldest first. Who assigned is the assigner; the actor is whom it was assigned to."""
        shown: list[dict[str, Any]] = []
        for one in self.world.history.of(issue.number):
            actor = {"login": one.actor} if one.actor else None
            event = {"id": one.id, "event": one.kind, "created_at": one.at, "actor": actor}
            if one.kind in {"labeled", "unlabeled"}:
                shown.append({**event, "label": {"name": one.subject, "color": "ededed"}})
            elif one.kind in {"assigned", "unassigned"}:
                done_to = {"login": one.subject}
                shown.append({**event, "actor": done_to, "assignee": done_to, "assigner": actor})
            elif one.kind in {"closed", "reopened", "added_to_merge_queue", "removed_from_merge_queue"}:
                shown.append(event)
        return Answer(value=shown, paged="link")

    def compare(self, _asked: AskedRequest, found: Found) -> Answer:
        """Where a commit is, seen from a branch; histories that share nothing are as good as not there."""
        counts = self.world.compare(found[1], found[2]) if self.world.has_commit(found[2]) else None
        if counts is None:
            return GONE
        ahead, behind = counts
        status = ("diverged" if behind else "ahead") if ahead else ("behind" if behind else "identical")
        return Answer(
            value={
                "status": status,
                "ahead_by": ahead,
                "behind_by": behind,
                "total_commits": ahead,
                "commits": [],
            }
        )

    def pull(self, pull: WorldPull) -> dict[str, Any]:
        """A pull request in GitHub's words."""
        owner = self.world.repo.partition("/")[0]
        repo = {"full_name": self.world.repo, "default_branch": "main"}
        return {
            "number": pull.issue.number,
            "node_id": f"PR_{pull.issue.number}",
            "title": pull.issue.title,
            "body": pull.issue.body,
            "state": pull.issue.state,
            "head": {
                "ref": pull.branch, "label": f"{owner}:{pull.branch}", "sha": self.world.head(pull),
                "repo": repo,
            },
            "base": {"ref": pull.base, "label": f"{owner}:{pull.base}", "sha": "0" * 40, "repo": repo},
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.merge_commit or "1" * 40,  # of a trial merge, while it is open
            "html_url": f"https://forge.test/{self.world.repo}/pull/{pull.issue.number}",
        }  # fmt: skip

    def pulls_at(self, commit: str) -> list[WorldPull]:
        """Pull requests that were merged as a commit, or whose head it is."""
        pulls = self.world.pulls.values()
        return [one for one in pulls if commit in {one.merge_commit, self.world.head(one)}]

    def pulls(self, asked: AskedRequest, _found: Found) -> Answer:
        """Pull requests by head; a head without its owner is ignored, as GitHub does."""
        head = asked.query.get("head", "")
        branch = head.partition(":")[2]
        shown = [self.pull(one) for one in self.world.pulls.values() if branch in {"", one.branch}]
        return Answer(value=shown[::-1], paged="link")

    def open_pull(self, asked: AskedRequest, _found: Found) -> Answer:
        """A new pull request, of which there may be one a branch."""
        branch = asked.body["head"]
        if any(one.branch == branch and one.issue.state == "open" for one in self.world.pulls.values()):
            detail = {"message": f"A pull request already exists for {branch}."}
            return Answer(status=422, value={"message": "Validation Failed", "errors": [detail]})
        pull = self.world.open_pull(branch, asked.body["title"], base=asked.body["base"])
        return Answer(status=201, value=self.pull(pull))

    def merge(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """Merge at the head that is named."""
        if self.world.merge_queue:
            said = "Repository rule violations found\n\nChanges must be made through the merge queue"
            return Answer(status=405, value={"message": said})
        message = f"{asked.body['commit_title']}\n\n{asked.body['commit_message']}"
        try:
            commit = self.world.merge(pull, message, asked.body["sha"])
        except RefusedMergeError as error:
            return Answer(status=error.status, value={"message": str(error)})
        return Answer(value={"merged": True, "sha": commit, "message": "Pull Request successfully merged"})

    def update_branch(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """The main branch is merged into the request's, some time after the answer."""
        if asked.body["expected_head_sha"] != self.world.head(pull):
            return Answer(status=422, value={"message": "expected head sha didn't match current head ref."})
        try:
            self.world.update(pull)
        except RefusedMergeError as error:
            return Answer(status=error.status, value={"message": str(error)})
        return Answer(status=202, value={"message": "Updating pull request branch."})

    def commits(self, asked: AskedRequest, _found: Found) -> Answer:
        """The log of a branch."""
        since = [f"--since={asked.query['since']}"] if "since" in asked.query else []
        shown = [
            {"sha": one["sha"], "commit": {"message": one["message"], "committer": {"date": one["at"]}}}
            for one in self.world.log(asked.query.get("sha", "main"), *since)
        ]
        return Answer(value=shown, paged="link")

    def git_commit(self, _asked: AskedRequest, found: Found) -> Answer:
        """A commit as git has it."""
        if not self.world.has_commit(found[1]):
            return GONE
        one = self.world.log(found[1], "-1")[0]
        return Answer(value={"sha": one["sha"], "message": one["message"], "committer": {"date": one["at"]}})


def _as_commented(remark: Mapping[str, Any]) -> dict[str, Any]:
    """A comment on a change, without what the world notes of it for other forges."""
    shown = {name: value for name, value in remark.items() if name not in {"at", "old_line"}}
    side = "LEFT" if remark["old_line"] else "RIGHT"
    return shown | {"line": remark["line"] or remark["old_line"], "side": side}


def _as_github_has(review: dict[str, object]) -> dict[str, object]:
    """A review without what Gitea alone says of it."""
    return {name: value for name, value in review.items() if name != "comments_count"}
