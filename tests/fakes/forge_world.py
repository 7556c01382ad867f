"""One repository on a forge, in memory: what people and CI do there, over a real git repository."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from routing.git.git import Git, GitError
from tests.fakes.forge_history import ForgeHistory, now
from tests.repositories import TemporaryRepository

#: Whose token the tests use.
OWN_LOGIN = "coalmine-bot"

TOKEN = "tok-3n-v3ry-s3cr3t"  # noqa: S105 - opens nothing but this suite's own server

#: Who does what people do, unless a test names somebody else.
PERSON = "ann"


@dataclass(kw_only=True, slots=True)
class WorldIssue:
    """An issue or, with a head branch, a pull request: they share their numbers."""

    number: int
    title: str
    body: str | None
    labels: list[str]
    blocked_by: list[int] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    state: str = "open"
    author: str = PERSON
    updated_at: str = field(default_factory=now)

    @property
    def id(self) -> int:
        """The database's number, which is never the one that people write."""
        return 70_000 + self.number


@dataclass(kw_only=True, slots=True)
class WorldPull:
    """What a pull request has beside its issue."""

    issue: WorldIssue
    branch: str
    base: str = "main"
    head: str  # when it was closed or merged; the branch's tip while it is open
    merged_at: str | None = None
    merge_commit: str | None = None
    mergeable: bool | None = True  # None while the forge looks for conflicts
    reviews: list[dict[str, object]] = field(default_factory=list)
    remarks: list[dict[str, object]] = field(default_factory=list)  # of reviews, as GitHub has them
    asked: list[str] = field(default_factory=list)  # reviewers who were asked to look again
    resolved: list[str] = field(default_factory=list)  # threads
    is_squashed: bool = False  # it was merged as one commit
    merge_error: str = ""  # of a rebase, on GitLab


@dataclass(kw_only=True, slots=True)
class WorldComment:
    """A comment."""

    id: int
    issue: int
    author: str
    body: str
    created_at: str = field(default_factory=now)


class RefusedMergeError(Exception):
    """A merge that the forge does not make; `status` is what it answers."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ForgeWorld:
    """The truth that both servers show, each in its own words."""

    def __init__(self, repository: TemporaryRepository, repo: str = "acme/shop") -> None:
        self.repository = repository
        self.repo = repo
        self.issues: dict[int, WorldIssue] = {}
        self.pulls: dict[int, WorldPull] = {}
        self.comments: dict[int, WorldComment] = {}
        self.labels: dict[str, int] = {}  # of the repository, with their ids
        self.label_changes: dict[str, str] = {}  # when labels were changed after they were made, on GitLab
        self.statuses: list[dict[str, object]] = []  # newest last; `word` is the state
        self.check_runs: list[dict[str, object]] = []
        self.suites: list[dict[str, object]] = []  # on GitHub, beside those of check runs
        self.judges_updates = True  # whether CI says the same of a branch that was brought up to date
        self.required: list[str] = []  # names of checks that the main branch requires
        self.required_once_seen: list[str] = []  # the same, from when on CI has reported one
        self.fast_forward = False  # whether changes come to their branch by fast-forward alone, on GitLab
        self.merge_queue = False  # whether the main branch is merged into by a queue, on GitHub
        self.resolved: list[int] = []  # the first remarks of threads that were marked as dealt with
        self.pushed_at: dict[str, str] = {}  # when branches came to commits, where a test says so
        self.queued: list[int] = []  # the pull requests that are, or were, in it
        self.ruled: list[str] = []  # names that a ruleset requires, on GitHub
        self.elsewhere: dict[str, tuple[list[str], list[str]]] = {}  # the same two of other branches
        self.history = ForgeHistory()
        self.api_versions = ["2022-11-28"]  # that the suite's GitHub speaks
        self.version = "1.22.3"  # of the suite's Gitea, or GitLab
        self.archived = False
        self.shut: list[str] = []  # types of rules that hold for branches of ours, on GitHub
        self.bypass = "never"  # whether our user may bypass those
        self.protections: list[dict[str, object]] = []  # of branches, on Gitea and GitLab
        self.id = 17  # of the repository, which it keeps under all names
        self.former_names: list[str] = []  # which lead to it
        self.others: dict[str, int] = {}  # names and ids of other repositories, with nothing in them
        self.deleted = False
        self.classic: list[dict[str, object]] = []  # the classic protections of branches, on GitHub
        self.has_issues = True
        self.users = {
            OWN_LOGIN: "write",
            "coalmine": "write",
            "ann": "admin",
            "reader": "read",
            "out": "none",
        }
        self._held: set[str] = set()  # commits that were looked for and found
        self._numbers = itertools.count(1)
        self._ids = itertools.count(500)

    def open_issue(
        self, title: str, body: str | None, *, labels: Sequence[str] = (), blocked_by: Sequence[int] = (),
        author: str = PERSON,
    ) -> WorldIssue:  # fmt: skip
        """A person opens an issue; its labels come into being."""
        issue = WorldIssue(
            number=next(self._numbers),
            title=title,
            body=body,
            labels=[],
            blocked_by=list(blocked_by),
            author=author,
        )
        self.issues[issue.number] = issue
        self.history.add(issue.number, "opened", author)
        for label in labels:
            self.label(issue, label, author)
        return issue

    def label(self, issue: WorldIssue, name: str, actor: str = PERSON) -> None:
        """Someone puts a label on; nothing happens when it is on."""
        self.label_id(name)
        if name not in issue.labels:
            issue.labels.append(name)
            self._note(issue, "labeled", actor, name)

    def unlabel(self, issue: WorldIssue, name: str, actor: str = PERSON) -> None:
        """Someone takes a label off that is on."""
        issue.labels.remove(name)
        self._note(issue, "unlabeled", actor, name)

    def assign(self, issue: WorldIssue, login: str, actor: str = PERSON) -> None:
        """Someone assigns the issue to a user, beside others; nothing happens when it is."""
        if login not in issue.assignees:
            issue.assignees.append(login)
            self._note(issue, "assigned", actor, login)

    def unassign(self, issue: WorldIssue, login: str, actor: str = PERSON) -> None:
        """Someone takes an assignee off."""
        issue.assignees.remove(login)
        self._note(issue, "unassigned", actor, login)

    def close(self, issue: WorldIssue, actor: str = PERSON) -> None:
        """Someone closes it; nothing happens when it is closed."""
        if issue.state == "open":
            issue.state = "closed"
            self._note(issue, "closed", actor)

    def reopen(self, issue: WorldIssue, actor: str = PERSON) -> None:
        """Someone opens it again."""
        if issue.state == "closed":
            issue.state = "open"
            self._note(issue, "reopened", actor)

    def edit_body(self, issue: WorldIssue, body: str, actor: str = PERSON) -> None:
        """Someone writes another text."""
        issue.body = body
        self._note(issue, "edited", actor)

    def _note(self, issue: WorldIssue, kind: str, actor: str, subject: str = "") -> None:
        issue.updated_at = self.history.add(issue.number, kind, actor, subject).at

    def rename_label(self, old: str, new: str, at: str = "") -> None:
        """Someone renames a label, as GitLab has it: on all issues, and in all that it says of them."""
        self.labels[new] = self.labels.pop(old)
        self.label_changes[new] = at or now()
        self.history.rename(("labeled", "unlabeled"), old, new)
        for issue in self.issues.values():
            issue.labels = [new if name == old else name for name in issue.labels]

    def label_id(self, name: str) -> int:
        """The label's id; it is created when there is none."""
        return self.labels.setdefault(name, next(self._ids))

    def comment(self, issue: int, author: str, body: str) -> WorldComment:
        """Someone comments."""
        comment = WorldComment(id=next(self._ids), issue=issue, author=author, body=body)
        self.comments[comment.id] = comment
        self.history.add(issue, "commented", author)
        return comment

    def say(
        self, commit: str, context: str, word: str, *, description: str | None = None, url: str | None = None
    ) -> None:
        """CI says something of a commit."""
        self.say_at_once(commit, [(context, word)], description=description, url=url)

    def say_at_once(
        self, commit: str, said: Sequence[tuple[str, str]], *, description: str | None = None,
        url: str | None = None,
    ) -> None:  # fmt: skip
        """CI says something in several contexts; nobody sees some of it without the rest."""
        shared = {"commit": commit, "at": now(), "description": description, "url": url}
        self.statuses += [
            {"id": next(self._ids), "context": context, "word": word, **shared} for context, word in said
        ]

    def run_check(
        self, commit: str, name: str, conclusion: str | None, *, suite: int = 1, text: str | None = None,
        notes: Sequence[dict[str, object]] = (),
    ) -> None:  # fmt: skip
        """A check run is made; without a conclusion it has not ended. Its notes stand at lines of files."""
        run = {"commit": commit, "name": name, "conclusion": conclusion, "suite": suite}
        self.check_runs.append({"id": next(self._ids), "text": text, "notes": list(notes), **run})

    def add_suite(
        self, commit: str, conclusion: str | None, *, app: str = "github-actions", status: str = "queued",
        name: str = "",
    ) -> None:  # fmt: skip
        """A check suite without a check run; with a conclusion it is over. `name` is its workflow's."""
        suite = {"commit": commit, "conclusion": conclusion, "app": app, "name": name}
        self.suites.append({"id": next(self._ids), "status": "completed" if conclusion else status, **suite})

    def ruled_on(self, branch: str) -> list[str]:
        """The names of checks that a ruleset requires of a branch."""
        return self.ruled if branch == "main" else self.elsewhere.get(branch, ([], []))[1]

    def must_pass(self, branch: str) -> list[str]:
        """The names of checks that branch protection requires of a branch."""
        if branch != "main":
            return self.elsewhere.get(branch, ([], []))[0]
        seen = {one["context"] for one in self.statuses}
        return [*self.required, *(name for name in self.required_once_seen if name in seen)]

    def open_pull(self, branch: str, title: str, author: str = OWN_LOGIN, *, base: str = "main") -> WorldPull:
        """Someone asks for a branch to be merged."""
        issue = self.open_issue(title, None, author=author)
        self.pulls[issue.number] = WorldPull(
            issue=issue, branch=branch, base=base, head=self.repository.tip(branch)
        )
        return self.pulls[issue.number]

    def head(self, pull: WorldPull) -> str:
        """The branch's tip while the pull request is open."""
        if pull.issue.state == "open":
            pull.head = self.repository.tip(pull.branch)
        return pull.head

    def pull_of(self, branch: str) -> WorldPull:
        """The newest pull request of a branch."""
        return [pull for pull in self.pulls.values() if pull.branch == branch][-1]

    def merge(
        self, pull: WorldPull, message: str, expected_head: str | None = None, *, squash: bool = False
    ) -> str:
        """Merge it, or raise RefusedMergeError as the forges do."""
        if pull.issue.state != "open" or not pull.mergeable or self.needs_rebase(pull):
            raise RefusedMergeError(405, "Pull Request is not mergeable")
        head = self.head(pull)
        if expected_head not in {None, head}:
            raise RefusedMergeError(409, "Head branch was modified. Review and try the merge again.")
        bench = self._bench(pull.base)
        pull.is_squashed = squash
        if self.fast_forward:
            bench("merge", "--quiet", "--ff-only", head)
        elif squash:
            bench("merge", "--quiet", "--squash", head)
            bench("commit", "--quiet", "--message", message)
        else:
            bench("merge", "--quiet", "--no-ff", "-m", message, head)
        bench("push", "--quiet", "origin", f"HEAD:refs/heads/{pull.base}")
        pull.issue.state, pull.merged_at = "closed", now()
        pull.merge_commit = bench("rev-parse", "HEAD")
        return pull.merge_commit

    def needs_rebase(self, pull: WorldPull) -> bool:
        """Whether only a fast-forward may merge it, and none can, as it lacks commits of its target."""
        tip = self.repository.tip(pull.base)
        return self.fast_forward and self.repository.git("merge-base", tip, self.head(pull)) != tip

    def update(self, pull: WorldPull, *, rebase: bool = False) -> str:
        """Merge the branch that it goes to into the pull request's, or raise RefusedMergeError.

        CI says of the result what it said of the head before, unless the test has it say something else.
        """
        head = self.head(pull)
        bench = self._bench(pull.branch)
        try:
            bench(*(["rebase"] if rebase else ["merge", "--no-edit"]), "--quiet", f"origin/{pull.base}")
        except GitError as error:
            bench("rebase" if rebase else "merge", "--abort")
            raise RefusedMergeError(422, "merge conflict between base and head") from error
        bench("push", "--quiet", *(["--force"] if rebase else []), "origin", f"HEAD:refs/heads/{pull.branch}")
        made = self.head(pull)
        if self.judges_updates and made != head:
            said = [one for one in self.statuses if one["commit"] == head]
            self.statuses += [{**one, "id": next(self._ids), "commit": made} for one in said]
        return made

    def review(
        self, pull: WorldPull, state: str, actor: str = PERSON, *, body: str = "",
        remarks: Sequence[tuple[str, int, str]] = (),
    ) -> int:  # fmt: skip
        """Someone judges a pull request as it is now; `state` is the forge's own word. Returns its id.

        `remarks` are file, line and text; a line below zero is one of the old file, which is removed.
        """
        made, user = next(self._ids), {"login": actor}
        review = {"id": made, "user": user, "state": state, "submitted_at": now(), "body": body}
        pull.reviews.append({**review, "commit_id": self.head(pull), "comments_count": len(remarks)})
        pull.remarks += [
            {
                "id": next(self._ids), "pull_request_review_id": made, "user": user, "body": text,
                "path": path, "line": max(line, 0) or None, "old_line": -min(line, 0) or None,
                "diff_hunk": f"@@ -1 +{line} @@\n+at {line}"
                if line > 0 else f"@@ {line} +1,0 @@\n-at {-line}",
            }
            for path, line, text in remarks
        ]  # fmt: skip
        return made

    def reply(self, pull: WorldPull, remark: int, actor: str, body: str) -> dict[str, object]:
        """Someone answers a remark in its thread."""
        first = next(one for one in pull.remarks if one["id"] == remark and "in_reply_to_id" not in one)
        made = {**first, "id": next(self._ids), "user": {"login": actor}, "body": body, "at": now()}
        pull.remarks.append(made | {"in_reply_to_id": remark, "pull_request_review_id": next(self._ids)})
        return pull.remarks[-1]

    def throw_out(self, pull: WorldPull, by: str = "github-merge-queue[bot]") -> None:
        """A pull request leaves the merge queue unmerged: by a person, or as its checks failed there."""
        number = pull.issue.number
        self.queued = [one for one in self.queued if one != number]
        self.history.add(number, "removed_from_merge_queue", by)

    def revert(self, pull: WorldPull) -> str:
        """Somebody takes a merged pull request back, as the forges' button does; returns the commit."""
        assert pull.merge_commit, "only what was merged can be taken back"
        bench = self._bench()
        bench("revert", "--no-edit", "--mainline", "1", pull.merge_commit)
        bench("push", "--quiet", "origin", "HEAD:refs/heads/main")
        return bench("rev-parse", "HEAD")

    def compare(self, base: str, head: str) -> tuple[int, int] | None:
        """How many commits `head` has that `base` lacks, and the other way; None when they share none."""
        try:
            self.repository.git("merge-base", base, head)
        except GitError:
            return None
        behind, ahead = self.repository.git("rev-list", "--left-right", "--count", f"{base}...{head}").split()
        return int(ahead), int(behind)

    def commit_on_main(self, message: str) -> str:
        """Somebody pushes a commit with this message, and no change, to the main branch."""
        bench = self._bench()
        bench("commit", "--quiet", "--allow-empty", "--message", message)
        bench("push", "--quiet", "origin", "HEAD:refs/heads/main")
        return bench("rev-parse", "HEAD")

    def _bench(self, branch: str = "main") -> Git:
        """A clone with the newest commit of a branch checked out."""
        bench = Git(self.repository.bench)
        bench("fetch", "--quiet", "origin")
        bench("checkout", "--quiet", "-B", branch, f"origin/{branch}")
        return bench

    def has_commit(self, commit: str) -> bool:
        """Whether the repository holds the commit; what it once held stays."""
        if commit not in self._held:
            done = self.repository.git.attempt("cat-file", "-e", f"{commit}^{{commit}}")
            self._held |= {commit} if done.returncode == 0 else set()
        return commit in self._held

    def has_branch(self, name: str) -> bool:
        """Whether the repository has a branch of that name."""
        return bool(self.repository.find(name))

    def log(self, revision: str, *options: str) -> list[dict[str, str]]:
        """Commits as git lists them, newest first."""
        text = self.repository.git("log", "-z", "--format=%H%n%cI%n%B", *options, revision)
        found = [re.match(r"(.*)\n(.*)\n((?:.|\n)*)", entry) for entry in text.split("\0") if entry.strip()]
        return [{"sha": one[1], "at": one[2], "message": one[3].strip()} for one in found if one]
