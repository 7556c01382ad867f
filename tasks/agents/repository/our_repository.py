"""A bare repository whose settings, references and locks are ours alone: mirrors, and the one of each job.

The caller is the only one who uses the repository now: it holds the mirror's lock, or the
job's lease. So a lock file in it is what a git left that was killed.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from routing.errors import UnavailableError
from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess
from routing.process.table import running_in

_log = structlog.get_logger(__name__)

#: The whole configuration of every repository that is ours, seen to before each use. Garbage is never
#: collected: the mirror does not know which of its objects work trees borrow.
_CONFIG = """\
[core]
	repositoryformatversion = {version}
	filemode = true
	bare = true
	hooksPath = /dev/null
	fsmonitor = false
	autocrlf = false
	eol = native
	safecrlf = false
	attributesFile = /dev/null
	protectHFS = true
	protectNTFS = true
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	fsckObjects = false
	prune = false
	pruneTags = false
	recurseSubmodules = false
	writeCommitGraph = false
[push]
	followTags = false
	gpgSign = false
	pushOption =
	recurseSubmodules = no
[submodule]
	recurse = false
[commit]
	gpgSign = false
[protocol "ext"]
	allow = never
"""
_SHA256_CONFIG = "[extensions]\n\tobjectFormat = sha256\n"
_SHA1, _SHA256 = "sha1", "sha256"

#: How long a git of a worker that was killed may still run in a repository, before it is tried again later.
ORPHAN_SECONDS = 30.0
_LOOK_SECONDS = 0.1

#: What git's own checks find in the history of many repositories, and what harms nobody.
_OLD_HISTORY = (
    *("badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail"),
    *("missingNameBeforeEmail", "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "multipleAuthors"),
    *("zeroPaddedDate", "zeroPaddedFilemode"),
)

_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_DIGITS_OF_SHA256 = 64


def our_repository(path: Path, *, like: Path | None = None, object_format: str = "") -> Git:
    """Return git in a bare repository of ours, made if it is not there, with no lock left in it.

    `like` is a repository whose objects it is to borrow: it gets its object format, and its history ends
    where that one's does, if that is shallow. `object_format` counts for one that is made. Raises
    UnavailableError while a git of an earlier worker still runs in it.
    """
    known = format_of(path) if (path / "config").exists() else object_format or format_of(like or path)
    if not (path / "HEAD").exists():
        path.mkdir(parents=True, exist_ok=True)
        _clear_locks(path)
        form = f"--object-format={known}"
        _at(path)("init", "--bare", "--quiet", "--template=", "--initial-branch=main", form)
    _clear_locks(path)
    config = _CONFIG.format(version=0) if known == _SHA1 else _CONFIG.format(version=1) + _SHA256_CONFIG
    _replace(path / "config", config)
    if like is not None:
        end_history_like(path, like)
    return _at(path)


def _at(path: Path) -> Git:
    """Git in this repository and no other: a damaged one would have git look for one further up."""
    return Git(path, access=GitAccess(environment={"GIT_DIR": str(path.resolve())}))


def forgiving(checks: str) -> list[str]:
    """The options with which `fsck` or `fetch.fsck` lets old history pass."""
    return [part for name in _OLD_HISTORY for part in ("-c", f"{checks}.{name}=ignore")]


def is_damaged(git: Git) -> bool:
    """Whether a repository of ours is not what git wrote: objects are missing or broken, or it is none.

    GitError when git could not look: this host is at its limits, or it took too long.
    """
    options = ["--no-dangling", "--no-progress"]
    checked = git.attempt(*forgiving("fsck"), "fsck", *options)
    if checked.at_limit or checked.returncode < 0:
        raise git.error(["fsck"], checked)
    return checked.returncode != 0


def format_of(repository: Path) -> str:
    """The object format of one of our repositories: `sha1` or `sha256`."""
    try:
        config = (repository / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _SHA1
    return _SHA256 if re.search(r"objectformat\s*=\s*sha256", config, re.IGNORECASE) else _SHA1


def format_for(commit: str) -> str:
    """The object format of a repository that has this commit."""
    return _SHA256 if len(commit) == _DIGITS_OF_SHA256 else _SHA1


def end_history_like(repository: Path, lender: Path) -> None:
    """Let history end where a shallow lender's does, too: the objects from before are nowhere."""
    try:
        ends = (lender / "shallow").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return
    own = repository / "shallow"
    known = own.read_text(encoding="ascii").split() if own.exists() else []
    _replace(own, "".join(f"{commit}\n" for commit in dict.fromkeys([*known, *ends])))


def _replace(file: Path, text: str) -> None:
    """Write a small file at once, unless it is so already."""
    try:
        if file.read_text(encoding="utf-8", errors="replace") == text:
            return
    except OSError:
        pass
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _clear_locks(repository: Path) -> None:
    """Remove the lock files of a git that was killed, once none runs in the repository any more."""
    locks = list(_locks_in(repository))
    if not locks:
        return
    give_up_at = time.monotonic() + ORPHAN_SECONDS
    while running := running_in(repository, "git"):
        if time.monotonic() > give_up_at:
            message = f"git of an earlier worker (process {running[0]}) still runs in {repository}; try later"
            raise UnavailableError(message)
        time.sleep(_LOOK_SECONDS)
    for lock in locks:
        _log.warning("repository.lock_cleared", lock=str(lock))
        remove_all(lock)


def _locks_in(repository: Path) -> Iterator[Path]:
    """All lock files; the folders of loose objects have none."""
    for folder, inner, files in os.walk(repository):
        names: Sequence[str] = [*files, *inner]
        yield from (Path(folder, name) for name in names if name.endswith(".lock"))
        inner[:] = [name for name in inner if not (_FAN_OUT.fullmatch(name) or name.endswith(".lock"))]
