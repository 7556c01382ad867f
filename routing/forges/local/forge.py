"""The local forge: a folder of issues, a git repository, and a command that serves as CI.

Each method is done by a part that `LocalForge.of` wires. Who may write in the folder of issues is trusted.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routing.base import Base
from routing.errors import SettingsError
from routing.forges.change_request import ChangeRequest, ChangeState, Revert, Review
from routing.forges.commit_status import CiVerdict, CombinedStatus, CommitStatus
from routing.forges.errors import ForgeGoneError, ForgeInvalidError, ForgeRefusedError
from routing.forges.failing_log import Complaint, failing_log_of
from routing.forges.feedback import Feedback
from routing.forges.forge import Access, Permission
from routing.forges.local.access import access_to
from routing.forges.local.branches import LocalBranches
from routing.forges.local.ci import LocalCI
from routing.forges.local.config import LocalConfig, repository_name
from routing.forges.local.fitness import Wholeness, fault_of, issues_fault
from routing.forges.local.git import LocalGit, existing_commit
from routing.forges.local.issue_file import IssueFile
from routing.forges.local.issues import FoundIssue, LocalIssues, comments_of, find_comment
from routing.forges.local.merge import LocalMerge
from routing.forges.work_branch import WORK_PREFIX, branch_to_delete, checked_commit, merge_message
from routing.forges.written_text import checked_name, checked_text
from routing.issues.issue import Comment, Issue, IssueListing, IssueRef

#: The name under which Coalmine comments in issue files.
OWN_NAME = "coalmine"

#: Who wrote an issue whose file does not say: somebody who may write in the folder.
UNNAMED = "local"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalForge:
    """Implements `routing.forges.forge.Forge` for one repository.

    It keeps no connection and no state but parsed issue files, and what was found whole, so making a second
    one for the same folders, in this process or another, is safe.
    """

    config: LocalConfig
    repo: str  # its name: that of its directory
    git: LocalGit
    issues: LocalIssues
    ci: LocalCI | None
    branches: LocalBranches
    merger: LocalMerge
    wholeness: Wholeness = field(default_factory=Wholeness, compare=False)

    @classmethod
    def of(cls, config: LocalConfig, environment: Mapping[str, str] | None = None) -> "LocalForge":
        """Wire the parts, or raise SettingsError when the repository or the folder is not there."""
        directory = _folder(config.repository, "repository").resolve()
        issues = _folder(config.issues, "folder of issues")
        git = LocalGit(directory, config.main or "")
        repo = repository_name(directory)
        ci = LocalCI(
            repo=directory,
            command=config.ci or "",
            timeout_seconds=config.ci_seconds,
            work_dir=config.memory / "ci",
            state_dir=config.memory,
            environment=os.environ if environment is None else environment,
            sandbox=config.sandbox_of_ci,
            submodules=config.submodules,
            main=git.main_setting,
        )
        return cls(
            config=config,
            repo=repo,
            git=git,
            issues=LocalIssues(issues.resolve()),
            ci=ci if config.has_ci else None,
            branches=LocalBranches(git=git, repo=repo, sightings=config.memory / "branches"),
            merger=LocalMerge(git=git, ignored=issues),
        )

    @property
    def name(self) -> str:
        """The forge's configured name."""
        return self.config.name

    def own_login(self) -> str:
        """The author of our comments; anybody who may write in the folder can write under it, too."""
        return OWN_NAME

    def access(self, repo: str) -> Access:
        """Say what the file system lets us do."""
        if repo != self.repo:
            note = f"the forge {self.name} has no repository {repo[:80]!r}; it has {self.repo!r}"
            return Access(readable=False, writable=False, note=note)
        self.issues.read()
        git_directory = Path(self.git.run("rev-parse", "--absolute-git-dir"))
        return access_to(self.issues.folder, git_directory, has_ci=self.ci is not None)

    def repository_fault(self, repo: str) -> str:
        """Look at the repository as `coalmine up` does at the start."""
        self._check_repo(repo)
        return str(fault_of(self.git, self.wholeness) or issues_fault(self.issues.folder) or "")

    def repositories_of(self, owner: str) -> tuple[str, ...]:
        """Name the one that it has; it has no owner."""
        return () if owner else (self.repo,)

    def list_issues(self, repo: str, label: str | None) -> IssueListing:
        """List the open issues with the label; files that cannot be read are among the problems."""
        self._check_repo(repo)
        reading = self.issues.read()
        issues = (self._issue(found) for found in reading.issues.values())
        wanted = (
            issue for issue in issues if issue.state == "open" and (label is None or label in issue.labels)
        )
        return IssueListing(issues=tuple(wanted), problems=reading.problems)

    def read_issue(self, ref: IssueRef) -> Issue:
        """Return the issue as its file is now."""
        return self._issue(self.issues.find(self._number(ref)))

    def requested_by(self, ref: IssueRef, label: str | None) -> str:
        """Name the author, who stands for everybody who may write in the folder."""
        issue = self.read_issue(ref)
        return (issue.author or UNNAMED) if label is None or label in issue.labels else ""

    def comment(self, ref: IssueRef, body: str) -> Comment:
        """Add a comment to the front matter. Called twice it adds two: the caller notes the id."""
        written: list[int] = []

        def add(file: IssueFile) -> dict[str, Any]:
            stored = file.numbered_comments()
            written[:] = [max((item["id"] for item in stored), default=0) + 1]
            entry = {"id": written[0], "author": OWN_NAME, "at": _now(), "body": checked_text(body)}
            return {"comments": [*stored, entry]}

        found = self.issues.change(self._number(ref), add)
        return find_comment(found, written[0])

    def edit_comment(self, ref: IssueRef, comment_id: int, body: str) -> Comment:
        """Replace the text of one of our comments."""

        def replace(file: IssueFile) -> dict[str, Any]:
            stored = file.numbered_comments()
            for item in stored:
                if item["id"] == comment_id:
                    if item.get("author") != OWN_NAME:
                        message = f"comment {comment_id} of {ref} is not ours; only its author may change it"
                        raise ForgeRefusedError(message)
                    item["body"] = checked_text(body)
                    return {"comments": stored}
            message = f"{ref} has no comment {comment_id}"
            raise ForgeGoneError(message)

        return find_comment(self.issues.change(self._number(ref), replace), comment_id)

    def add_label(self, ref: IssueRef, label: str) -> None:
        """Put a label on the issue."""
        name = checked_name(label)
        self._change_names(ref, "labels", lambda labels: labels if name in labels else [*labels, name])

    def remove_label(self, ref: IssueRef, label: str) -> None:
        """Take a label off the issue."""
        self._change_names(ref, "labels", lambda labels: [other for other in labels if other != label])

    def assign(self, ref: IssueRef, user: str) -> None:
        """Add an assignee."""
        name = checked_name(user)
        self._change_names(ref, "assignees", lambda users: users if name in users else [*users, name])

    def close(self, ref: IssueRef) -> None:
        """Set the state to closed."""
        self.issues.change(
            self._number(ref), lambda file: {} if file.matter.state == "closed" else {"state": "closed"}
        )

    def dependencies(self, ref: IssueRef) -> tuple[IssueRef, ...]:
        """Name the issues under `blocked_by`."""
        blockers = self.issues.find(self._number(ref)).file.matter.blocked_by
        return tuple(IssueRef(forge=self.name, repo=self.repo, number=number) for number in blockers)

    def permission(self, repo: str, user: str) -> Permission:
        """WRITE for every name: only those who may write in the folder can have written the issue."""
        self._check_repo(repo)
        return Permission.WRITE if user else Permission.NONE

    def statuses(self, repo: str, commit: str, *, base: Base | None = None) -> CombinedStatus:
        """Return what the CI command reported about the commit; every branch requires that."""
        del base
        self._check_repo(repo)
        existing_commit(self.git, commit)
        return self.ci.statuses(commit) if self.ci else CombinedStatus(commit=commit)

    def failing_log(self, repo: str, commit: str, *, most_characters: int) -> str:
        """Return the end of what the CI command printed, when it failed."""
        failed = self.statuses(repo, commit).failed
        printed = self.ci.end_of_log(commit, most_characters=most_characters) if self.ci and failed else ""
        return failing_log_of(
            [Complaint(heading=one.complaint, text=printed) for one in failed], most_characters
        )

    def contains(self, repo: str, commit: str, *, base: Base | None = None) -> bool:
        """Whether the branch that work goes to holds the commit."""
        self._check_repo(repo)
        return self.branches.contains(commit, base)

    def newest(self, repo: str, base: Base | None) -> Base:
        """Return the branch that work goes to, as it is now."""
        self._check_repo(repo)
        heads = self.git.heads_for(base)
        return Base(branch=heads.target, commit=heads.target_tip)

    def bring_up_to_date(self, change: ChangeRequest, *, onto: Base, base: Base | None = None) -> str:
        """Merge the newest of the branch that it goes to into the change's branch."""
        self._check_repo(change.repo)
        return self.merger.bring_up_to_date(change.branch, change.head, onto=onto, base=base)

    def conflicts(self, change: ChangeRequest, *, onto: Base) -> tuple[str, ...]:
        """Have git merge the two; nothing of that is kept."""
        self._check_repo(change.repo)
        return self.merger.conflicts(onto.commit, checked_commit(change.head))

    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest | None:
        """Return what became of the branch, as the repository shows it."""
        self._check_repo(repo)
        return self.branches.change(branch)

    def open_change(
        self, repo: str, branch: str, *, title: str, body: str, base: Base | None = None
    ) -> ChangeRequest:
        """Return the branch: here it is its own change request."""
        del title, body, base
        self._check_repo(repo)
        return self._known_change(branch)

    def merge(
        self, change: ChangeRequest, *, issue: IssueRef | None = None, base: Base | None = None,
        onto: Base | None = None,
    ) -> ChangeRequest:  # fmt: skip
        """Merge a green branch of ours when the settings say so; merging it again changes nothing."""
        self._check_repo(change.repo)
        if not change.branch.startswith(WORK_PREFIX):
            message = f"{change.branch!r} is not a branch of ours ({WORK_PREFIX}JOB); merge it by hand"
            raise ForgeInvalidError(message)
        now = self._known_change(change.branch)
        if now.state is ChangeState.MERGED and now.head == change.head:
            return now
        if self.config.merge == "never":
            message = f'{change.branch} was not merged: the setting merge is "never"; merge it by hand'
            raise ForgeRefusedError(message)
        combined = self.statuses(change.repo, change.head)
        if combined.verdict is not CiVerdict.GREEN:
            message = (
                f"{change.branch} was not merged: CI of {change.head[:12]} is {combined.verdict}, not green"
            )
            raise ForgeRefusedError(message)
        message = merge_message(change.branch, str(issue or ""))
        made = self.merger.merge(change.branch, change.head, message, base, onto=onto.commit if onto else "")
        if self.ci is not None:
            self.ci.note_same(made, change.head)
        self.branches.note_target(change.branch, self.git.target(base))
        return self._known_change(change.branch)

    def withdraw_merge(self, change: ChangeRequest) -> None:
        """Nothing: merges here wait for nobody."""

    def why_dequeued(self, change: ChangeRequest) -> str:  # noqa: ARG002 - forges with a queue look at it
        """Nothing: there is no queue."""
        return ""

    def delete_branch(self, change: ChangeRequest) -> None:
        """Delete the branch of merged work; what became of it stays known."""
        self._check_repo(change.repo)
        self.merger.delete(branch_to_delete(change), change.head)

    def reverts_of(self, repo: str, commit: str, *, base: Base | None = None) -> tuple[Revert, ...]:
        """Find the commit on the branch that work goes to that took this one back."""
        self._check_repo(repo)
        existing_commit(self.git, commit)
        return self.branches.reverts_of(commit, base)

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Return nothing: people here merge, revert or delete, which the repository shows."""
        self._check_repo(change.repo)
        return ()

    def feedback(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Return nothing: a branch has no place to write at."""
        self._check_repo(change.repo)
        return ()

    def answer(self, change: ChangeRequest, feedback: Feedback, body: str, *, resolved: bool = False) -> None:
        """Refuse it, as there is no feedback."""
        del body, resolved
        message = f"{feedback.id} of {change.branch} does not exist: a local forge has no reviews"
        raise ForgeGoneError(message)

    def commits_without_ci(self) -> tuple[str, ...]:
        """Heads of open work branches that nobody has judged; looking also notes that the branches exist."""
        changes = [self.branches.change(branch) for branch in self.git.work_branches()]
        heads = [change.head for change in changes if change and change.state is ChangeState.OPEN]
        return tuple(dict.fromkeys(head for head in heads if self.ci and self.ci.needs_run(head)))

    def run_ci(self, commit: str) -> CommitStatus:
        """Run the CI command on a commit, unless it has a verdict or is being judged."""
        if self.ci is None:
            message = "the local forge has no CI command; set one (`--ci 'CMD'`)"
            raise ForgeInvalidError(message)
        return self.ci.run(commit)

    def _known_change(self, branch: str) -> ChangeRequest:
        if (change := self.branches.change(branch)) is None:
            message = f"{self.repo} has no branch {branch} with commits of its own"
            raise ForgeGoneError(message)
        return change

    def _change_names(self, ref: IssueRef, key: str, step: Callable[[list[str]], list[str]]) -> None:
        """Change one list of the front matter; an unchanged list writes nothing."""

        def change(file: IssueFile) -> dict[str, Any]:
            before = list(getattr(file.matter, key))
            after = step(before)
            return {} if after == before else {key: after}

        self.issues.change(self._number(ref), change)

    def _check_repo(self, repo: str) -> None:
        if repo != self.repo:
            message = f"the forge {self.name} has no repository {repo[:80]!r}; it has {self.repo!r}"
            raise ForgeGoneError(message)

    def _number(self, ref: IssueRef) -> int:
        """The issue's number in this repository; another forge or repository in the reference is an error."""
        if ref.forge != self.name:
            message = f"{ref} is an issue of another forge than {self.name}"
            raise ForgeInvalidError(message)
        self._check_repo(ref.repo)
        return ref.number

    def _issue(self, found: FoundIssue) -> Issue:
        matter = found.file.matter
        return Issue(
            ref=IssueRef(forge=self.name, repo=self.repo, number=found.number),
            title=found.title,
            body=found.file.body.replace("\r\n", "\n").strip("\n"),
            labels=matter.labels,
            state=matter.state,
            author=matter.author,
            assignees=matter.assignees,
            comments=comments_of(found.file),
            updated_at=found.modified_at,
            url=str(found.path),
        )


def _folder(path: Path | None, what: str) -> Path:
    """The path if it is a folder, else SettingsError: it is never created, as a typing error would hide."""
    if path is None or not path.is_dir():
        message = f"the {what} {path} does not exist; create it, or correct the setting"
        raise SettingsError(message)
    return path


def _now() -> datetime:
    """Whole seconds, as a person would write the time of a comment."""
    return datetime.now(UTC).replace(microsecond=0)
