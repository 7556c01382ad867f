"""A folder of issues: who has which number, and changes that several processes may make at once.

Coalmine's processes exclude each other by the lock of the folder. People's editors take no lock: what they
write meanwhile is noticed before our file takes the place of theirs, and the change is made again on what
they wrote. One file that cannot be read is a problem to report; it never hides the other issues.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routing.errors import CorruptRecordError
from routing.forges.errors import (
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeUnreachableError,
)
from routing.forges.local.durable_file import locked, read_regular, replace_file
from routing.forges.local.issue_file import MAX_ISSUE_BYTES, IssueFile
from routing.issues.issue import Comment, IssueProblem

#: The lock of the folder; it holds the highest number that was ever given, so none is given twice.
LOCK_NAME = ".coalmine.lock"

_NUMBERED = re.compile(r"0*(?P<number>[1-9][0-9]{0,8})(?:[-_. ].*)?\.md", re.IGNORECASE)

#: How often a change is tried again when a person's editor writes the file meanwhile.
_CHANGE_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundIssue:
    """An issue file as it was read; the file may have changed since."""

    path: Path
    file: IssueFile
    number: int
    modified_at: datetime  # aware, the file's own

    @property
    def title(self) -> str:
        """The front matter's title, else the first heading, else the file's name in words."""
        named = re.sub(r"^[0-9]+[-_. ]*", "", self.path.stem).replace("-", " ").replace("_", " ").strip()
        return self.file.matter.title or self.file.heading or named or f"Issue {self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderReading:
    """All that the folder held at one moment.

    A number stands for one file. Of two files that claim the same one, the first by name has it, and the
    other is among the problems.
    """

    issues: Mapping[int, FoundIssue]
    problems: tuple[IssueProblem, ...]
    without_number: tuple[Path, ...]  # by name

    def with_problems(self, message: str) -> "FolderReading":
        """The same, where files without a number cannot be given one."""
        more = (IssueProblem(where=path.name, message=message) for path in self.without_number)
        return replace(self, problems=(*self.problems, *more), without_number=())


@dataclass(frozen=True, slots=True)
class LocalIssues:
    """The issue files of one folder (not of the folders in it).

    Parsed files are kept in memory and used again while inode, size and times of the file are the same, so
    polling a large folder costs one `lstat` a file.
    """

    folder: Path
    _parsed: dict[str, tuple[tuple[int, ...], IssueFile | str]] = field(
        default_factory=dict, repr=False, compare=False
    )  # by file name, with its size and times when it was parsed; or why it could not be

    def read(self) -> FolderReading:
        """Read every issue; files without a number get theirs now.

        So reading may write: numbers go into the front matter of new files, under the folder's lock; where
        that is not possible, they are problems. A folder that cannot be read at all is ForgeUnreachableError,
        or ForgeRefusedError where permissions are missing.
        """
        with self._translated():
            reading = self._scan()
            if reading.without_number:
                try:
                    with locked(self.folder / LOCK_NAME) as lock:
                        self._give_numbers(lock)
                except OSError as error:  # those that have a number are issues all the same
                    return reading.with_problems(f"has no number, and gets none: {error.strerror or error}")
                reading = self._scan()
        return reading

    def find(self, number: int) -> FoundIssue:
        """Return one issue, or raise ForgeGoneError when the folder surely has none of that number.

        While a file that may be the issue cannot be read, nobody knows: that is ForgeUnreachableError,
        because a gone issue is withdrawn from the backlog.
        """
        reading = self.read()
        if number in reading.issues:
            return reading.issues[number]
        broken = "".join(f"; {problem.where}: {problem.message}" for problem in reading.problems[:3])
        message = f"no readable issue {number} is in {self.folder}{broken}"
        # A file that cannot be read may be the one that is wanted: then nobody knows whether it exists.
        if any(_number_of_name(problem.where) in {number, None} for problem in reading.problems):
            raise ForgeUnreachableError(message)
        raise ForgeGoneError(message)

    def change(self, number: int, step: Callable[[IssueFile], Mapping[str, Any]]) -> FoundIssue:
        """Set the front matter's keys that `step` returns for the file as it is now; none leaves it alone.

        `step` may be called several times, as the file may change under us, and must have no effect of its
        own that counts twice. After a few attempts against an editor that keeps writing:
        ForgeUnreachableError, with the file as the person left it.
        """
        with self._translated(), locked(self.folder / LOCK_NAME):
            for _ in range(_CHANGE_ATTEMPTS):
                reading = self._scan()
                if number not in reading.issues:
                    break
                found = reading.issues[number]
                changes = step(found.file)
                if not changes or self._rewrite(found.path, found.file, changes):
                    return self._scan().issues.get(number, found)
            else:
                message = f"issue {number} in {self.folder} keeps changing; it was left as it is"
                raise ForgeUnreachableError(message)
        return self.find(number)

    def _scan(self) -> FolderReading:
        """Read the folder once, in the order of names, without a lock.

        Parsed files that are gone are forgotten here, so memory does not grow with a folder's history.
        """
        issues: dict[int, FoundIssue] = {}
        problems: list[IssueProblem] = []
        without_number: list[Path] = []
        paths = sorted(path for path in self.folder.iterdir() if _may_be_an_issue(path))
        for path in paths:
            try:
                found = self._read_one(path)
            except (CorruptRecordError, OSError) as error:
                problems.append(_problem(path, error))
                continue
            except Exception as error:  # noqa: BLE001 - one item's boundary: the other issues are listed
                problems.append(_problem(path, CorruptRecordError(f"could not be read ({error!r})")))
                continue
            if found is None:
                without_number += [] if path.name.lower() == "readme.md" else [path]
            elif (first := issues.setdefault(found.number, found)) is not found:
                message = f"has the number {found.number}, which {first.path.name!r} has; change one of them"
                problems.append(IssueProblem(where=path.name, message=message))
        for name in self._parsed.keys() - {path.name for path in paths}:
            self._parsed.pop(name, None)
        return FolderReading(
            issues=dict(sorted(issues.items())),
            problems=tuple(problems),
            without_number=tuple(without_number),
        )

    def _read_one(self, path: Path) -> FoundIssue | None:
        """One file, from memory when it is unchanged; None while it has no number.

        A number in the front matter wins over that of the name, so that a file can be renamed freely.
        """
        facts = path.lstat()
        identity = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        known = self._parsed.get(path.name)
        if known is None or known[0] != identity:
            known = self._parsed[path.name] = (identity, _parsed_or_fault(path))
        file = known[1]
        if isinstance(file, str):
            raise CorruptRecordError(file)
        number = file.matter.number or _number_of_name(path.name)
        if number is None:
            return None
        modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
        return FoundIssue(path=path, file=file, number=number, modified_at=modified_at)

    def _give_numbers(self, lock: int) -> None:
        """Number the new files, in the order of their names; the folder's lock is held.

        The highest number is the greatest of the lock file, the issues that can be read, and the names of
        those that cannot: a broken file keeps its number.
        """
        reading = self._scan()
        from_names = [_number_of_name(problem.where) or 0 for problem in reading.problems]
        highest = max([_read_number(lock), *reading.issues, *from_names])
        for path in reading.without_number:
            highest += 1
            # The lock file holds one decimal number, padded so that it is overwritten whole.
            # Written first: a number may be lost in a crash, but it is never given twice.
            os.pwrite(lock, f"{highest:>10}\n".encode(), 0)
            content, _ = read_regular(path, max_bytes=MAX_ISSUE_BYTES)
            self._rewrite(path, IssueFile.parse(content), {"number": highest})

    def _rewrite(self, path: Path, file: IssueFile, changes: Mapping[str, Any]) -> bool:
        """Write the changed file; False when somebody without our lock changed it since it was read.

        Between the comparison and the replacement an editor may still write: that moment is microseconds long
        and cannot be closed without a lock that the editor takes, too.
        """
        content = file.with_fields(**changes).content
        if len(content) > MAX_ISSUE_BYTES:
            message = f"{path.name!r} would grow beyond {MAX_ISSUE_BYTES} bytes; nothing was written"
            raise ForgeInvalidError(message)
        now, facts = read_regular(path, max_bytes=MAX_ISSUE_BYTES)
        if now != file.content:
            return False
        replace_file(path, content, mode=facts.st_mode)
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the errors of files into those of a forge, once for all callers."""
        try:
            yield
        except PermissionError as error:
            message = f"the issues in {self.folder} may not be read or written: {error.strerror}"
            raise ForgeRefusedError(message) from error
        except (OSError, CorruptRecordError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"the issues in {self.folder} could not be read: {reason}; see that the folder exists"
            raise ForgeUnreachableError(message) from error


def _parsed_or_fault(path: Path) -> IssueFile | str:
    """A file, or what is wrong with it: that is remembered too, as it may have taken time to find out."""
    try:
        if path.is_symlink():
            return "is a symbolic link out of the folder, which is not followed; put the file itself here"
        content, _ = read_regular(path, max_bytes=MAX_ISSUE_BYTES)
        file = IssueFile.parse(content)
    except CorruptRecordError as error:
        return str(error)
    return "says nothing yet, and waits until it does" if file.is_blank else file


def _may_be_an_issue(path: Path) -> bool:
    """Whether a name is one of an issue file: markdown, and not hidden, as locks and temporary files are."""
    return path.suffix.lower() == ".md" and not path.name.startswith(".") and not path.is_dir()


def _number_of_name(name: str) -> int | None:
    """The number that a name begins with: 7 for `7.md` and `007-fix-login.md`, None for `notes.md`."""
    found = _NUMBERED.fullmatch(name)
    return int(found["number"]) if found else None


def _read_number(lock: int) -> int:
    """The highest number ever given, 0 when the lock file is new or was damaged."""
    text = os.pread(lock, 20, 0).strip()
    return int(text) if text.isdigit() else 0


def _problem(path: Path, error: Exception) -> IssueProblem:
    reason = error.strerror if isinstance(error, OSError) else error
    return IssueProblem(where=path.name, message=str(reason))


def comments_of(file: IssueFile) -> tuple[Comment, ...]:
    """The comments of an issue's file."""
    stored = file.matter.comments
    ids = [item["id"] for item in file.numbered_comments()]
    return tuple(
        Comment(id=number, author=item.author, body=item.body, created_at=item.at)
        for number, item in zip(ids, stored, strict=True)
    )


def find_comment(found: FoundIssue, comment_id: int) -> Comment:
    """One comment, which is there."""
    return next(comment for comment in comments_of(found.file) if comment.id == comment_id)
