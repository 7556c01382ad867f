"""Whose settings a git of ours obeys: its repository's, and of the machine's what writing files takes.

What comes of a merge, a checkout or a comparison does not depend on who runs a worker: the line endings,
hooks, signatures, templates, merge drivers and addresses of a user's `~/.gitconfig` are not read. What it
says of how to reach a remote (credentials, proxies, certificates, ssh, `insteadOf`) is, by a git that speaks
to one and has no token of a forge: see `Remote`. Of `/etc/gitconfig`, which is root's, the filters count
where files are written or read.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from routing.git.git import Git

#: For a git that writes or reads files. No object is fetched because it is missing. A file in LFS whose
#: content is not here stays a pointer.
ALONE: Mapping[str, str] = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LFS_SKIP_DOWNLOAD_ERRORS": "1",
}

#: For a git that touches no files: it needs nothing of the machine's.
APART: Mapping[str, str] = {**ALONE, "GIT_CONFIG_NOSYSTEM": "1"}

#: What the machine's settings do not decide. Garbage is not collected by a git that has something to do.
PLAIN: Sequence[str] = tuple(
    part
    for setting in (
        *("core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.fsmonitor=false"),
        *("core.autocrlf=false", "core.eol=native", "core.safecrlf=false"),
        *("gc.auto=0", "maintenance.auto=false", "submodule.recurse=false"),
    )
    for part in ("-c", setting)
)

_LFS = (
    *("-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.smudge=git-lfs smudge -- %f"),
    *("-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true"),
    # The address would come from the commit (`.lfsconfig`), which an agent wrote perhaps: nobody is asked.
    *("-c", "lfs.url=file:///nonexistent", "-c", "lfs.transfer.maxRetries=1"),
)


def lfs_filters() -> Sequence[str]:
    """The options by which git finds the files of Git LFS, () where that is not installed."""
    return _LFS if shutil.which("git-lfs") else ()


@contextmanager
def trust_in(directory: Path) -> Iterator[Mapping[str, str]]:
    """The variables by which git touches a repository of another user, if our user has allowed it.

    Git asks for `safe.directory` in settings that we do not read otherwise; those of the command line do not
    reach the gits that git starts.
    """
    if not _is_anothers(directory):
        yield {}
        return
    allowed = Git(Path("/")).attempt("config", "-z", "--get-all", "safe.directory").stdout.split("\0")
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name in allowed[:-1])
    with tempfile.NamedTemporaryFile("w", prefix="coalmine-git-", encoding="utf-8") as file:
        file.write("[safe]\n" + "".join(f'\tdirectory = "{name}"\n' for name in quoted))
        file.flush()
        yield {"GIT_CONFIG_GLOBAL": file.name}


def _is_anothers(directory: Path) -> bool:
    """Whether a repository, or the folder that it is in, belongs to another user."""
    for path in (directory, directory / ".git"):
        try:
            if path.stat().st_uid != os.geteuid():
                return True
        except OSError:
            continue
    return False
