"""Whether a change is in the content of a branch, step by step: pure, by files and lines, never by messages.

A change is known by what it made of each path that it touched. Each later step of the branch either leaves
that alone, takes it back (the old content, or the reverse lines), or brings it again. So a revert in whatever
form counts, also as a part of another commit, or spread over several; so does a revert that was taken back;
and a sentence such as "This reverts commit X" counts for nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

#: The content of a path before and after a step, by git's names of blobs; zeros where there is no file.
Blobs = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A commit with what it made of the paths that are looked at."""

    commit: str
    before: str  # the commit that it is compared with: its first parent; "" for a root
    at: datetime  # by its committer's clock
    blobs: Mapping[str, Blobs]  # by path


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """The lines that a change takes from a path and adds to it, in their order, without white space."""

    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def reverse(self) -> "Edit":
        """The edit that takes this one back."""
        return Edit(removed=self.added, added=self.removed)


#: The edit of a path between two commits, and None where it has no lines (a binary file, a mode).
ReadsEdit = Callable[[str, str, str], Edit | None]

#: Whether lines that a step takes from a path are elsewhere after it: the step, the path and the lines.
IsMoved = Callable[[Step, str, Edit | None], bool]


@dataclass(kw_only=True, slots=True)
class Unit:
    """One change, and which of its paths have it now. Steps are given in their order."""

    before: str  # commits between which the change was made
    after: str
    blobs: Mapping[str, Blobs]  # of the paths that are looked at
    has: set[str] = field(default_factory=set)  # paths that have the change
    lost: dict[str, Step] = field(default_factory=dict)  # paths that it was taken out of again, and where

    @property
    def is_whole(self) -> bool:
        """Whether every path has it; a change of nothing is never there."""
        return bool(self.blobs) and len(self.has) == len(self.blobs)

    @property
    def is_gone(self) -> bool:
        """Whether no path has it."""
        return bool(self.blobs) and not self.has

    def take(self, step: Step, edit_of: ReadsEdit, is_moved: IsMoved) -> None:
        """Note what a step does to the change."""
        for path in self.blobs.keys() & step.blobs.keys():
            there = self._is_there_after(step, path, edit_of)
            if there:
                self.has.add(path)
                self.lost.pop(path, None)
            elif there is False and path in self.has:
                edit = edit_of(self.before, self.after, path)
                if not is_moved(step, path, edit):
                    self.has.discard(path)
                    self.lost[path] = step

    def forgive(self, step: Step) -> None:
        """What this step took from the change counts as still there."""
        self.lost = {path: taken for path, taken in self.lost.items() if taken is not step}

    def _is_there_after(self, step: Step, path: str, edit_of: ReadsEdit) -> bool | None:
        """Whether a path has the change after a step that touched it; None: as before."""
        old, new = self.blobs[path]
        now = step.blobs[path][1]
        if now in {old, new}:
            return now == new
        ours = edit_of(self.before, self.after, path)
        if ours is None:
            return None
        theirs = edit_of(step.before, step.commit, path)
        if theirs == ours:
            return True
        return False if theirs == ours.reverse else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """What became of work on the way along a branch."""

    landed: Step | None = None  # the step that completed it, None: it is not there
    reverted: Step | None = None  # the step that took a part of it back, None: it is all there


def walked(
    steps: Iterable[Step], whole: Unit, parts: Iterable[Unit], edit_of: ReadsEdit, is_moved: IsMoved
) -> Walk:
    """Follow work that is yet to land: as one change, or commit by commit."""
    parts = list(parts)
    units = [whole, *parts]
    landed: Step | None = None
    came: set[int] = set()  # parts that were there at some time
    reverted: Step | None = None
    for step in steps:
        there = {number for number, part in enumerate(parts) if part.is_whole}
        for unit in units:
            unit.take(step, edit_of, is_moved)
        if landed is None:
            whole_now = {number for number, part in enumerate(parts) if part.is_whole}
            came |= whole_now
            if whole_now - there:  # a step of the work itself: what it replaces was not taken back
                for unit in units:
                    unit.forgive(step)
            if whole.is_whole or (parts and len(came) == len(parts)):
                landed = step
                for unit in units:
                    unit.has |= unit.blobs.keys() - (set() if whole.is_whole else unit.lost.keys())
                gone = [unit for unit in units if unit.is_gone]  # before the last part came
                reverted = next(iter(gone[0].lost.values())) if gone else None
        else:
            reverted = (reverted or step) if any(unit.is_gone for unit in units) else None
    return Walk(landed=landed, reverted=reverted)


def undone(
    steps: Iterable[Step], units: Iterable[Unit], edit_of: ReadsEdit, is_moved: IsMoved
) -> Step | None:
    """The step that took a part of landed work back, None while all of it is there."""
    units = list(units)
    for unit in units:
        unit.has |= unit.blobs.keys()
    reverted: Step | None = None
    for step in steps:
        for unit in units:
            unit.take(step, edit_of, is_moved)
        reverted = (reverted or step) if any(unit.is_gone for unit in units) else None
    return reverted
