"""Whether agents can work for a repository: found out before one is paid, by `up`, `doctor` and each poll.

Only what makes every job fail, or lose its work, is a fault. Each is named with what to do about it.
"""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.git import LocalGit
from routing.forges.work_branch import WORK_PREFIX
from routing.git.git import GitError
from routing.git.lfs import uses_lfs

#: A repository with more files, or more bytes in its packs, is slow for every job.
MANY_FILES = 200_000
MANY_BYTES = 5 * 1024**3

_PARTIAL = r"^(remote\..*\.promisor|extensions\.partialclone)$"


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryFault:
    """Why no job can be done there."""

    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


@dataclass(slots=True)
class Wholeness:
    """What was found when the objects of a partial clone were last looked for, which takes long.

    Looking again is due when the main branch has moved, or an object that was missing may have come. Threads
    may share it: a look too many does no harm.
    """

    _tip: str = ""
    _packs: tuple[int, ...] = ()
    _fault: RepositoryFault | None = None

    def fault_of(self, git: LocalGit) -> RepositoryFault | None:
        """As at the last look, if nothing has changed since; else look at what is new."""
        tip, packs = git.main_tip(), _packs_of(git)
        if tip == self._tip and (self._fault is None or packs == self._packs):
            return self._fault
        known = self._tip if self._fault is None and self._tip and git.has_commit(self._tip) else ""
        fault = _lacks_objects(git, tip, known)
        self._tip, self._packs, self._fault = tip, packs, fault
        return fault


def fault_of(git: LocalGit, wholeness: Wholeness | None = None) -> RepositoryFault | None:
    """The first thing that keeps agents from working for the repository; None when nothing does.

    `wholeness` is given by those who ask again and again.
    """
    try:
        found = _unusable(git) or _without_main(git) or _without_room(git)
        is_partial = found is None and git.ask("config", "--get-regexp", _PARTIAL)[0] == 0
        return (wholeness or Wholeness()).fault_of(git) if is_partial else found
    except (GitError, ForgeUnreachableError) as error:
        return RepositoryFault(message=str(error), remedy="see that git works there")


def issues_fault(folder: Path) -> RepositoryFault | None:
    """Why a folder of issues is of no use: numbers, comments and ends are written there. None if it is."""
    if not folder.is_dir():
        return RepositoryFault(message=f"{folder} is not a folder", remedy="make it, or correct the path")
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return None
    return RepositoryFault(
        message=f"the folder of issues {folder} cannot be read and written by this user",
        remedy="let it (chmod, chown, or mount it writable), or run as its owner",
    )


def is_large(git: LocalGit) -> str:
    """How large a repository is whose jobs take long; "" for any other."""
    counted = dict(line.split(": ") for line in git.run("count-objects", "-v").splitlines())
    size = int(counted.get("size-pack", 0)) * 1024
    files = git.run("ls-tree", "-r", "--name-only", "-z", git.main_tip()).count("\0")
    if size <= MANY_BYTES and files <= MANY_FILES:
        return ""
    return (
        f"{git.directory} is large ({files} files, {size / 1024**3:.1f} GiB of history): each job takes long"
    )


def lacks_lfs(git: LocalGit) -> bool:
    """Whether agents here find pointers in the place of files that are in Git LFS."""
    with git.opened("grep") as asked:
        return shutil.which("git-lfs") is None and uses_lfs(asked, git.main_tip())


def _unusable(git: LocalGit) -> RepositoryFault | None:
    """A folder without a repository, or one of another user, which git does not touch."""
    with git.opened("rev-parse") as opened:
        asked = opened.attempt("rev-parse", "--git-dir", "--show-cdup")
    if asked.returncode == 0:
        up = asked.stdout.rstrip("\n").partition("\n")[2]
        return _inside(git, up) if up else None
    said = " ".join(asked.stderr.split())[:300]
    remedy = "correct the path, or run `git init` there and commit"
    if "dubious ownership" in said:
        remedy = f"allow it: git config --global --add safe.directory {_quoted(git)}"
    return RepositoryFault(message=f"git does not work in {git.directory}: {said}", remedy=remedy)


def _inside(git: LocalGit, up: str) -> RepositoryFault:
    """A folder within a repository: jobs work in the whole of it."""
    top = (git.directory / up).resolve()
    message = f"{git.directory} is a folder within the repository {top}"
    return RepositoryFault(message=message, remedy=f"give the repository itself: {shlex.quote(str(top))}")


def _quoted(git: LocalGit) -> str:
    return shlex.quote(str(git.directory))


def _without_main(git: LocalGit) -> RepositoryFault | None:
    """Work begins at the main branch, and goes there."""
    try:
        git.main_tip()
    except ForgeUnreachableError as error:
        return RepositoryFault(message=str(error), remedy="or name the right one in forge.local.main")
    return None


def _without_room(git: LocalGit) -> RepositoryFault | None:
    """Git keeps the parts of a branch's name as folders: `coalmine` leaves no room for `coalmine/JOB`."""
    name = WORK_PREFIX.rstrip("/")
    if git.tip(name) is None:
        return None
    message = f"{git.directory} has a branch {name}, so no branch {WORK_PREFIX}JOB can be made there"
    return RepositoryFault(
        message=message, remedy=f"rename it: git -C {_quoted(git)} branch -m {name} {name}-old"
    )


def _packs_of(git: LocalGit) -> tuple[int, ...]:
    """What changes when objects come: the times of the folders that hold them."""
    objects = Path(git.run("rev-parse", "--path-format=absolute", "--git-path", "objects"))
    folders = [objects, objects / "pack"]
    return tuple(folder.stat().st_mtime_ns for folder in folders if folder.is_dir())


def _lacks_objects(git: LocalGit, tip: str, whole: str) -> RepositoryFault | None:
    """A partial clone lacks objects, and gives them to nobody. What `whole` has was found before."""
    known = [f"^{whole}"] if whole else []
    listed = git.run("rev-list", "--objects", "--no-object-names", "--missing=print", tip, *known)
    if "\n?" not in f"\n{listed}":
        return None
    message = f"{git.directory} is a partial clone that lacks objects of {git.main_branch()}"
    here = f"git -C {_quoted(git)}"
    unset = f"{here} config --unset remote.origin.partialclonefilter"
    remedy = f"fetch all: {unset}; {here} fetch --refetch origin"
    return RepositoryFault(message=message, remedy=remedy)
