"""A git repository in memory: commits, branches, and what people do on the main branch."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit; of its files no more is known than what it makes of them."""

    id: str
    parents: tuple[str, ...]
    message: str
    at: datetime
    undoes: str = ""  # the commit whose changes it takes back
    redoes: str = ""  # the commit whose changes it makes again
    files: tuple[tuple[str, str], ...] = ()  # that it writes, with their text


class MemoryRepository:
    """The same words as `tests.repositories.TemporaryRepository`, as far as the suite of forges uses them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._numbers = itertools.count(1)
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.branches["main"] = self._commit("Begin", ())

    def work(self, branch: str, files: dict[str, str]) -> str:
        """Make a branch with one commit; returns the commit."""
        self.branches[branch] = self._commit(f"Work on {', '.join(files)}", (self.tip(),), files=files)
        return self.branches[branch]

    def more_work(self, branch: str, files: dict[str, str]) -> str:
        """Add one more commit to a branch."""
        self.branches[branch] = self._commit(
            f"Work on {', '.join(files)}", (self.branches[branch],), files=files
        )
        return self.branches[branch]

    def tip(self, branch: str = "main") -> str:
        """The newest commit of a branch."""
        return self.branches[branch]

    def git(self, command: str, *words: str) -> str:
        """What little of git the suite of forges speaks: a commit without parents, by way of any tree."""
        return self._commit("Begin anew", ()) if command == "commit-tree" else words[-1]

    def merge(self, commit: str, message: str) -> str:
        """A merge commit on the main branch."""
        self.branches["main"] = self._commit(message, (self.tip(), commit))
        return self.tip()

    def merge_into(self, branch: str, commit: str) -> str:
        """A merge commit on another branch."""
        self.branches[branch] = self._commit("Bring up to date", (self.branches[branch], commit))
        return self.branches[branch]

    def squash(self, message: str) -> str:
        """One commit on the main branch that has the same changes, and is another."""
        self.branches["main"] = self._commit(message, (self.tip(),))
        return self.tip()

    def push_to_main(self, commit: str) -> None:
        """The main branch is this commit from now on."""
        self.branches["main"] = commit

    def revert(self, commit: str) -> str:
        """A commit on the main branch that takes another one back."""
        self.branches["main"] = self._commit('Revert "it"', (self.tip(),), undoes=commit)
        return self.tip()

    def reapply(self, commit: str) -> str:
        """A commit on the main branch that takes the revert of another one back."""
        self.branches["main"] = self._commit('Reapply "it"', (self.tip(),), redoes=commit)
        return self.tip()

    def holds(self, commit: str, branch: str = "main") -> bool:
        """Whether a branch has the commit in its history."""
        return commit in self._history(self.tip(branch))

    def conflicts(self, commit: str, other: str) -> tuple[str, ...]:
        """Files that two commits wrote apart, and otherwise."""
        mine, theirs = self._history(commit), self._history(other)
        wrote, they_wrote = (
            {name: text for one in self.commits.values() if one.id in apart for name, text in one.files}
            for apart in (mine - theirs, theirs - mine)
        )
        return tuple(name for name in sorted(wrote) if they_wrote.get(name, wrote[name]) != wrote[name])

    def _history(self, commit: str) -> set[str]:
        seen, todo = set[str](), [commit]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.commits[one].parents
        return seen

    def reverts_of(self, *commits: str) -> list[Commit]:
        """Commits of the main branch that take one of these back, oldest first; not those taken back."""
        found: list[Commit] = []
        for one in self.commits.values():
            if self.holds(one.id):
                found += [one] if one.undoes in commits else []
                found = [] if one.redoes in commits else found
        return found

    def _commit(
        self, message: str, parents: tuple[str, ...], *, undoes: str = "", redoes: str = "",
        files: dict[str, str] | None = None,
    ) -> str:  # fmt: skip
        name = hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:40]
        self.commits[name] = Commit(
            id=name, parents=parents, message=message, at=self._now(), undoes=undoes, redoes=redoes,
            files=tuple((files or {}).items()),
        )  # fmt: skip
        return name
