"""Where a repository's files are on this machine: names from outside, checked before they become paths.

Below the working folder: `REPOSITORY/JOB` is a work tree; `REPOSITORY/.coalmine/` has the mirror, and our git
directory of each job; `.coalmine/` has the files of turns, and scratch folders of jobs without repository.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from routing.errors import InvalidInputError
from routing.git.limits import GitLimits
from routing.jobs.job import checked_job_id

_NAME = re.compile(
    r"([a-z][a-z0-9-]{0,39}:)?[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,5}"
)
#: `transport::address` makes git run a program of that name.
_RUNS_A_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")
#: The folder for our own files, among work trees and among repositories. Neither can have this name.
_OURS = ".coalmine"

#: References under which shadows' work is kept.
SHADOW_REFS = "refs/coalmine/shadow/"

#: Folders that versions before used beside those of repositories. A repository may have the same name now.
_EARLIER = frozenset({"turns", "scratch"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryPlace:
    """The folder of one repository: a work tree for each job, and beside them what agents are not shown.

    The paths need not exist. InvalidInputError: the repository's name, or a job's id, is malformed.
    """

    work_dir: Path
    repository: str  # `shop`, `team/shop` or `local:shop`
    group: int | None = None  # of users, to which trees are opened; None: they are this user's alone
    limits: GitLimits = field(default_factory=GitLimits)  # of what git does there

    @property
    def folder(self) -> Path:
        """`<work_dir>/<repository>`; `/` and `:` of the name are `+` and `@` there."""
        return self.work_dir / folder_name(self.repository)

    @property
    def mirror(self) -> Path:
        """The bare repository that fetches, shared by all jobs of this host."""
        return self.folder / _OURS / "mirror.git"

    @property
    def out_of_the_way(self) -> Path:
        """The folder for what cannot be removed, on the same file system."""
        return out_of_the_way(self.folder)

    def tree(self, job_id: str) -> Path:
        """A job's work tree, where its agent may write whatever it likes."""
        return self.folder / checked_job_id(job_id)

    def git_dir(self, job_id: str) -> Path:
        """Our own bare repository for a job's branch: agents are not shown it."""
        return self.folder / _OURS / f"{checked_job_id(job_id)}.git"


class UnknownRepositoryError(InvalidInputError):
    """The settings of this worker have no such repository; those of another one may."""


def folder_name(repository: str) -> str:
    """Return a name for one folder, a different one for each repository. InvalidInputError: malformed."""
    parts = repository.split("/")
    if not _NAME.fullmatch(repository) or any(part.endswith((".git", ".lock", ".")) for part in parts):
        message = (
            f"{repository[:80]!r} is not a repository name; use NAME or OWNER/NAME of letters, digits, "
            "dots, dashes and underscores, optionally with a forge's name and a colon before it"
        )
        raise InvalidInputError(message)
    return repository.replace("/", "+").replace(":", "@")


def checked_remote(remote: str) -> str:
    """Return the address of a remote, absolute if it is a path.

    Raises InvalidInputError for what git would take for an option, or for a program to run.
    """
    if not remote or remote.startswith("-") or "\0" in remote or _RUNS_A_PROGRAM.match(remote):
        message = f"{remote[:80]!r} is not a repository's address; use a path, an ssh or an https address"
        raise InvalidInputError(message)
    path = Path(remote)
    return str(path.resolve()) if path.exists() else remote


def job_ids_in(work_dir: Path) -> list[tuple[Path, str]]:
    """Return the folder and id of every job that has a tree, a turn's files or a scratch folder here."""
    trees = [(path.parent, path.name) for one in ("*/*", f"{_OURS}/*/*") for path in work_dir.glob(one)]
    ours = [(path.parent.parent, path.stem) for path in work_dir.glob(f"*/{_OURS}/*.git")]
    return sorted({(folder, name) for folder, name in trees + ours if re.fullmatch(r"[0-9a-f]{16}", name)})


def mirrors_in(work_dir: Path) -> list[Path]:
    """Return the mirrors of this host, of all repositories."""
    return sorted(work_dir.glob(f"*/{_OURS}/mirror.git"))


def shadows_beside(mirror: Path) -> Path:
    """Return the repository for the work of shadows, which borrows a mirror, and which no tree borrows."""
    return mirror.with_name("shadows.git")


def turn_files(work_dir: Path, job_id: str, fence: int) -> Path:
    """Return the folder of a turn's prompt and log; the turn is named by its fence."""
    return work_dir / _OURS / "turns" / checked_job_id(job_id) / str(fence)


def scratch(work_dir: Path, job_id: str) -> Path:
    """Return the folder where a job works that has no repository."""
    return work_dir / _OURS / "scratch" / checked_job_id(job_id)


def own_files(work_dir: Path, job_id: str, fence: int) -> Path:
    """Return the folder of a turn for home and temporary files in a sandbox; gone after the turn."""
    return work_dir / _OURS / "own" / checked_job_id(job_id) / str(fence)


def session_files_of(work_dir: Path, job_id: str, agent: str = "") -> Path:
    """Return the folder of an agent's sessions in a sandbox: its job's, or that of an agent of several."""
    return work_dir / _OURS / "sessions" / (f"agent-{agent}" if agent else checked_job_id(job_id))


def etc_copies_of(work_dir: Path) -> Path:
    """Return the folder for copies of what sandboxes are shown of /etc."""
    return work_dir / _OURS / "etc"


def shadow_ref(branch: str) -> str:
    """The reference under which a shadow's work is kept, by the branch that it would have."""
    return f"{SHADOW_REFS}{branch.rpartition('/')[2]}"


def is_of_earlier_layout(folder: Path, work_dir: Path) -> bool:
    """Whether versions before made this folder, so that it can go when it is empty."""
    return folder.parent == work_dir and folder.name in _EARLIER


def paths_of(folder: Path, job_id: str) -> tuple[Path, Path]:
    """Return a job's work tree and our git directory of it in a repository's folder."""
    return folder / job_id, folder / _OURS / f"{job_id}.git"


def out_of_the_way(folder: Path) -> Path:
    """Where things of a folder of jobs go that cannot be removed."""
    return folder / _OURS / "left"


def left_over_in(work_dir: Path) -> list[Path]:
    """What could not be removed, and was put out of the way."""
    return [path for one in ("*", f"{_OURS}/*") for path in work_dir.glob(f"{one}/{_OURS}/left/*")]
