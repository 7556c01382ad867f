"""The work of shadows: kept on this host for a while, for people to look at, and lent to nobody.

It lies in a repository of its own beside the mirror, which it borrows. Trees borrow the mirror, and not this:
so no agent reads what another version made of the same issue.

Each reference leads to a tag of ours on the commit, which says when it was kept: the date of a commit is its
agent's to write. Earlier releases kept the commit alone.
"""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from routing.errors import UnavailableError
from routing.folder_removal import remove_all
from routing.git.git import Git, GitError, is_at_limit
from routing.git.limits import GitLimits
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.our_git import borrow
from tasks.agents.repository.our_repository import our_repository
from tasks.agents.repository.place import SHADOW_REFS, shadow_ref, shadows_beside

_log = structlog.get_logger(__name__)

#: For how many seconds the work of shadows is kept, and of how many.
SHADOW_SECONDS = 14 * 86_400.0
MOST_SHADOWS = 1000


#: A tag of nobody's: git's form of it.
_TAG = "object {commit}\ntype commit\ntag {name}\ntagger nobody <nobody@invalid> {at} +0000\n\nkept\n"


def keep_shadow(
    git: Git, mirror: Path, *, branch: str, commit: str, limits: GitLimits,
    now: Callable[[], float] = time.time,
) -> None:  # fmt: skip
    """Keep a commit of a job's repository under the name of the branch that it would have.

    What was kept and cannot be added to, as it is damaged or of another object format, is given up for it.
    `now` is in seconds since the epoch, as in `drop_old_shadows`.
    Raises GitError, and UnavailableError when another process holds the repository for too long.
    """
    name = shadow_ref(branch)
    tag = git("mktag", stdin=_TAG.format(commit=commit, name=name.rpartition("/")[2], at=int(now())))
    path, wanted = shadows_beside(mirror), f"+{tag}:{name}"
    with host_lock(path.with_suffix(".lock"), patience_seconds=limits.transfer_seconds):
        try:
            _add(git, path, mirror, wanted)
        except GitError as error:
            if is_at_limit(error) or not error.has_answered:
                raise
            _log.warning("shadows.made_anew", repository=str(path), because=str(error)[:500])
            remove_all(path)
            _add(git, path, mirror, wanted)


def _add(git: Git, path: Path, mirror: Path, wanted: str) -> None:
    kept = our_repository(path, like=mirror)
    borrow(kept.directory, mirror)
    receives = "--receive-pack=git -c receive.shallowUpdate=true receive-pack"  # history may end somewhere
    git("push", "--quiet", receives, "--", str(path.resolve()), wanted)


def drop_old_shadows(repository: Path, now: float) -> None:
    """Forget work of shadows that is old, or beyond the newest: it was judged long ago. A failure is logged.

    `now` is in seconds since the epoch. In a repository that is in use nothing is done.
    """
    how = ("--sort=-creatordate", "--format=%(refname) %(creatordate:unix)", SHADOW_REFS)
    try:
        with host_lock(repository.with_suffix(".lock"), patience_seconds=0.0):
            git = our_repository(repository)
            kept = [line.split() for line in git("for-each-ref", *how).splitlines()]
            for place, (name, at) in enumerate(kept):
                if place >= MOST_SHADOWS or now - float(at) > SHADOW_SECONDS:
                    git("update-ref", "-d", name)
    except UnavailableError as error:  # in use, or git failed
        if isinstance(error, GitError):
            _log.warning("shadows.kept", repository=str(repository), reason=str(error)[:500])
    except (OSError, ValueError) as error:
        _log.warning("shadows.kept", repository=str(repository), reason=str(error)[:500])
