"""The suite's Gitea: where its API differs from GitHub's, it differs here."""

import re
from typing import Any

from tests.fakes.forge_history import Happening
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
from tests.servers.github_server import Found, GitHubRoutes


def gitea_server(world: ForgeWorld) -> ForgeServer:
    """Start it over a world."""
    routes = GiteaRoutes(world)
    return ForgeServer(
        routes.routes(), scheme="token", root="/api/v1", size_parameter="limit", largest_page=50,
        git=GitDoor(world, user=OWN_LOGIN, any_user=True), leads=routes.leads,
    )  # fmt: skip


class GiteaRoutes(GitHubRoutes):
    """One method a route."""

    state_word = "status"

    def routes(self) -> dict[str, Route]:
        """Methods and paths; those that Gitea has not are taken away."""
        repo = rf"/repos/{re.escape(self.world.repo)}"
        issue = rf"{repo}/issues/(\d+)"
        known = super().routes()
        for path in (
            "GET /versions",
            f"GET {issue}/events",
            f"GET {repo}/activity",
            f"POST {issue}/assignees",
            f"GET {issue}/dependencies/blocked_by",
            rf"GET {repo}/commits/([0-9a-f]+)/status",
            rf"GET {repo}/commits/([0-9a-f]+)/pulls",
            rf"GET {repo}/commits/([0-9a-f]+)/check-runs",
            rf"GET {repo}/check-runs/(\d+)/annotations",
            rf"GET {repo}/commits/([0-9a-f]+)/check-suites",
            rf"GET {repo}/actions/runs",
            rf"GET {repo}/rules/branches/(.+)",
            rf"PUT {repo}/pulls/(\d+)/merge",
            rf"PUT {repo}/pulls/(\d+)/update-branch",
            rf"GET {repo}/pulls/(\d+)/comments",
            rf"POST {repo}/pulls/(\d+)/comments/(\d+)/replies",
        ):
            del known[path]
        known[rf"GET {repo}/pulls/(\d+)/reviews"] = self.with_pull(
            lambda _asked, one: Answer(value=one.reviews, paged="total")
        )
        known[rf"GET {repo}/pulls/(\d+)/reviews/(\d+)/comments"] = self.remarks
        return known | {
            "GET /version": lambda _asked, _found: Answer(value={"version": self.world.version}),
            f"GET {issue}/timeline": self.with_issue(self.timeline),
            f"GET {repo}/labels": self.labels,
            f"POST {repo}/labels": self.create_label,
            f"GET {issue}/dependencies": self.with_issue(self.blockers),
            rf"GET {repo}/commits/([0-9a-f]+)/statuses": self.status,
            rf"GET {repo}/commits/([0-9a-f]+)/pull": self.merged_as,
            rf"POST {repo}/pulls/(\d+)/merge": self.with_pull(self.merge),
            rf"POST {repo}/pulls/(\d+)/update": self.with_pull(self.update_pull),
            f"GET {repo}/branch_protections": lambda _asked, _found: Answer(
                value=self.world.protections, paged="total"
            ),
        }

    def merged_as(self, _asked: AskedRequest, found: Found) -> Answer:
        """The one pull request that was merged as a commit."""
        shown = [self.pull(one) for one in self.pulls_at(found[1]) if one.merge_commit == found[1]]
        return Answer(value=shown[0]) if shown else GONE

    def remarks(self, _asked: AskedRequest, found: Found) -> Answer:
        """Those of one review, with Gitea's word for their line."""
        pull = self.world.pulls.get(int(found[1]))
        if pull is None or int(found[2]) not in {one["id"] for one in pull.reviews}:
            return GONE
        of = [one for one in pull.remarks if one["pull_request_review_id"] == int(found[2])]
        words = ("id", "user", "body", "path", "diff_hunk", "pull_request_review_id")
        lines = {"position": "line", "original_position": "old_line"}
        shown = [
            {word: one[word] for word in words} | {name: one[word] or 0 for name, word in lines.items()}
            for one in of
        ]
        return Answer(value=shown, paged="total")

    def issue(self, issue: WorldIssue) -> dict[str, Any]:
        """An issue as the recordings of a real server have it: nothing is null."""
        shown = super().issue(issue)
        del shown["repository_url"]
        is_pull = issue.number in self.world.pulls
        owner, _, name = self.world.repo.partition("/")
        return shown | {
            "body": issue.body or "",
            "assignees": shown["assignees"] or None,
            "pull_request": {"merged": False} if is_pull else None,
            "repository": {"id": 1, "name": name, "owner": owner, "full_name": self.world.repo},
        }

    def issues(self, asked: AskedRequest, found: Found) -> Answer:
        """The newest first; a label that the repository does not know is as good as none."""
        query = dict(asked.query)
        if query.get("labels") not in self.world.labels:
            query.pop("labels", None)
        same = AskedRequest(method="GET", path=asked.path, query=query, headers={}, body=None)
        answer = super().issues(same, found)
        return Answer(value=answer.value[::-1], paged="link")

    def edit_issue(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Assignees are replaced; an issue with open blockers is not closed."""
        assignees = asked.body.get("assignees", issue.assignees)
        if any(self.world.users.get(login) not in {"write", "admin"} for login in assignees):
            return Answer(status=422, value={"message": "Assignee does not exist"})
        open_blockers = [one for one in issue.blocked_by if self.world.issues[one].state == "open"]
        if asked.body.get("state") == "closed" and open_blockers:
            return Answer(
                status=412,
                value={"message": "cannot close this issue because it still has open dependencies"},
            )
        for login in [one for one in issue.assignees if one not in assignees]:
            self.world.unassign(issue, login, OWN_LOGIN)
        for login in assignees:
            self.world.assign(issue, login, OWN_LOGIN)
        super().edit_issue(asked, issue)
        return Answer(status=201, value=self.issue(issue))

    def shown_comment(self, comment: WorldComment) -> dict[str, Any]:
        """A comment, whose issue goes by the address that people use."""
        page = f"https://forge.test/{self.world.repo}/issues/{comment.issue}"
        return super().shown_comment(comment) | {"issue_url": page, "pull_request_url": ""}

    def comments(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """All comments at once, whichever page is asked for."""
        return Answer(value=super().comments(asked, issue).value)

    def labels(self, _asked: AskedRequest, _found: Found) -> Answer:
        """The repository's labels."""
        shown = [{"id": number, "name": name} for name, number in self.world.labels.items()]
        return Answer(value=shown, paged="total")

    def create_label(self, asked: AskedRequest, _found: Found) -> Answer:
        """A new label, which needs a colour."""
        if not re.fullmatch("#[0-9a-f]{6}", asked.body["color"]):
            return Answer(status=422, value={"message": "bad color"})
        name = asked.body["name"]
        return Answer(status=201, value={"id": self.world.label_id(name), "name": name})

    def add_labels(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Labels by id."""
        names = {number: name for name, number in self.world.labels.items()}
        for number in asked.body["labels"]:
            if number not in names:
                return GONE
            self.world.label(issue, names[number], OWN_LOGIN)
        return Answer(value=self.issue(issue)["labels"])

    def remove_label(self, _asked: AskedRequest, found: Found) -> Answer:
        """One label by id."""
        issue = self.world.issues.get(int(found[1]))
        names = {str(number): name for name, number in self.world.labels.items()}
        if issue is None:
            return GONE
        if names.get(found[2]) not in issue.labels:
            return Answer(status=422, value={"message": "label does not exist"})
        self.world.unlabel(issue, names[found[2]], OWN_LOGIN)
        return Answer(status=204)

    def timeline(self, _asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Comments and happenings together; the total that is sent along is the page's own."""
        said = [
            {"id": one.id, "type": "comment", "user": {"login": one.author}, "body": one.body,
             "created_at": one.created_at, "label": None, "assignee": None, "removed_assignee": False}
            for one in self.world.comments.values()
            if one.issue == issue.number
        ]  # fmt: skip
        return Answer(
            value=[*said, *filter(None, map(self._entry, self.world.history.of(issue.number)))], paged="page"
        )

    def _entry(self, one: Happening) -> dict[str, Any] | None:
        """A happening in Gitea's words: what came and what went differ in other members."""
        types = {"closed": "close", "reopened": "reopen"}
        types |= dict.fromkeys(("labeled", "unlabeled"), "label")
        types |= dict.fromkeys(("assigned", "unassigned"), "assignees")
        if one.kind not in types:
            return None
        label = {"id": self.world.label_id(one.subject), "name": one.subject}
        return {
            "id": one.id,
            "type": types[one.kind],
            "user": {"login": one.actor or "Ghost"},
            "body": "1" if one.kind == "labeled" else "",
            "created_at": one.at,
            "label": label if types[one.kind] == "label" else None,
            "assignee": {"login": one.subject} if types[one.kind] == "assignees" else None,
            "removed_assignee": one.kind == "unassigned",
        }

    def compare(self, asked: AskedRequest, found: Found) -> Answer:
        """How many commits a branch lacks: none, too, when the two share no history."""
        if not self.world.has_commit(found[2]):
            return GONE
        known = super().compare(asked, found)
        lacking = known.value["total_commits"] if known.status == 200 else 0
        return Answer(value={"total_commits": lacking, "commits": []})

    def blockers(self, asked: AskedRequest, issue: WorldIssue) -> Answer:
        """Pages without a word on how many there are."""
        return Answer(value=super().blockers(asked, issue).value, paged="nothing")

    def status(self, _asked: AskedRequest, found: Found) -> Answer:
        """Every status that there was, the newest first; for a commit that is not there, none."""
        return Answer(value=[self.shown_status(one) for one in self._said(found[1])][::-1], paged="total")

    def branch(self, _asked: AskedRequest, found: Found) -> Answer:
        """A branch with the rule that holds for it."""
        if not self.world.has_branch(found[1]):
            return GONE
        names = self.world.must_pass(found[1])
        return Answer(
            value={
                "name": found[1],
                "commit": {"id": self.world.repository.tip(found[1])},
                "protected": bool(names),
                "enable_status_check": bool(names),
                "status_check_contexts": names or None,
                "effective_branch_protection_name": found[1] if names else "",
            }
        )

    def pull(self, pull: WorldPull) -> dict[str, Any]:
        """A pull request, whose head keeps the branch's name as its label only once the branch is gone."""
        shown = super().pull(pull)
        is_there = self.world.has_branch(pull.branch)
        ref = pull.branch if is_there else f"refs/pull/{pull.issue.number}/head"
        shown["head"] |= {"label": pull.branch, "ref": ref}
        return shown | {"merge_commit_sha": pull.merge_commit, "merged": pull.merged_at is not None}

    def pulls(self, _asked: AskedRequest, _found: Found) -> Answer:
        """All pull requests: there is no way to ask for one branch's."""
        return Answer(value=[self.pull(one) for one in self.world.pulls.values()][::-1], paged="link")

    def open_pull(self, asked: AskedRequest, found: Found) -> Answer:
        """A second one for a branch is a conflict."""
        answer = super().open_pull(asked, found)
        return (
            Answer(status=409, value={"message": "pull request already exists"})
            if answer.status == 422
            else answer
        )

    def merge(self, asked: AskedRequest, pull: WorldPull) -> Answer:
        """Merge at the head that is named; nothing is said on success."""
        message = f"{asked.body['MergeTitleField']}\n\n{asked.body['MergeMessageField']}"
        try:
            self.world.merge(pull, message, asked.body["head_commit_id"])
        except RefusedMergeError as error:
            return Answer(status=error.status, value={"message": str(error)})
        return Answer()

    def update_pull(self, _asked: AskedRequest, pull: WorldPull) -> Answer:
        """The main branch is merged into the request's at once."""
        try:
            self.world.update(pull)
        except RefusedMergeError:
            return Answer(status=409, value={"message": "merge failed because of conflict"})
        return Answer()

    def git_commit(self, asked: AskedRequest, found: Found) -> Answer:
        """A commit with its facts one floor down."""
        answer = super().git_commit(asked, found)
        if answer.status != 200:
            return answer
        return Answer(value={"sha": answer.value["sha"], "commit": answer.value})
