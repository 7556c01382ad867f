"""A bare mirror of each repository on each host: what is fetched is fetched once, for all jobs.

Work trees borrow the mirror's objects, so nothing may ever be removed from it, and one process at a time
fetches into it or repacks it (`host_lock`).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from routing.base import Base
from routing.errors import NotFoundError, UnavailableError
from routing.git.git import Git
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote

#: The whole configuration of every repository that is ours, written anew before each use. Garbage is never
#: collected: the mirror does not know which of its objects work trees borrow.
_CONFIG = """\
[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	hooksPath = /dev/null
	fsmonitor = false
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	recurse = false
[commit]
	gpgSign = false
[protocol "ext"]
	allow = never
"""
_LOCK_LOOK_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteState:
    """The branches of the remote, as it listed them."""

    main_branch: str  # name of its main branch: what its HEAD names
    main: str  # commit of the main branch
    branch: str | None  # commit of the job's branch, None when it has no such branch
    base: str | None = None  # commit of the branch that the job began from, None when it is not there

    def target(self, began: Base | None) -> Base:
        """The branch that work goes to, and its commit: the one it began from, else the main branch."""
        if began is not None and self.base is not None:
            return Base(branch=began.branch, commit=self.base)
        return Base(branch=self.main_branch, commit=self.main)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A repository's mirror on this host, from which the work trees of jobs are made.

    Any number of processes and threads of the host may call `fetch`: a lock on a file beside the mirror lets
    in one at a time, and is free when its holder dies. The others wait up to `lock_seconds`. Hosts share no
    mirror.

    The mirror is made at the first `fetch`, and its configuration is written anew at each one. A fetch that
    failed may be repeated. Branches are overwritten by what the remote has. Objects are only added, because
    work trees borrow them.
    """

    path: Path
    remote: Remote
    lock_seconds: float = 1200.0  # how long to wait for another job that is fetching

    def fetch(self, branch: str, base: str = "") -> RemoteState:
        """Fetch the remote's main branch and one job's branch, and return what was fetched.

        `base` is the branch that the job began from, "" when it has not begun; it may be gone by now.

        Raises UnavailableError when another process holds the mirror for too long, NotFoundError when the
        remote has no main branch with a commit, and what `Remote.run` raises.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with host_lock(self.path.with_suffix(".lock"), patience_seconds=self.lock_seconds):
            git = our_repository(self.path)
            state = remote_state(git, self.remote, branch, base)
            there = {branch: state.branch, base: state.base}
            names = [state.main_branch, *(name for name, commit in there.items() if commit)]
            wanted = [f"+refs/heads/{name}:refs/heads/{name}" for name in dict.fromkeys(names)]
            options = ["--quiet", "--no-tags", "--no-write-fetch-head"]
            self.remote.run(git, "fetch", *options, "--", self.remote.address, *wanted)
            # What was fetched may be newer than what was listed before.
            tips = {name: git("rev-parse", "--verify", f"refs/heads/{name}^{{commit}}") for name in names}
            return RemoteState(
                main_branch=state.main_branch,
                main=tips[state.main_branch],
                branch=tips.get(branch),
                base=tips.get(base),
            )


def our_repository(path: Path) -> Git:
    """Return git in a bare repository whose configuration is ours alone, made if it is not there."""
    if not (path / "HEAD").exists():
        path.mkdir(parents=True, exist_ok=True)
        Git(path)("init", "--bare", "--quiet", "--template=", "--initial-branch=main")
    (path / "config").write_text(_CONFIG, encoding="utf-8")
    return Git(path)


def remote_state(git: Git, remote: Remote, branch: str, base: str = "") -> RemoteState:
    """Ask the remote for its main branch, one job's branch and the branch that it began from.

    The main branch is the one that the remote's owner says, else what its HEAD names. NotFoundError: it has
    none with a commit. PushRefusedError: a branch there has a name that leaves no room for the job's, as git
    keeps the parts of names as folders.
    """
    main, ours = remote.main_branch() if remote.main_branch is not None else "", f"refs/heads/{branch}"
    names = [f"refs/heads/{name}" for name in (branch, base, main, *_folders_of(branch)) if name]
    listed = remote.run(git, "ls-remote", "--symref", "--", remote.address, "HEAD", f"{ours}/*", *names)
    pairs = [line.split("\t") for line in listed.splitlines() if "\t" in line]
    heads = [left.removeprefix("ref: refs/heads/") for left, right in pairs if right == "HEAD"]
    commits = {right: left for left, right in pairs if not left.startswith("ref: ")}
    if not main and heads and heads[0] != commits.get("HEAD"):
        main, commits[f"refs/heads/{heads[0]}"] = heads[0], commits["HEAD"]
    if f"refs/heads/{main}" not in commits:
        message = (
            f"the repository {remote.shown} has no main branch with a commit; "
            "push one and let its HEAD name it"
        )
        raise NotFoundError(message)
    in_the_way = [
        name for name in commits if f"{ours}/".startswith(f"{name}/") or name.startswith(f"{ours}/")
    ]
    if set(in_the_way) - {ours}:
        other = min(set(in_the_way) - {ours}).removeprefix("refs/heads/")
        message = (
            f"{remote.shown} has the branch {other}, so there can be none called {branch}: rename it there, "
            "then retry the job"
        )
        raise PushRefusedError(message, kind=RefusalKind.NAME_TAKEN)
    return RemoteState(
        main_branch=main,
        main=commits[f"refs/heads/{main}"],
        branch=commits.get(f"refs/heads/{branch}"),
        base=commits.get(f"refs/heads/{base}"),
    )


def _folders_of(branch: str) -> list[str]:
    """The names that cannot be branches as well: `a` and `a/b` for `a/b/c`."""
    parts = branch.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


@contextmanager
def host_lock(path: Path, *, patience_seconds: float) -> Iterator[None]:
    """Hold a lock among the processes and threads of this host; it ends with its holder, however that ends.

    Raises UnavailableError when somebody else holds it for longer than `patience_seconds`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up_at = time.monotonic() + patience_seconds
        while not _try_lock(descriptor):
            if time.monotonic() > give_up_at:
                message = (
                    f"{path} was held for {patience_seconds:g} s by another job's fetch; try again later"
                )
                raise UnavailableError(message)
            time.sleep(_LOCK_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
