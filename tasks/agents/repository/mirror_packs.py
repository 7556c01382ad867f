"""Keeps mirrors, and the work of shadows beside them, small: many packs and loose objects become one pack.

Work trees borrow the mirror's objects, and the mirror does not know which: a commit that none of its branches
reaches any longer may be the base of a tree. So nothing is dropped, as `git gc` would do: whatever the mirror
has is in the new pack before an old one is removed. A git that runs in a work tree meanwhile looks for packs
again when one has gone. Nobody borrows the work of shadows: what was forgotten of it is dropped.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from routing.errors import UnavailableError
from routing.git.git import Git, GitError
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.our_repository import our_repository
from tasks.agents.repository.place import SHADOW_REFS, mirrors_in, shadows_beside
from tasks.agents.repository.shadows import drop_old_shadows

_log = structlog.get_logger(__name__)

#: A mirror with more packs, or more objects outside of packs, is repacked.
MANY_PACKS = 50
MANY_LOOSE = 5000

#: Seconds between two tries at the same mirror, whether or not the first succeeded.
AGAIN_SECONDS = 86_400.0

#: Time limit of repacking. Jobs of this host cannot fetch meanwhile; they wait longer than this.
REPACK_SECONDS = 1800.0

#: The commands that repack a mirror, and the work of shadows.
_LENT: Sequence[Sequence[str]] = [("repack", "-a", "-d", "--keep-unreachable", "--local", "--quiet")]
_KEPT: Sequence[Sequence[str]] = [("repack", "-a", "-d", "--local", "--quiet"), ("prune", "--expire=now")]

#: Loose objects lie in 256 folders by the first two digits of their hash: one of them is a fair sample.
_SAMPLE, _SAMPLES = "17", 256


def repack_mirrors(work_dir: Path, *, now: Callable[[], float]) -> list[Path]:
    """Repack what needs it of the mirrors of this host, and of shadows' work; returns what was repacked.

    `now` is in seconds since the epoch, as the times of files are.
    """
    mirrors = mirrors_in(work_dir)
    shadows = [path for path in map(shadows_beside, mirrors) if path.is_dir()]
    for path in [*mirrors, *shadows]:  # earlier releases kept it in the mirror
        drop_old_shadows(path, now())
    wanted = [*((path, _LENT) for path in mirrors), *((path, _KEPT) for path in shadows)]
    return [path for path, how in wanted if is_untidy(path) and _repack(path, now(), how)]


def mirrors_with_work_of_jobs(work_dir: Path) -> list[Path]:
    """Mirrors of this host from the time when jobs' branches, and shadows' work, were fetched into them.

    All trees of the repository can read it there, for as long as the mirror lives. One that git cannot read
    is left out: the next job makes it anew.
    """
    found = []
    for mirror in mirrors_in(work_dir):
        listed = Git(mirror).attempt(
            "for-each-ref", "--count=1", "--format=%(refname)", "refs/heads/coalmine/", SHADOW_REFS
        )
        if listed.returncode == 0 and listed.stdout.strip():
            found.append(mirror)
    return found


def is_untidy(mirror: Path) -> bool:
    """Whether a mirror has many packs or many loose objects."""
    objects = mirror / "objects"
    packs = sum(1 for _ in objects.glob("pack/*.pack"))
    return packs > MANY_PACKS or _SAMPLES * sum(1 for _ in objects.glob(f"{_SAMPLE}/*")) > MANY_LOOSE


def _repack(mirror: Path, now: float, how: Sequence[Sequence[str]]) -> bool:
    """Whether the mirror was repacked. A failure is logged, and the mirror is tried again in a day."""
    try:
        with host_lock(mirror.with_suffix(".lock"), patience_seconds=0.0):
            if not _is_due(mirror.with_suffix(".repacked"), now):
                return False
            _drop_remains(mirror)
            git = replace(our_repository(mirror), timeout_seconds=REPACK_SECONDS)
            for command in how:
                git(*command)
    except (GitError, OSError) as error:
        _log.warning("mirror.not_repacked", mirror=str(mirror), reason=str(error)[:500])
        return False
    except UnavailableError:  # a job is fetching: at the next look
        return False
    _log.info("mirror.repacked", mirror=str(mirror))
    return True


def _is_due(tried: Path, now: float) -> bool:
    """Whether nobody has tried for a day; then the time of the file `tried` is set to now."""
    if tried.exists() and 0 <= now - tried.stat().st_mtime < AGAIN_SECONDS:
        return False
    tried.touch()
    os.utime(tried, (now, now))
    return True


def _drop_remains(mirror: Path) -> None:
    """Remove what a killed git had half written. We hold the lock, so nobody else is writing."""
    for file in [*mirror.glob("objects/pack/tmp_*"), *mirror.glob("objects/pack/.tmp-*")]:
        with suppress(FileNotFoundError):
            file.unlink()
