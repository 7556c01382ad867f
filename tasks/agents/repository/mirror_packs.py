"""Keeps mirrors small: objects that came one by one, and packs of many fetches, become one pack.

Work trees borrow the mirror's objects without its knowing, and a commit that no branch of it names any more
may be what one of them stands on. So nothing is dropped, as `git gc` would: whatever the mirror has, named or
not, is in the new pack before an old one goes. A git that runs meanwhile in a work tree looks for the packs
again when one that it knew is gone.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from routing.errors import UnavailableError
from routing.git.git import Git, GitError
from tasks.agents.repository.mirror import host_lock, our_repository
from tasks.agents.repository.place import mirrors_in

_log = structlog.get_logger(__name__)

#: Packs, and about as many objects outside of packs, from which on a mirror is repacked.
MANY_PACKS = 50
MANY_LOOSE = 5000

#: Seconds between two tries at the same mirror, whether the first came to its end or not.
AGAIN_SECONDS = 86_400.0

#: Seconds that repacking may take: jobs of this host wait as long before they can fetch, and may wait longer.
REPACK_SECONDS = 240.0

#: The names of the folders of loose objects begin with two digits of the hash: one of them tells of all.
_SAMPLE, _SAMPLES = "17", 256


def repack_mirrors(work_dir: Path, *, now: Callable[[], float]) -> list[Path]:
    """Repack the mirrors of this host that need it; returns those that were. `now` as files' times are."""
    return [mirror for mirror in mirrors_in(work_dir) if is_untidy(mirror) and _repack(mirror, now())]


def is_untidy(mirror: Path) -> bool:
    """Whether a mirror has many packs or many loose objects."""
    objects = mirror / "objects"
    packs = sum(1 for _ in objects.glob("pack/*.pack"))
    return packs > MANY_PACKS or _SAMPLES * sum(1 for _ in objects.glob(f"{_SAMPLE}/*")) > MANY_LOOSE


def _repack(mirror: Path, now: float) -> bool:
    """Repack one mirror, unless that was tried a while ago; what fails is told, and tried again in a day."""
    try:
        with host_lock(mirror.with_suffix(".lock"), patience_seconds=0.0):
            if not _is_due(mirror.with_suffix(".repacked"), now):
                return False
            _drop_remains(mirror)
            git = Git(our_repository(mirror).directory, timeout_seconds=REPACK_SECONDS)
            git("repack", "-a", "-d", "--keep-unreachable", "--local", "--quiet")
    except (GitError, OSError) as error:
        _log.warning("mirror.not_repacked", mirror=str(mirror), reason=str(error)[:500])
        return False
    except UnavailableError:  # a job is fetching: at the next look
        return False
    _log.info("mirror.repacked", mirror=str(mirror))
    return True


def _is_due(tried: Path, now: float) -> bool:
    """Whether nobody has tried for a while; then we do, as the file says from here on."""
    if tried.exists() and 0 <= now - tried.stat().st_mtime < AGAIN_SECONDS:
        return False
    tried.touch()
    os.utime(tried, (now, now))
    return True


def _drop_remains(mirror: Path) -> None:
    """Remove what a git that was killed had half written; whoever writes here holds the lock, and we do."""
    for file in [*mirror.glob("objects/pack/tmp_*"), *mirror.glob("objects/pack/.tmp-*")]:
        with suppress(FileNotFoundError):
            file.unlink()
