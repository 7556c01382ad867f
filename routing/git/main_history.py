"""What stands on a main branch: whether work has landed there, by whatever way, and was taken back since.

Merges and fast-forwards are known by ancestry. A rebase, a squash, a cherry-pick or a train makes other
commits: they are found by their content (see `content`), and so are reverts. Nobody's words are read. Where
the history allows no answer the answer is "not landed", never a guess.

Only reads. What it cannot read raises what its git raises.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from routing.git.content import Blobs, Edit, Step, Unit, undone, walked

#: Commits of one branch that are followed one by one; of a longer one only the whole is.
MOST_PARTS = 100

#: Steps of a main branch that are followed, the newest; paths that git is asked about by name.
MOST_STEPS = 2000
MOST_PATHS = 500

#: What stands in a path as it was read where its name on disk has something else: bytes other than UTF-8, or
#: a carriage return.
_NOT_AS_IT_IS = re.compile("[\ufffd\n]")

#: Git's name for "no file", of whatever length.
_NO_FILE = re.compile("0+")

_PLAIN = ("-c", "log.showSignature=false", "-c", "core.quotePath=false", "--literal-pathspecs")
_RAW = ("--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff")
_LINES = (
    "-p",
    "-U0",
    "--no-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-indent-heuristic",
)


class ReadsHistory(Protocol):
    """What is needed of a repository."""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run git and return what it printed, or raise."""
        ...

    def ask(self, *arguments: str) -> tuple[int, str]:
        """Run git where an exit code of 0 or 1 is an answer; returns it with what was printed."""
        ...

    def has_commit(self, commit: str) -> bool:
        """Whether the repository holds the commit."""
        ...

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `of` contains `commit`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Landing:
    """How work came to a main branch, and whether it is there still."""

    commit: str  # the oldest commit on the main branch's own line that has all of it
    kept: bool = False  # whether its own commits are there, and not others with the same content
    at: datetime  # by its committer's clock
    reverted_at: datetime | None = None  # when a part of it was taken back; None while all of it is there
    revert: str = ""  # the commit that did it


@dataclass(frozen=True, kw_only=True)
class MainHistory:
    """One main branch at one commit. What git printed is kept as long as this is."""

    git: ReadsHistory
    tip: str
    _edits: dict[tuple[str, str, str], Edit | None] = field(default_factory=dict)

    def landing(self, head: str, *, base: str = "", merged_as: str = "") -> Landing | None:
        """How the work that ends with `head` landed; None when it did not, or is not there any longer.

        `base` is where it left the main branch, which may have been rewritten since; "" where git is to find
        that. `merged_as` is the commit that
        the forge says it was merged as, which need not exist.
        """
        if head and self.git.has_commit(head):
            if self.git.is_ancestor(head, self.tip):
                return self._kept(head, base)
            start = base if base and self._is_base(base, head) else self.base_of(head)
            found = self._copied(head, start) if start else None
            if found is not None:
                return found
        if not merged_as or not self.git.has_commit(merged_as):
            return None
        if self._holds(merged_as):
            return self._as_one(merged_as)
        before, start = self._parent(merged_as), self.base_of(merged_as)  # the main branch was rewritten
        whole = self._unit(before, merged_as)
        return self._found(start, whole, []) if start else None

    def base_of(self, head: str) -> str:
        """Where a branch left the main branch, "" when the two share no history."""
        code, printed = self.git.ask("merge-base", self.tip, head)
        return printed.split("\n")[0].strip() if code == 0 else ""

    def landing_commit(self, head: str) -> str:
        """The oldest commit on the main branch's own line that contains `head`."""
        if self.is_on_line(head):
            return head
        containing = set(self.git.run("rev-list", "--ancestry-path", f"{head}..{self.tip}").split())
        line = self.git.run("rev-list", "--first-parent", f"{head}..{self.tip}").split()
        return [commit for commit in line if commit in containing][-1]

    def is_on_line(self, commit: str) -> bool:
        """Whether an ancestor of the tip was itself once the main branch's newest commit.

        The line of first parents is what the main branch pointed at, one commit after the other.
        """
        line = self.git.run("log", "--first-parent", "--format=%P", f"{commit}..{self.tip}").splitlines()
        return line[-1].split(" ")[0] == commit if line else commit == self.tip

    def _kept(self, head: str, base: str) -> Landing:
        """Work whose own commits are on the main branch."""
        at = self.landing_commit(head)
        start = base if at == head else self._merge_base(f"{at}^1", head)
        if not start or start == head:
            start = self._parent(head)
        units = self._units(start, head)
        reverted = undone(self._steps(at, units), units, self._edit, self._is_moved)
        return replace(self._landing(at, reverted), kept=True)

    def _copied(self, head: str, base: str) -> Landing | None:
        """Work of which the main branch has other commits with the same content."""
        whole, *parts = self._units(base, head)
        return self._found(base, whole, parts)

    def _found(self, base: str, whole: Unit, parts: Sequence[Unit]) -> Landing | None:
        """Where a change came to the main branch after a commit of it."""
        way = walked(self._steps(base, [whole]), whole, parts, self._edit, self._is_moved)
        if way.landed is None:
            return None
        return self._landing(self.landing_commit(way.landed.commit), way.reverted)

    def _as_one(self, commit: str) -> Landing:
        """Work that the forge says is in this commit, with changes of its own: resolved conflicts, say."""
        units = [self._unit(self._parent(commit), commit)]
        return self._landing(commit, undone(self._steps(commit, units), units, self._edit, self._is_moved))

    def _landing(self, commit: str, reverted: Step | None) -> Landing:
        seconds = int(self.git.run("log", "-1", "--format=%ct", commit))
        return Landing(
            commit=commit,
            at=datetime.fromtimestamp(seconds, UTC),
            reverted_at=reverted.at if reverted else None,
            revert=reverted.commit if reverted else "",
        )

    def _units(self, base: str, head: str) -> list[Unit]:
        """The whole change, then each commit's own, without what later ones took back or replaced."""
        whole = self._unit(base, head)
        since = [f"^{base}"] if base else []
        own = self.git.run(
            "rev-list", "--no-merges", f"--max-count={MOST_PARTS + 1}", head, *since, "--"
        ).split()
        if not 1 < len(own) <= MOST_PARTS:
            return [whole]
        parts = [self._unit(self._parent(commit), commit) for commit in own]
        for part in parts:
            part.blobs = {
                path: blobs
                for path, blobs in part.blobs.items()
                if path in whole.blobs and blobs[0] != whole.blobs[path][1]
            }
        return [whole, *(part for part in parts if part.blobs)]

    def _unit(self, before: str, after: str) -> Unit:
        return Unit(before=before, after=after, blobs=self._blobs(before, after))

    def _blobs(self, before: str, after: str) -> Mapping[str, Blobs]:
        """What was made of each path between two commits; "" before a root."""
        ends = [before, after] if before else ["--root", "--no-commit-id", after]
        return _raw(self.git.run(*_PLAIN, "diff-tree", "-r", *_RAW, *ends).split("\0"))

    def _steps(self, since: str, units: Sequence[Unit]) -> Iterator[Step]:
        """The commits of the main branch after one that touch the paths of the units, the oldest first."""
        paths = sorted({path for unit in units for path in unit.blobs})
        if not paths:
            return
        nameable = len(paths) <= MOST_PATHS and not any(_NOT_AS_IT_IS.search(path) for path in paths)
        printed = self.git.run(
            *_PLAIN, "log", "--topo-order", "--full-history", "--diff-merges=first-parent", *_RAW,
            f"--max-count={MOST_STEPS}", "--format=%x02%H %ct %P", self.tip, f"^{since}", "--",
            *(paths if nameable else []),
        )  # fmt: skip
        for entry in reversed(printed.split("\x02")[1:]):
            head, *tokens = entry.split("\0")
            commit, seconds, *parents = head.split()
            at = datetime.fromtimestamp(int(seconds), UTC)
            yield Step(commit=commit, before=parents[0] if parents else "", at=at, blobs=_raw(tokens))

    def _edit(self, before: str, after: str, path: str) -> Edit | None:
        """The lines of one path between two commits, None where git shows none."""
        key = (before, after, path)
        if key not in self._edits:
            ends = [before, after] if before else ["--root", "--no-commit-id", after]
            printed = self.git.run(*_PLAIN, "diff-tree", "-r", *_LINES, *ends, "--", path)
            self._edits[key] = _edit_in(printed)
        return self._edits[key]

    def _is_moved(self, step: Step, path: str, edit: Edit | None) -> bool:
        """Whether a step that takes lines from a path adds them elsewhere: a file was renamed, or split."""
        if edit is None or not any(edit.added):
            return _is_renamed(self._blobs(step.before, step.commit), step.blobs[path][0])
        ends = [step.before, step.commit] if step.before else ["--root", "--no-commit-id", step.commit]
        printed = self.git.run(*_PLAIN, "diff-tree", "-r", *_LINES, *ends)
        added = Counter(_plain(line[1:]) for line in printed.split("\n") if line.startswith("+"))
        return not Counter(filter(None, edit.added)) - added

    def _parent(self, commit: str) -> str:
        """The first parent, "" for a root."""
        return self.git.run("log", "-1", "--format=%P", commit).partition(" ")[0].strip()

    def _is_base(self, commit: str, head: str) -> bool:
        return self._holds(commit) or (self.git.has_commit(commit) and self.git.is_ancestor(commit, head))

    def _holds(self, commit: str) -> bool:
        return self.git.has_commit(commit) and self.git.is_ancestor(commit, self.tip)

    def _merge_base(self, one: str, other: str) -> str:
        code, printed = self.git.ask("merge-base", one, other)
        return printed.split("\n")[0].strip() if code == 0 else ""


def _raw(tokens: Sequence[str]) -> dict[str, Blobs]:
    """Git's raw format, cut at its NULs: `:MODE MODE BLOB BLOB STATUS`, then the path."""
    found: dict[str, Blobs] = {}
    words = iter(tokens)
    for word in words:
        facts = word.lstrip("\n")
        if facts.startswith(":"):
            old_mode, new_mode, old, new, _ = facts[1:].split(" ")
            found[next(words)] = (_content(old_mode, old), _content(new_mode, new))
    return found


def _content(mode: str, blob: str) -> str:
    """One name for the content and the mode of a path; of a missing file the zeros alone."""
    return blob if _NO_FILE.fullmatch(blob) else f"{mode} {blob}"


def _edit_in(printed: str) -> Edit | None:
    lines = printed.split("\n")
    begin = next((number for number, line in enumerate(lines) if line.startswith("@@ ")), None)
    if begin is None:
        return None
    hunks = lines[begin:]
    return Edit(
        removed=tuple(_plain(line[1:]) for line in hunks if line.startswith("-")),
        added=tuple(_plain(line[1:]) for line in hunks if line.startswith("+")),
    )


def _plain(line: str) -> str:
    return "".join(line.split())


def _is_renamed(blobs: Mapping[str, Blobs], content: str) -> bool:
    """Whether a step made a new file with the content that a path had before it."""
    return any(_NO_FILE.fullmatch(old) and new == content for old, new in blobs.values())
