"""What the branch of a job changes, as git on this host says; bounded, and without any program of others.

A web process may have no copy of the repository: the work trees are on the hosts of the workers. Then there
is nothing to show, and the page says so.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing.errors import InvalidInputError, NotFoundError
from routing.forges.local.config import LocalConfig
from routing.git.git import Git, GitError
from routing.jobs.job import Job
from tasks.agents.repository.place import RepositoryPlace
from tasks.composition.composition import Coalmine

#: Seconds that git may take for one answer.
ANSWER_SECONDS = 8.0

#: Files whose changes are shown, the bytes of a file from which on they are not, and those of all of them.
MOST_FILES, LARGE_FILE, MOST_BYTES = 200, 64 * 1024, 256 * 1024

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class NoBranchError(NotFoundError):
    """The job has pushed nothing yet, or no copy of its repository is on this host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BranchChanges:
    """The difference between the commit that a job's work began from and the one that it pushed."""

    job: Job
    files: int  # that differ
    unshown: Sequence[str]  # paths of those that are large, or too many
    lines: Sequence[str]  # of the unified diff of the others

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "job": self.job.id,
            "base": self.job.base_commit,
            "commit": self.job.result.commit,
            "files": self.files,
            "unshown": list(self.unshown),
            "diff": list(self.lines),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _ChangedFile:
    path: str
    blobs: tuple[str, str]  # before and after; zeros where there is none


def read_branch(parts: Coalmine, reference: str) -> BranchChanges:
    """Read it by the job's id; NoBranchError where there is nothing to read."""
    job = parts.jobs.find(reference)
    base, commit = job.base_commit, job.result.commit
    if not (_COMMIT.fullmatch(base) and _COMMIT.fullmatch(commit)):
        message = f"job {job.id} has pushed nothing yet, so its branch changes nothing"
        raise NoBranchError(message)
    for place in _places(parts, job):
        git = Git(place, timeout_seconds=ANSWER_SECONDS)
        if all(_has(git, each) for each in (base, commit)):
            return _changes(git, job)
    message = f"no copy of {job.request.repository} on this host has commit {commit[:12]}; look at its forge"
    raise NoBranchError(message)


def _places(parts: Coalmine, job: Job) -> Iterator[Path]:
    """Repositories of this host that may have them: the job's own, the mirror, those of local forges."""
    work_dir = parts.settings.agent.work_dir
    try:
        place = RepositoryPlace(work_dir=work_dir, repository=job.request.repository)
        found = [place.git_dir(job.id), place.mirror]
    except InvalidInputError:
        found = []
    local = [forge for forge in parts.settings.forge if isinstance(forge, LocalConfig)]
    found += [forge.repository for forge in local if forge.repository is not None]
    return (path for path in found if path.is_dir())


def _has(git: Git, commit: str) -> bool:
    try:
        return git.attempt("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0
    except GitError:  # no git, or too slow: another copy may answer
        return False


def _changes(git: Git, job: Job) -> BranchChanges:
    files = _files(git, job)
    shown = _small(git, files[:MOST_FILES])
    kept = {each.path for each in shown}
    lines: list[str] = []
    if shown:
        text = git(*_DIFF, job.base_commit, job.result.commit, "--", *(each.path for each in shown))
        lines = text.split("\n")
    return BranchChanges(
        job=job, files=len(files), unshown=[each.path for each in files if each.path not in kept], lines=lines
    )


#: No program of the repository's settings, no colours, no search for renames.
_DIFF = ("--literal-pathspecs", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


def _files(git: Git, job: Job) -> list[_ChangedFile]:
    listed = git.raw(*_DIFF, "--raw", "--no-abbrev", "-z", job.base_commit, job.result.commit)
    parts = listed.decode(errors="surrogateescape").split("\0")
    return [
        _ChangedFile(path=path, blobs=(fields.split()[2], fields.split()[3]))
        for fields, path in zip(parts[::2], parts[1::2], strict=False)
    ]


def _small(git: Git, files: Sequence[_ChangedFile]) -> list[_ChangedFile]:
    """Those whose changes are shown: no file is large, and all together are not."""
    blobs = [blob for each in files for blob in each.blobs if blob.strip("0")]
    answer = git("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin="\n".join([*blobs, ""]))
    named = (line.partition(" ") for line in answer.splitlines())
    sizes = {name: int(size) for name, _, size in named if size.isdigit()}
    found, left = [], MOST_BYTES
    for each in files:
        size = sum(sizes.get(blob, 0) for blob in each.blobs)
        if size <= LARGE_FILE and size <= left:
            found.append(each)
            left -= size
    return found
