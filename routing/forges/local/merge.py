"""Merging into a repository that somebody may be working in.

The merge is made without a work tree, and the main branch is moved by compare-and-swap. Where the main branch
is checked out, its work tree goes along when it is clean; uncommitted work, a file that the merge would
overwrite, a rebase under way, and a work branch that somebody has checked out are never touched: then people
are waited for.

Three kinds of failure: ForgeRefusedError needs a person (conflicts), ForgeHeldError waits for what a person
is doing, ForgeUnreachableError will pass (the main branch kept moving). After any, the main branch is what it
was; at most some objects that nothing refers to are left in the repository, for git to collect.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from routing.base import Base
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeHeldError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.local.git import LocalGit
from routing.git.git import GitError

#: How often the merge is made anew because the main branch moved meanwhile.
MERGE_ATTEMPTS = 5

#: Age from which on a lock of git's index is a leftover of a process that ended: no git holds it for so long.
STALE_LOCK_SECONDS = 600.0

#: How many names of files a refusal lists.
_NAMES_SHOWN = 20

# Exit codes of `git merge` and `git merge-tree`; anything above is a fault.
_MERGED, _CONFLICTS = 0, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalMerge:
    """Merges of one repository. It keeps no state, and processes need no lock beside those that git has."""

    git: LocalGit
    ignored: Path | None = None  # folder whose changes do not make a work tree dirty: the issues themselves
    clock: Callable[[], float] = time.time  # seconds since the epoch, as files are dated

    def bring_up_to_date(self, branch: str, head: str, *, onto: Base, base: Base | None = None) -> str:
        """Merge `onto` into the branch, if it does not hold that yet, and return the branch's head."""
        if self.git.tip(branch) != head:
            text = f"{branch} is no longer at {head[:12]}; have its new commit judged first"
            raise ForgeRefusedError(text)
        if self.git.is_ancestor(onto.commit, head):
            return head
        if self.git.brings_foreign(head, onto.commit, base):
            raise ForgeBaseGoneError(branch, target=onto.branch, commit=base.commit if base else "")
        if folders := self._work_trees_of(branch):
            text = f"{branch} is checked out in {folders[0]}; leave it, so that it can be brought up to date"
            raise ForgeHeldError(text)
        tree = self.merged_tree(head, onto.commit)
        message = f"Merge {onto.branch} into {branch}\n"
        commit = self.git.run("commit-tree", tree, "-p", head, "-p", onto.commit, "-F", "-", stdin=message)
        self.git.run("update-ref", "-m", "coalmine: bring up to date", f"refs/heads/{branch}", commit, head)
        return commit

    def merge(self, branch: str, head: str, message: str, base: Base | None = None, *, onto: str = "") -> str:
        """Merge the branch at exactly `head` and return the merge commit, or the commit that was there.

        `head` is the commit that CI has passed. A branch that has moved on is refused, so nothing that was
        not judged gets in. Merging again what is merged returns the main branch's tip and changes nothing.
        Work goes to the branch of its `base`; ForgeBaseGoneError when commits that are not its own would too.
        With `onto` only while that branch is at this commit.
        """
        main_branch = self.git.target(base)
        for _ in range(MERGE_ATTEMPTS):
            main = self.git.tip_of(main_branch)
            if self.git.tip(branch) != head:
                text = f"{branch} is no longer at {head[:12]}; have its new commit judged before it is merged"
                raise ForgeRefusedError(text)
            if self.git.is_ancestor(head, main):
                return main
            if onto not in {"", main}:
                break
            if self.git.brings_foreign(head, main, base):
                raise ForgeBaseGoneError(branch, target=main_branch, commit=base.commit if base else "")
            tree = self.merged_tree(main, head)
            commit = self.git.run("commit-tree", tree, "-p", main, "-p", head, "-F", "-", stdin=message)
            if self._publish(main_branch, main, commit):
                return commit
        text = f"{main_branch} moved while {branch} was being merged; it will be tried again"
        raise ForgeUnreachableError(text)

    def delete(self, branch: str, head: str) -> None:
        """Delete a branch at exactly `head`, unless it is gone; ForgeHeldError when a person has it out."""
        if self.git.tip(branch) not in {None, head}:
            text = f"the branch {branch!r} was not deleted: it is no longer at {head[:12]}"
            raise ForgeRefusedError(text)
        if folders := self._work_trees_of(branch):
            text = f"{branch} is checked out in {folders[0]}; leave it, so that it can be deleted"
            raise ForgeHeldError(text)
        reference = f"refs/heads/{branch}"
        said, done = _tried(self.git, "update-ref", "-d", "-m", "coalmine: merged", reference, head)
        if not done and self.git.tip(branch) is not None:
            text = f"the branch {branch!r} was not deleted, it will be tried again: {said}"
            raise ForgeUnreachableError(text)

    def conflicts(self, main: str, head: str) -> tuple[str, ...]:
        """Name the files that keep two commits from being merged; () when they can be, or share nothing."""
        try:
            self.merged_tree(main, head)
        except _ConflictsError as error:
            return error.files
        except ForgeRefusedError:
            return ()
        return ()

    def merged_tree(self, main: str, head: str) -> str:
        """Return the tree of the merge, or refuse with the files that are in conflict.

        `git merge-tree --write-tree` came with git 2.38 (see git-merge-tree); it touches no work tree and no
        index.
        """
        if self.git.ask("merge-base", main, head)[0] != 0:
            text = (
                f"{head[:12]} has no history in common with {main[:12]}, so git does not merge it; "
                "merge it by hand if that is meant"
            )
            raise ForgeRefusedError(text)
        if self._version() < (2, 38):
            return self.tree_by_work_tree(main, head)
        code, printed = self.git.ask(
            "merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", main, head
        )
        tree, *files = printed.split("\0")
        if code == _CONFLICTS:
            raise _conflict(files)
        return tree

    def tree_by_work_tree(self, main: str, head: str) -> str:
        """Do the same in a temporary work tree, for a git older than 2.38.

        The work tree lies outside the repository, is detached, and is removed whatever happens.
        """
        with self._work_tree(main) as aside:
            code, _ = aside.ask("merge", "--no-ff", "--no-commit", "--quiet", head)
            if code == _CONFLICTS:
                raise _conflict(aside.run("diff", "--name-only", "--diff-filter=U", "-z").split("\0"))
            return aside.run("write-tree")

    def _publish(self, main_branch: str, old: str, new: str) -> bool:
        """Move the main branch from `old` to `new`; False when it is no longer at `old`.

        Not checked out anywhere: the reference alone is moved. Checked out in one work tree: git
        fast-forwards that one, files and all. In several: held, as git could keep only one of them in
        step.
        """
        checked_out = self._work_trees_of(main_branch)
        if not checked_out:
            reason = "coalmine: merge"
            _, moved = _tried(self.git, "update-ref", "-m", reason, f"refs/heads/{main_branch}", new, old)
            return moved or self._has_moved(
                main_branch, old, "git update-ref refused, although nothing moved"
            )
        if len(checked_out) > 1:
            message = f"{main_branch} is checked out in more than one work tree; leave it in one"
            raise ForgeHeldError(message)
        folder = checked_out[0]
        self._wait_if_dirty(folder, main_branch)
        # git itself refuses to overwrite what changed since, takes the index's lock, and checks `old`.
        tree = self.git.at(folder, is_a_persons=True)
        said, moved = _tried(tree, "merge", "--ff-only", "--quiet", new)
        if not moved and (lock := self._stale_lock(tree, folder)):
            message = (
                f"{lock} is the lock of a git that ended long ago, and keeps {folder} as it is; remove it if "
                "no git is at work there, then merge the branch"
            )
            raise ForgeRefusedError(message)
        return moved or self._has_moved(
            main_branch,
            old,
            f"the work tree {folder} could not be brought in step, commit or put aside what is there: {said}",
        )

    def _stale_lock(self, tree: LocalGit, folder: Path) -> Path | None:
        """The lock of the work tree's index, if it is too old to be held by a git that is at work."""
        lock = folder / tree.run("rev-parse", "--git-path", "index.lock")
        try:
            age = self.clock() - lock.lstat().st_mtime
        except OSError:
            return None
        return lock if age >= STALE_LOCK_SECONDS else None

    def _has_moved(self, main_branch: str, old: str, else_held: str) -> bool:
        """False, "try again", when the main branch moved meanwhile; otherwise the message, as people wait."""
        if self.git.tip(main_branch) == old:
            raise ForgeHeldError(else_held)
        return False

    def _wait_if_dirty(self, folder: Path, main_branch: str) -> None:
        """ForgeHeldError when tracked files of the work tree have uncommitted changes.

        Untracked files do not count: git itself refuses where the merge would overwrite one. The folder of
        issues does not count either, if it lies in the work tree: Coalmine writes there all the time.
        """
        tree = self.git.at(folder, is_a_persons=True)
        except_issues: list[str] = []
        if self.ignored is not None and self.ignored.resolve().is_relative_to(folder.resolve()):
            inside = self.ignored.resolve().relative_to(folder.resolve())
            except_issues = ["--", ":/", f":(top,exclude,literal){inside}"]
        changed = tree.run(
            "status", "--porcelain", "--untracked-files=no", "--no-renames", "-z", *except_issues
        )
        files = [entry[3:] for entry in changed.split("\0") if entry]
        if files:
            message = (
                f"{folder} has {main_branch} checked out with uncommitted changes ({_listed(files)}); "
                "commit them or put them aside, then the branch can be merged"
            )
            raise ForgeHeldError(message)

    def _work_trees_of(self, branch: str) -> list[Path]:
        """The folders in which the branch is checked out.

        A rebase of the branch shows a detached HEAD and would write its own result over our merge:
        ForgeHeldError. Work trees whose folder is gone ("prunable") do not count.
        """
        found = []
        for entry in self.git.run("worktree", "list", "--porcelain").split("\n\n"):
            facts = dict(line.partition(" ")[::2] for line in entry.splitlines())
            folder = Path(facts.get("worktree", ""))
            if "bare" in facts or "prunable" in facts or not facts.get("worktree"):
                continue
            if facts.get("branch") == f"refs/heads/{branch}":
                found.append(folder)
            elif "detached" in facts and self._is_rebasing(folder, branch):
                message = f"{branch} is being rebased in {folder}; finish that, then work can be merged"
                raise ForgeHeldError(message)
        return found

    def _is_rebasing(self, folder: Path, branch: str) -> bool:
        """Whether a rebase under way in this folder is of the branch, whose name git keeps in a file."""
        for state in ("rebase-merge", "rebase-apply"):
            name = folder / self.git.at(folder).run("rev-parse", "--git-path", f"{state}/head-name")
            if name.is_file() and name.read_text(encoding="utf-8").strip() == f"refs/heads/{branch}":
                return True
        return False

    def _version(self) -> tuple[int, int]:
        """The program's version, (2, 39) for `git version 2.39.5`."""
        words = self.git.run("version").split()[2].split(".")
        return int(words[0]), int(words[1])

    @contextmanager
    def _work_tree(self, commit: str) -> Iterator[LocalGit]:
        """A temporary work tree at a commit, removed from the disk and from git's list."""
        with tempfile.TemporaryDirectory(prefix="coalmine-merge-") as temporary:
            folder = Path(temporary) / "tree"
            self.git.run("worktree", "add", "--detach", "--quiet", str(folder), commit)
            try:
                yield self.git.at(folder)
            finally:
                self.git.run("worktree", "remove", "--force", str(folder))


def _tried(git: LocalGit, *arguments: str) -> tuple[str, bool]:
    """What git wrote on a failure, or printed, and whether it succeeded.

    Only an exit code counts as a failure: a git that did not run at all, or not in time, is raised.
    """
    try:
        return git.run(*arguments), True
    except ForgeUnreachableError as error:
        if isinstance(error.__cause__, GitError) and error.__cause__.returncode is not None:
            return error.__cause__.stderr.strip()[-500:], False
        raise


class _ConflictsError(ForgeRefusedError):
    """Both sides changed the same lines."""

    def __init__(self, message: str, files: list[str]) -> None:
        super().__init__(message)
        self.files = tuple(files)


def _conflict(files: list[str]) -> _ConflictsError:
    """The refusal of a merge with conflicts, naming the first files."""
    named = [name for name in files if name]
    message = (
        f"the merge has conflicts in {_listed(named)}; merge by hand, or have the branch brought up to date"
    )
    return _ConflictsError(message, named)


def _listed(files: list[str]) -> str:
    shown = ", ".join(repr(name) for name in files[:_NAMES_SHOWN])
    return shown if len(files) <= _NAMES_SHOWN else f"{shown} and {len(files) - _NAMES_SHOWN} more"
