"""The past of a repository, as git has it: what came to the main branch, which files, and for which issue.

Each step of the main branch's first parents is one change, whether merged, squashed or committed there. What
messages say is text from outside: it only names an issue, which is then asked for.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from harvest.backtests.case import MOST_HIDDEN_BYTES, HiddenFile
from harvest.backtests.file_kinds import is_code, is_test
from routing.errors import InvalidInputError
from routing.forges.work_branch import WORK_PREFIX
from routing.git.git import Git
from routing.issues.issue import IssueRef
from routing.jobs.job import is_job_id

#: Words by which forges close an issue with a change, and the line that our own merges end with.
_CLOSES = re.compile(
    r"(?:\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?[ \t]+|^Coalmine-Issue:[ \t]*)"
    r"(?P<name>[A-Za-z0-9][\w./:-]{0,200})?#(?P<number>[1-9][0-9]{0,8})\b",
    re.IGNORECASE | re.MULTILINE,
)
_MERGED_JOB = re.compile(rf"\AMerge .*?{WORK_PREFIX}([0-9a-f]{{16}})\b")
#: The change request, not the issue, as forges write it: `(#12)` at the end of the first line of a squashed
#: change, in the first line of a merge, and in a line of its own on GitLab and Gitea.
_REQUEST = re.compile(
    r"\A[^\n]*\(#(?P<squashed>[1-9][0-9]{0,8})\)[ \t]*(?:\n|\Z)"
    r"|\AMerge pull request (?:'[^\n]*' \()?#(?P<merged>[1-9][0-9]{0,8})\b"
    r"|^See merge request [\w./-]*!(?P<gitlab>[1-9][0-9]{0,8})[ \t]*$"
    r"|^Reviewed-on: \S+/pulls/(?P<gitea>[1-9][0-9]{0,8})[ \t]*$",
    re.MULTILINE,
)

#: Modes of plain files, and whether they can be run.
REGULAR = {"100644": False, "100755": True}
_MOST_FIELDS = 4

#: Lines of a patch alone: what is around them may have changed since.
_PATCH = ("--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--full-index")


class TestsTooLargeError(ValueError):
    """The tests of a change are more than a case may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedFile:
    """A file that a change touched."""

    path: str
    mode: str  # of git, after the change
    blob: str  # after the change
    removed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PastChange:
    """One step of the main branch."""

    commit: str
    at: float  # when it was committed to the main branch, seconds since the epoch, as git says it
    base: str  # the main branch before it
    others: tuple[str, ...]  # commits that came with it
    issue: IssueRef | None
    job: str  # of this fleet that made it, "" for none
    request: int | None  # number of its change request, where the message says it
    files: Sequence[ChangedFile]

    @property
    def tests(self) -> list[ChangedFile]:
        """The files of it that are tests."""
        return [file for file in self.files if is_test(file.path)]

    @property
    def has_code(self) -> bool:
        """Whether there is something that the tests may be about."""
        return any(is_code(file.path) for file in self.files)


def past_changes(git: Git, main: str, *, own: IssueRef) -> Iterator[PastChange]:
    """The changes of a main branch, the newest first, each read when it is asked for. GitError.

    `own` is any issue of the repository: a number alone is one of the same.
    """
    listed = git("log", "--first-parent", "--format=%H %P", main, "--")
    for line in listed.splitlines():
        commit, *parents = line.split(" ")
        if not parents or not parents[0]:
            continue  # the first commit changed nothing that an issue could have been about
        yield _change(git, commit, parents[0], own)


def _change(git: Git, commit: str, base: str, own: IssueRef) -> PastChange:
    at, _, message = git("log", "-1", "--format=%ct%n%B", commit, "--").partition("\n")
    others = git("rev-list", commit, f"^{base}").split()
    whole = message if len(others) == 1 else git("log", "--format=%B", commit, f"^{base}", "--")
    job = _MERGED_JOB.search(message)
    return PastChange(
        commit=commit, at=float(at), base=base, others=tuple(others),
        issue=closed_issue(message, own) or closed_issue(whole, own),
        job=job[1] if job and is_job_id(job[1]) else "",
        request=request_in(message),
        files=list(_changed(git, base, commit)),
    )  # fmt: skip


def request_in(message: str) -> int | None:
    """The number of the change request that a message of the main branch says it came from; None: none."""
    found = _REQUEST.search(message)
    return int(found[found.lastgroup or 0]) if found else None


def closed_issue(message: str, own: IssueRef) -> IssueRef | None:
    """The issue of the same repository that a message says it closes, the last one of several; None: none."""
    found = None
    for each in _CLOSES.finditer(message):
        name = each["name"] or ""
        if name and ":" not in name and name.casefold() != own.repo.casefold():
            continue
        try:
            ref = IssueRef.parse(f"{name}#{each['number']}") if ":" in name else None
        except InvalidInputError:
            continue
        number = int(each["number"])
        ref = ref or IssueRef(forge=own.forge, repo=own.repo, number=number)
        if (ref.forge, ref.repo.casefold()) == (own.forge, own.repo.casefold()):
            found = ref
    return found


def _changed(git: Git, base: str, commit: str) -> Iterator[ChangedFile]:
    raw = git.raw("diff-tree", "-r", "-z", "--no-renames", base, commit).decode(errors="surrogateescape")
    parts = raw.split("\0")
    for head, path in zip(parts[::2], parts[1::2], strict=False):
        fields = head.removeprefix(":").split(" ")
        if len(fields) < _MOST_FIELDS:
            continue
        yield ChangedFile(path=path, mode=fields[1], blob=fields[3], removed=fields[4] == "D")


def is_in_history(git: Git, base: str, change: str, *, hidden: Collection[str]) -> bool:
    """Whether a commit before made the same change, or had all its files as they are after it. GitError.

    Then it was taken back, and made again: an agent finds the answer among the ancestors of its base. Only
    files that are neither hidden nor mere words count.
    """
    files = [file for file in _changed(git, base, change) if file.path not in hidden]
    files = [file for file in files if is_code(file.path)] or files
    paths = [f":(literal){file.path}" for file in files]
    if not paths:
        return False
    walks = [["--full-history"], ["--first-parent", "--diff-merges=first-parent"]]
    raws = [
        git("log", "--raw", "--no-abbrev", "--no-renames", "--format=", *walk, base, "--", *paths)
        for walk in walks
    ]
    states = {word for raw in raws for line in raw.splitlines() for word in line.split(" ")[2:4]}
    wanted = {file.blob for file in files if not file.removed}
    if wanted and wanted <= states:
        return True
    own = _patch_ids(git, git.raw("diff-tree", "-p", *_PATCH, base, change, "--", *paths))
    made = (git.raw("log", "-p", *_PATCH, "--format=commit %H", *walk, base, "--", *paths) for walk in walks)
    return any(own & _patch_ids(git, patches) for patches in made)


def _patch_ids(git: Git, patches: bytes) -> set[str]:
    """What patches do, without where and when."""
    found = git.raw("patch-id", "--stable", stdin=patches).decode()
    return {line.partition(" ")[0] for line in found.splitlines()}


def hidden_files(git: Git, change: PastChange) -> tuple[HiddenFile, ...]:
    """The tests of a change as they are after it. ValueError for one that a case cannot hold; GitError."""
    blobs = "".join(f"{file.blob}\n" for file in change.tests if not file.removed)
    sizes = git("cat-file", "--batch-check=%(objectsize)", stdin=blobs).split()
    if sum(int(size) for size in sizes if size.isdecimal()) > MOST_HIDDEN_BYTES:
        message = f"its tests have more than {MOST_HIDDEN_BYTES} bytes"
        raise TestsTooLargeError(message)
    return tuple(map(partial(_hidden, git), change.tests))


def _hidden(git: Git, file: ChangedFile) -> HiddenFile:
    if file.removed:
        return HiddenFile(path=file.path, content=None)
    if file.mode not in REGULAR:
        message = f"{file.path[:80]} is a link or a submodule"
        raise ValueError(message)
    content = git.raw("cat-file", "blob", file.blob)
    return HiddenFile.of(file.path, content, executable=REGULAR[file.mode])
