"""Work on its way to the judge: packed where its agent worked, unpacked where it is judged.

What travels is a git bundle of one commit of nobody's, with the files of the agent's, on the commit that both
versions began from: no branch, author, message, date or path tells the version. It lies in the store, so any
host can judge it, whatever became of the work on a forge, and whatever host had the tree.
"""

import base64
import tempfile
from dataclasses import replace
from pathlib import Path

from routing.base import Base
from routing.git.git import Git, GitAccess
from routing.store.judging.judging_store import HandedWork
from tasks.agents.repository.mirror import Mirror
from tasks.agents.repository.our_git import borrow
from tasks.agents.repository.our_repository import format_of, our_repository

#: The most bytes that a bundle may have. Larger work cannot be judged, on either side, and scores 0.
MOST_BYTES = 32 * 1024 * 1024

#: The references of the work: in its bundle and in our git directory of its job, and where it is judged.
_WORK = "refs/coalmine/judged"
_MAIN = "refs/heads/main"

#: Who made the commit that is judged: nobody.
NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "judged"), ("EMAIL", "judged@invalid"), ("DATE", "@0 +0000"))
}


class WorkTooLargeError(Exception):
    """A bundle has more than MOST_BYTES."""


def packed(git: Git, commit: str, base: Base) -> HandedWork:
    """A commit of a job's own repository, packed for its judge; GitError, OSError, WorkTooLargeError."""
    neutral = _neutral(git, commit, base)
    git("update-ref", _WORK, neutral)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.bundle"
        git("bundle", "create", "--quiet", str(file), _WORK, f"^{base.commit}")
        if (size := file.stat().st_size) > MOST_BYTES:
            message = f"the work has {size / 1024 / 1024:.0f} MiB, and a judge takes at most 32"
            raise WorkTooLargeError(message)
        content = file.read_bytes()
    return HandedWork(
        commit=commit, neutral=neutral, base_branch=base.branch, base_commit=base.commit,
        object_format=format_of(git.directory), bundle=base64.b64encode(content).decode("ascii"),
    )  # fmt: skip


def _neutral(git: Git, commit: str, base: Base) -> str:
    """A commit with the files of another one, and nothing else of it."""
    access = git.access or GitAccess()
    unnamed = replace(git, access=replace(access, environment={**access.environment, **NOBODY}))
    return unnamed("commit-tree", f"{commit}^{{tree}}", "-p", base.commit, "-m", "work")


def unpacked(work: HandedWork, path: Path, lender: Path) -> Git:
    """Git in a bare repository that has the work, and borrows the base of `lender`. GitError, OSError."""
    made = our_repository(path, object_format=work.object_format)
    borrow(path, lender)
    file = path.with_name("work.bundle")
    file.write_bytes(base64.b64decode(work.bundle))
    made("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(file.resolve()), f"+{_WORK}:{_MAIN}")
    file.unlink()
    return made


def with_base(mirror: Mirror, work: HandedWork) -> Path:
    """The mirror of this host, with the commit that the work began from; raises what its fetch raises."""
    if mirror.path.exists():
        known = Git(mirror.path).attempt("cat-file", "-e", f"{work.base_commit}^{{commit}}")
        if known.returncode == 0:
            return mirror.path
    mirror.fetch(base=work.base_branch)
    return mirror.path
