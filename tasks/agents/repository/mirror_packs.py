"""Keeps mirrors small: loose objects, and the packs of many fetches, become one pack.

Work trees borrow the mirror's objects, and the mirror does not know which: a commit that none of its branches
reaches any longer may be the base of a tree. So nothing is dropped, as `git gc` would do: whatever the mirror
has is in the new pack before an old one is removed. A git that runs in a work tree meanwhile looks for packs
again when one has gone.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from routing.errors import UnavailableError
from routing.git.git import GitError
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.our_repository import our_repository
from tasks.agents.repository.place import SHADOW_REFS, mirrors_in

_log = structlog.get_logger(__name__)

#: A mirror with more packs, or more objects outside of packs, is repacked.
MANY_PACKS = 50
MANY_LOOSE = 5000

#: Seconds between two tries at the same mirror, whether or not the first succeeded.
AGAIN_SECONDS = 86_400.0

#: Time limit of repacking. Jobs of this host cannot fetch meanwhile; they wait longer than this.
REPACK_SECONDS = 1800.0

#: Shadows' work in a mirror: for how many seconds it is kept, and how many.
SHADOW_SECONDS = 14 * 86_400.0
MOST_SHADOWS = 1000

#: Loose objects lie in 256 folders by the first two digits of their hash: one of them is a fair sample.
_SAMPLE, _SAMPLES = "17", 256


def repack_mirrors(work_dir: Path, *, now: Callable[[], float]) -> list[Path]:
    """Repack the mirrors of this host that need it, and return those that were.

    `now` is in seconds since the epoch, as the times of files are.
    """
    mirrors = mirrors_in(work_dir)
    for mirror in mirrors:
        _drop_old_shadows(mirror, now())
    return [mirror for mirror in mirrors if is_untidy(mirror) and _repack(mirror, now())]


def _drop_old_shadows(mirror: Path, now: float) -> None:
    """Forget work of shadows that is old, or beyond the newest: it was judged long ago."""
    how = ("--sort=-committerdate", "--format=%(refname) %(committerdate:unix)", SHADOW_REFS)
    try:
        git = our_repository(mirror)
        kept = [line.split() for line in git("for-each-ref", *how).splitlines()]
        for place, (name, at) in enumerate(kept):
            if place >= MOST_SHADOWS or now - float(at) > SHADOW_SECONDS:
                git("update-ref", "-d", name)
    except (GitError, OSError, ValueError) as error:
        _log.warning("mirror.shadows_kept", mirror=str(mirror), reason=str(error)[:500])


def is_untidy(mirror: Path) -> bool:
    """Whether a mirror has many packs or many loose objects."""
    objects = mirror / "objects"
    packs = sum(1 for _ in objects.glob("pack/*.pack"))
    return packs > MANY_PACKS or _SAMPLES * sum(1 for _ in objects.glob(f"{_SAMPLE}/*")) > MANY_LOOSE


def _repack(mirror: Path, now: float) -> bool:
    """Whether the mirror was repacked. A failure is logged, and the mirror is tried again in a day."""
    try:
        with host_lock(mirror.with_suffix(".lock"), patience_seconds=0.0):
            if not _is_due(mirror.with_suffix(".repacked"), now):
                return False
            _drop_remains(mirror)
            git = replace(our_repository(mirror), timeout_seconds=REPACK_SECONDS)
            git("repack", "-a", "-d", "--keep-unreachable", "--local", "--quiet")
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
