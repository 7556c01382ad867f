"""A bare mirror of each repository on each host: what is fetched is fetched once, for all jobs.

Work trees borrow the mirror's objects, so it holds what all of them may read: the branches that jobs begin
from, and tags. What a job has pushed is fetched into that job's own repository (see `our_git`). Nothing may
ever be removed from a mirror, and one process at a time fetches into it or repacks it (`host_lock`). One that
is damaged, or cannot take what was fetched, is made anew.
"""

import fcntl
import hashlib
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from routing.base import Base
from routing.errors import CoalmineError, NotFoundError, UnavailableError
from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess, GitError, is_at_limit
from routing.git.lfs import LfsStore, copy_lfs_objects, uses_lfs
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from routing.git.submodules import Submodules
from tasks.agents.repository.our_repository import format_for, format_of, is_damaged, our_repository

_log = structlog.get_logger(__name__)

_LOCK_LOOK_SECONDS = 0.1

#: Exit code of a fetch that has all objects, and could not write a reference.
_NOT_PUT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteState:
    """The branches of the remote, as it listed them."""

    main_branch: str  # name of its main branch: what its HEAD names
    main: str  # commit of the main branch
    branch: str | None  # commit of the job's branch, None when it has no such branch
    base: str | None = None  # commit of the branch that the job began from, None when it is not there
    tags: str = ""  # object and reference of each, a line each, sorted by reference

    def target(self, began: Base | None) -> Base:
        """The branch that work goes to, and its commit: the one it began from, else the main branch."""
        if began is not None and self.base is not None:
            return Base(branch=began.branch, commit=self.base)
        return Base(branch=self.main_branch, commit=self.main)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A repository's mirror on this host, from which the work trees of jobs are made.

    Any number of processes and threads of the host may call `fetch`: a lock on a file beside the mirror lets
    in one at a time, and is free when its holder dies. The others wait as long as a transfer may take. Hosts
    share no mirror.

    The mirror is made at the first `fetch`. A fetch that failed may be repeated. Branches and tags are those
    of the remote: what it has no longer is dropped before the fetch where it is in the way. Objects are only
    added, because work trees borrow them.
    """

    path: Path
    remote: Remote

    def fetch(self, branch: str = "", base: str = "") -> RemoteState:
        """Fetch the remote's main branch and the tags, and return what the remote has.

        `branch` is a job's own, which is looked at and not fetched; "" for no job. `base` is the branch that
        it began from, "" when it has not begun; it may be gone by now. It is fetched too. Raises
        UnavailableError when another process holds the mirror for too long, and what `remote_state` and
        `Remote.run` raise.
        """
        with self._locked():
            state = self._state(branch, base)
            try:
                return self._fetched(self.path, state, base)
            except (GitError, OSError) as error:
                if not self._is_at_fault(error, state):
                    raise
                return self._renewed(state, base, because=error)

    def _is_at_fault(self, error: GitError | OSError, state: RemoteState) -> bool:
        """Whether a fetch failed because of the mirror, which then is made anew, as it was taken as it is.

        Not where this host is at its limits, where git was late or ended, and where all was well here: then
        the network or the remote failed, and a new mirror would only be a longer transfer.
        """
        if is_at_limit(error) or (isinstance(error, GitError) and not error.has_answered):
            return False
        if not isinstance(error, GitError) or format_of(self.path) != format_for(state.main):
            return True
        # What came was sound, and could not be put in its place: git says so by this exit code.
        return error.returncode == _NOT_PUT or (self.answers() and is_damaged(self._checking()))

    def answers(self) -> bool:
        """Whether the remote can be reached now; if not, there is no need to read the whole mirror."""
        try:
            self._state("", "")
        except CoalmineError:
            return False
        return True

    def _checking(self) -> Git:
        """Git in the mirror, for as long as it takes to read all of it."""
        return self.remote.limits.for_files(our_repository(self.path))

    def lend_lfs_objects(self, commit: str) -> None:
        """Copy the LFS objects of a commit's files here: trees find them beside the objects that they borrow.

        What the remote lacks, or has on another machine, stays a pointer in the tree.
        """
        git = Git(self.path)
        if uses_lfs(git, commit):
            with self._locked():
                copy_lfs_objects(git, commit, self.remote.address, to=LfsStore.of(self.path))

    def write_submodules(self, git: Git, tree: Path, commit: str, *, accepted: str) -> list[str]:
        """Write the submodules of a commit into its tree, and return their paths; see `Submodules`.

        One process of the host at a time, as for a fetch. [] where they are not wanted.
        """
        if not self.remote.submodules:
            return []
        with self._locked():
            cache = self.path.with_name("modules")
            return Submodules(remote=self.remote, cache=cache).write(git, tree, commit, accepted=accepted)

    def repaired(self, branch: str, base: str = "") -> bool:
        """Make the mirror anew if it is damaged; False when it is sound. Raises what `fetch` raises."""
        with self._locked():
            if not is_damaged(self._checking()):
                return False
            because = UnavailableError(f"{self.path} is damaged (git fsck)")
            self._renewed(self._state(branch, base), base, because=because)
            return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with host_lock(self.path.with_suffix(".lock"), patience_seconds=self.remote.limits.transfer_seconds):
            yield

    def _state(self, branch: str, base: str) -> RemoteState:
        """What the remote has. It is asked from an empty folder, as the mirror may be damaged."""
        with TemporaryDirectory() as folder:
            alone = GitAccess(environment={"GIT_CEILING_DIRECTORIES": str(Path(folder).resolve().parent)})
            return remote_state(Git(Path(folder).resolve(), access=alone), self.remote, branch, base)

    def _fetched(self, path: Path, state: RemoteState, base: str) -> RemoteState:
        """Fetch into a repository, which is made if it is not there."""
        git = our_repository(path, object_format=format_for(state.main))
        names = [name for name, commit in {state.main_branch: state.main, base: state.base}.items() if commit]
        _drop_others(git, names)
        wanted = [f"+refs/heads/{name}:refs/heads/{name}" for name in names]
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--prune", "--update-shallow"]
        address = self.remote.address
        self.remote.run(git, "fetch", *options, "--", address, *wanted, "+refs/tags/*:refs/tags/*")
        # What was fetched may be newer than what was listed before.
        found = git("rev-parse", *(f"refs/heads/{name}^{{commit}}" for name in names)).split()
        tips = dict(zip(names, found, strict=True))
        tags = git("for-each-ref", "--sort=refname", "--format=%(objectname) %(refname)", "refs/tags/")
        return replace(state, main=tips[state.main_branch], base=tips.get(base), tags=tags)

    def _renewed(self, state: RemoteState, base: str, *, because: Exception) -> RemoteState:
        """Fetch into a new mirror. Where that works the old one was at fault, and is replaced.

        Otherwise nothing is changed, and the error stays what it was.
        """
        fresh, old = self.path.with_name("fresh.git"), self.path.with_name("damaged.git")
        remove_all(fresh)
        try:
            fetched = self._fetched(fresh, state, base)
        except (CoalmineError, OSError):
            remove_all(fresh)
            raise because from None
        remove_all(old)
        if self.path.exists():
            _keep_objects(self.path, fresh)
            if (self.path / "lfs").is_dir():
                (self.path / "lfs").rename(fresh / "lfs")
            self.path.rename(old)
        fresh.rename(self.path)
        remove_all(old)
        _log.warning("mirror.made_anew", mirror=str(self.path), because=str(because)[:500])
        return fetched


def _drop_others(git: Git, names: Sequence[str]) -> None:
    """Drop branches that are in the way of these: one's name is a folder of the other's."""
    for name in git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").splitlines():
        if any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in names):
            git("update-ref", "-d", f"refs/heads/{name}")


def _keep_objects(old: Path, fresh: Path) -> None:
    """Take over the sound objects of a damaged mirror: work trees may borrow what no branch has any more."""
    if format_of(old) != format_of(fresh):
        return
    for index in old.glob("objects/pack/*.idx"):
        if Git(fresh).attempt("verify-pack", str(index.resolve())).returncode == 0:
            _link([index.with_suffix(".pack"), index], fresh / "objects" / "pack")
    for file in old.glob("objects/[0-9a-f][0-9a-f]/*"):
        if _is_sound(file, format_of(old)):
            _link([file], fresh / "objects" / file.parent.name)


def _is_sound(file: Path, object_format: str) -> bool:
    """Whether a loose object is what its name says."""
    try:
        content = zlib.decompress(file.read_bytes())
    except (OSError, zlib.error):
        return False
    return hashlib.new(object_format, content).hexdigest() == f"{file.parent.name}{file.name}"


def _link(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in files:
        with suppress(FileExistsError):
            (folder / file.name).hardlink_to(file)


def remote_state(git: Git, remote: Remote, branch: str, base: str = "") -> RemoteState:
    """Ask the remote for its main branch, one job's branch and the branch that it began from, "" for none.

    The main branch is the one that the remote's owner says, else what its HEAD names. NotFoundError: it has
    none with a commit. PushRefusedError: a branch there has a name that leaves no room for the job's, as git
    keeps the parts of names as folders.
    """
    main, ours = remote.main_branch() if remote.main_branch is not None else "", f"refs/heads/{branch}"
    names = [f"refs/heads/{name}" for name in (branch, base, main, *_folders_of(branch)) if name]
    below = [f"{ours}/*"] if branch else []
    listed = remote.run(git, "ls-remote", "--symref", "--", remote.address, "HEAD", *below, *names)
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
        name
        for name in commits
        if branch and (f"{ours}/".startswith(f"{name}/") or name.startswith(f"{ours}/"))
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
