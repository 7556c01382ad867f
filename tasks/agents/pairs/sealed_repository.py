"""A repository that ends at the base of a case: that commit with its ancestors, and nothing that is newer.

Jobs of a case have it for their remote. So their mirror, and what their agent is handed, cannot hold the true
change: no object, reference, tag or reflog of it was ever there. It is made on each host from the mirror of
the whole repository, which agents of a case are not shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from routing.errors import NotFoundError
from routing.folder_removal import remove_all
from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository.mirror import Mirror, host_lock
from tasks.agents.repository.our_git import borrow
from tasks.agents.repository.our_repository import format_of, our_repository
from tasks.agents.repository.place import RepositoryPlace

_log = structlog.get_logger(__name__)

#: The one branch of a sealed repository.
BRANCH = "main"

#: Seconds after their last use for which repositories of cases are kept.
CASE_SECONDS = 86_400.0

#: How places of cases are called: `backtest:` and the case's digest.
_PLACE = "backtest:{digest}"


class BaseGoneError(NotFoundError):
    """The commit that a case begins from is not in the repository's main branch."""


def place_of_case(whole: RepositoryPlace, digest: str) -> RepositoryPlace:
    """Where the trees of a case's jobs are on this host: a place that no other work shares."""
    return replace(whole, repository=_PLACE.format(digest=digest))


def sealed_remote(whole: RepositoryPlace, remote: Remote, *, digest: str, base: str) -> Remote:
    """The remote of a case's jobs on this host, made if it is not there yet.

    `whole` and `remote` are those of the repository that the case is from. Raises BaseGoneError when that has
    no such commit, and what `Mirror.fetch` raises.
    """
    folder = place_of_case(whole, digest).mirror.parent
    path = folder / "sealed.git"
    folder.mkdir(parents=True, exist_ok=True)
    with host_lock(folder / "sealed.lock", patience_seconds=remote.limits.transfer_seconds):
        (folder / "sealed.lock").touch()  # used now: see `sweep_case_places`
        if not _is_sealed(path, base):
            lender = Mirror(path=whole.mirror, remote=remote)
            lender.fetch()
            _seal(path, whole.mirror, base)
    return replace(remote, address=str(path.resolve()), credential=None, main_branch=None, submodules=False)


def _is_sealed(path: Path, base: str) -> bool:
    """Whether it was made to its end: its branch is written last."""
    if not (path / "HEAD").exists():
        return False
    found = our_repository(path).attempt("rev-parse", "--quiet", "--verify", f"refs/heads/{BRANCH}")
    return found.stdout.strip() == base


def _seal(path: Path, lender: Path, base: str) -> None:
    """Copy a commit with its ancestors: a push sends what the branch needs, and nothing else."""
    whole = our_repository(lender)
    if whole.attempt("cat-file", "-e", f"{base}^{{commit}}").returncode != 0:
        message = f"commit {base[:12]} is not in {lender}; the history that the case is from was rewritten"
        raise BaseGoneError(message)
    remove_all(path)
    our_repository(path, object_format=format_of(lender))
    receives = "--receive-pack=git -c receive.shallowUpdate=true receive-pack"  # history may end somewhere
    whole("push", "--quiet", receives, "--", str(path.resolve()), f"{base}:refs/heads/{BRANCH}")
    _log.info("backtest.sealed", repository=str(path), base=base)


def sweep_case_places(work_dir: Path, *, before: float) -> list[str]:
    """Remove the repositories of cases that were last used before a time; returns the cases' digests.

    Those with a tree of a job stay. They are made again when they are needed.
    """
    swept = []
    for lock in work_dir.glob(f"{_PLACE.format(digest='*').replace(':', '@')}/.coalmine/sealed.lock"):
        folder = lock.parent.parent
        if lock.stat().st_mtime < before and all(path == lock.parent for path in folder.iterdir()):
            remove_all(folder)
            swept.append(folder.name.partition("@")[2])
    return sorted(swept)


@contextmanager
def scratch_repository(whole: RepositoryPlace, remote: Remote) -> Iterator[tuple[Git, str]]:
    """A repository that has all of another and may be written to, and the newest commit of its main branch.

    It is gone after the block. For those who make and prove cases; raises what `Mirror.fetch` raises.
    """
    state = Mirror(path=whole.mirror, remote=remote).fetch()
    with TemporaryDirectory(prefix="cases-", dir=whole.mirror.parent) as folder:
        git = our_repository(Path(folder) / "scratch.git", like=whole.mirror)
        borrow(git.directory, whole.mirror)
        yield git, state.main
