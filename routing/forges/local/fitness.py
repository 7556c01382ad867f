"""Whether agents can work for a repository: found out before one is paid, by `up`, `doctor` and each poll.

Only what makes every job fail, or lose its work, is a fault. Each is named with what to do about it.
"""

import shutil
from dataclasses import dataclass

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


def fault_of(git: LocalGit) -> RepositoryFault | None:
    """The first thing that keeps agents from working for the repository; None when nothing does."""
    try:
        return _unusable(git) or _without_main(git) or _without_room(git) or _partial(git)
    except (GitError, ForgeUnreachableError) as error:
        return RepositoryFault(message=str(error), remedy="see that git works there")


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
        asked = opened.attempt("rev-parse", "--git-dir")
    if asked.returncode == 0:
        return None
    said = " ".join(asked.stderr.split())[:300]
    remedy = "correct the path, or run `git init` there and commit"
    if "dubious ownership" in said:
        remedy = f"allow it: git config --global --add safe.directory {git.directory}"
    return RepositoryFault(message=f"git does not work in {git.directory}: {said}", remedy=remedy)


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
    return RepositoryFault(message=message, remedy=f"rename it: git branch -m {name} {name}-old")


def _partial(git: LocalGit) -> RepositoryFault | None:
    """A partial clone lacks objects, and gives them to nobody."""
    if git.ask("config", "--get-regexp", _PARTIAL)[0] != 0:
        return None
    listed = git.run("rev-list", "--objects", "--no-object-names", "--missing=print", git.main_tip())
    if "\n?" not in f"\n{listed}":
        return None
    message = f"{git.directory} is a partial clone that lacks objects of {git.main_branch()}"
    remedy = "fetch all: git config --unset remote.origin.partialclonefilter; git fetch --refetch origin"
    return RepositoryFault(message=message, remedy=remedy)
