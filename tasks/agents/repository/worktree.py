"""A job's work tree: made from the mirror, handed to the agent, and not trusted afterwards.

An agent may write whatever it likes into its work tree, `.git` included: hooks, filters, `core.fsmonitor`,
`core.sshCommand`, `url.*.insteadOf`. With `git worktree` all trees and the mirror would share one
configuration, and every git command of ours would read it. So each tree has a small repository of its own
(as cheap, because it borrows its objects from the mirror), and *our git never runs in it* while an agent's
configuration is there:

- Checking out, committing leftovers and pushing run in *our git directory* of the job. It lies beside the
  tree, we write its configuration before each use, and it sees the tree's files, not the tree's `.git`.
- The agent's commits come to our git directory by `git fetch`, as from any stranger; serving a fetch runs no
  hook, filter or monitor.
- The tree's `.git` is made anew whenever the tree is handed out again.

Not covered: an agent that runs as the worker's user can write outside its tree, also to our git directory and
`~/.gitconfig`. Filters and credential helpers of the operator's own `~/.gitconfig` do run (Git LFS is one). A
user of its own for agents, or a container, covers this.
"""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.base import Base
from routing.errors import CoalmineError, CorruptRecordError
from routing.forges.local.durable_file import read_regular
from routing.git.git import Git, GitError
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from tasks.agents.repository.mirror import Mirror, RemoteState, our_repository, remote_state
from tasks.agents.repository.own_commits import judged_by_ci
from tasks.agents.repository.place import (
    RepositoryPlace,
    checked_remote,
    is_of_earlier_layout,
    job_ids_in,
    paths_of,
    remove_folder,
)

_LOG = logging.getLogger(__name__)
_RECORD = "coalmine.json"
#: A reference in our git directory: the agent's HEAD when we last took over its commits.
_TAKEN = "refs/coalmine/taken"

#: Most bytes of a log of pushes: a longer one counts as empty, because the agent may have made it up.
_MAX_LOG_BYTES = 4 * 1024 * 1024
_PUSHED = b"update by push"


class WorkNotTakenError(CoalmineError):
    """What the agent left in its tree could not be read or committed; nothing was pushed."""


class _Record(BaseModel):
    """A file in our git directory. It is written last: a tree without it is half made, and is made anew."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = 1
    remote_commit: str | None  # the job's branch on the remote when we last asked
    main: str = ""  # commit of the branch that the work goes to, as it was then; "" from earlier releases
    start: str = ""  # commit that the agent started from


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """The state of the job's branch after a push, as the remote reports it."""

    commit: str | None  # the branch on the remote, None when it has nothing beyond the main branch
    moved: bool  # whether it differs from what it was when the tree was handed out
    kept_leftovers: bool  # whether we committed what the agent had not


@dataclass(frozen=True, kw_only=True, slots=True)
class Worktree:
    """A work tree that is ready for an agent; made by `open_worktree`, never by hand.

    Only the holder of the job's lease may use it, in one thread, and only while no agent runs in it: first
    the turn ends with all its processes, then `push`. A push carries no fence, so look right before it
    whether the lease holds. `push` may be repeated: what the remote has already is not pushed again. It
    changes the branch only if nobody else moved it, which the remote checks too (`--force-with-lease`).

    The fields say what was true when the tree was handed out. Open it anew for each turn: the branch may have
    moved on another host. After `remove` the object is of no use.
    """

    path: Path
    branch: str  # `coalmine/<job id>`
    base: Base  # that the work began from: all commits after it are the job's own
    main: str  # commit of the branch that the work goes to, as the remote has it
    start: str  # commit that the agent starts from
    resumed: bool  # whether there was work of an earlier turn
    remote: Remote
    remote_commit: str | None  # the job's branch on the remote, None when it is not there
    git_dir: Path

    def push(self, *, keep_leftovers: bool = True) -> Push:
        """Take over what the agent did, push it, and return what the remote has then.

        The agent's HEAD counts, whatever branches it made; with `keep_leftovers` also files that it did not
        commit. What was taken over stays on the job's branch in our git directory when the push fails.
        Raises WorkNotTakenError, PushRefusedError when the work has no history in common with what it began
        from or somebody else has moved the branch, and what `Remote.run` raises.
        """
        try:
            git, tip, kept = self._take(keep_leftovers=keep_leftovers)
        except (GitError, OSError, ValueError) as error:
            message = f"what the agent left in {self.path} could not be taken over: {error}"
            raise WorkNotTakenError(message) from error
        commit = self._publish(git, tip)
        _remember(self.git_dir, commit, main=self.main, start=self.start)
        return Push(commit=commit, moved=commit != self.remote_commit, kept_leftovers=kept)

    def _take(self, *, keep_leftovers: bool) -> tuple[Git, str, bool]:
        git = _our_git(self.git_dir, self.path)
        tip, kept = _take_commits(git, self.path, self.branch), False
        if keep_leftovers:
            tip, kept = _commit_leftovers(git, self.branch, tip)
        return git, tip, kept

    def remove(self) -> None:
        """Remove the tree and our git directory from this host; what was pushed stays on the remote."""
        remove_folder(self.path)
        remove_folder(self.git_dir)

    def _publish(self, git: Git, tip: str) -> str | None:
        there, others = (
            remote_state(git, self.remote, self.branch).branch,
            _without(self.base.commit, self.main),
        )
        tip = judged_by_ci(git, tip, others)
        if there == tip or git("rev-list", "--count", tip, *others) == "0":
            return there
        if not any(_is_related(git, known, tip) for known in {self.base.commit, self.main}):
            message = (
                f"the agent made the repository anew: {tip[:12]} has no history in common with "
                f"{self.base.commit[:12]}, so nothing was pushed; its commits are in {self.git_dir}"
            )
            raise PushRefusedError(message, kind=RefusalKind.UNRELATED)
        if not self._may_replace(git, there, tip):
            message = (
                f"{self.branch} of {self.remote.shown} was moved to {there} by somebody else; "
                "nothing was pushed: see who works on it"
            )
            raise PushRefusedError(message, kind=RefusalKind.MOVED)
        reference = f"refs/heads/{self.branch}"
        lease = f"--force-with-lease={reference}:{there or ''}"
        options = ["--quiet", "--no-recurse-submodules", lease]
        self.remote.run(git, "push", *options, "--", self.remote.address, f"{tip}:{reference}")
        return remote_state(git, self.remote, self.branch).branch

    def _may_replace(self, git: Git, there: str | None, tip: str) -> bool:
        """Whether nobody else's work would be lost. An agent may push, and then amend what it pushed."""
        if there is None or there == self.remote_commit or _is_ancestor(git, there, tip):
            return True
        return there in _pushed_commits(self.path, self.branch)


def open_worktree(
    place: RepositoryPlace, *, remote: Remote, job_id: str, base: Base | None = None
) -> Worktree:
    """Make a job's work tree, or hand out again the one that is here. Only the holder of the job's lease may.

    Work begins where the job's branch on the remote is, if there is one, else at the main branch. A tree of
    an earlier turn on this host is kept with all its files, unless another host has moved the branch since.
    `base` is what is known of where earlier turns began; None for the first. Raises what `Mirror.fetch`
    raises.
    """
    remote, branch = replace(remote, address=checked_remote(remote.address)), f"coalmine/{job_id}"
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    state = Mirror(path=place.mirror, remote=remote).fetch(branch, base.branch if base else "")
    known = _recall(git_dir) if tree.is_dir() else None
    kept = known is not None and known.remote_commit == state.branch
    if kept:
        git = _our_git(git_dir, tree)
        start = _take_commits(git, tree, branch)
    else:
        start = state.branch or state.main
        base = base if state.branch else None  # nothing is left of what began there
        _make(place, tree=tree, git_dir=git_dir, branch=branch, start=start)
    _lay_out_git(place, tree=tree, git_dir=git_dir, branch=branch, start=start)
    began, target = _began(_our_git(git_dir, tree), state, start, base), state.target(base)
    git = Git(tree)
    git("update-ref", f"refs/remotes/origin/{target.branch}", target.commit)
    git("remote", "add", "origin", remote.shown)
    _remember(git_dir, state.branch, main=target.commit, start=start)
    return Worktree(
        path=tree,
        branch=branch,
        base=began,
        main=target.commit,
        start=start,
        resumed=kept or state.branch is not None,
        remote=remote,
        remote_commit=state.branch,
        git_dir=git_dir,
    )


def _began(git: Git, state: RemoteState, start: str, known: Base | None) -> Base:
    """Where the work that is at `start` began: as it is known, unless that was rewritten or not written down.

    Then it is the newest commit that the work has in common with the branch that it goes to.
    """
    if known is not None and _is_ancestor(git, known.commit, start):
        return known
    target = state.target(known)
    shared = git.attempt("merge-base", target.commit, start).stdout.strip()
    return Base(branch=target.branch, commit=shared or target.commit)


def kept_worktree(
    place: RepositoryPlace, *, remote: Remote, job_id: str, base: Base | None
) -> Worktree | None:
    """Find the tree of a finished turn as its agent left it, to push what is in it; None: not on this host.

    `base` is where the turn began. Nothing is fetched and nothing in the tree is changed. Only the holder of
    the job's lease may.
    """
    remote, branch = replace(remote, address=checked_remote(remote.address)), f"coalmine/{job_id}"
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    known = _recall(git_dir) if tree.is_dir() else None
    if known is None or base is None or not known.main:
        return None
    return Worktree(
        path=tree,
        branch=branch,
        base=base,
        main=known.main,
        start=known.start,
        resumed=True,
        remote=remote,
        remote_commit=known.remote_commit,
        git_dir=git_dir,
    )


def sweep_worktrees(work_dir: Path, *, is_wanted: Callable[[str], bool]) -> list[str]:
    """Remove the trees of jobs that are no longer wanted, and return the ids of those jobs.

    `is_wanted` is called for each job that is found here, after it was found: so the tree of a job that
    begins meanwhile is never removed.
    """
    swept = []
    for folder, job_id in job_ids_in(work_dir):
        if not is_wanted(job_id):
            for path in paths_of(folder, job_id):
                remove_folder(path)
            swept.append(job_id)
            if is_of_earlier_layout(folder, work_dir):
                with suppress(OSError):  # there is more in it
                    folder.rmdir()
    return swept


def _make(place: RepositoryPlace, *, tree: Path, git_dir: Path, branch: str, start: str) -> None:
    remove_folder(git_dir)
    remove_folder(tree)
    tree.mkdir(parents=True)
    git = _our_git(git_dir, tree)
    _borrow(git_dir, place.mirror)
    git("update-ref", f"refs/heads/{branch}", start)
    git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git("reset", "--quiet", "--hard")


def _lay_out_git(place: RepositoryPlace, *, tree: Path, git_dir: Path, branch: str, start: str) -> None:
    """Give the tree a new `.git`, so that we never read anything that an agent planted in the old one."""
    ours = _our_git(git_dir, tree)
    ours("update-ref", _TAKEN, start)
    ours("read-tree", "--reset", start)
    remove_folder(tree / ".git")
    git = Git(tree)
    git("init", "--quiet", "--template=", f"--initial-branch={branch}")
    _borrow(tree / ".git", place.mirror, git_dir)
    git("update-ref", f"refs/heads/{branch}", start)
    shutil.copyfile(git_dir / "index", tree / ".git" / "index")


def _borrow(repository: Path, *lenders: Path) -> None:
    lines = "".join(f"{lender.resolve() / 'objects'}\n" for lender in lenders)
    info = repository / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_text(lines, encoding="utf-8")


def _our_git(git_dir: Path, tree: Path) -> Git:
    git = our_repository(git_dir)
    git("config", "core.bare", "false")
    git("config", "core.worktree", str(tree.resolve()))
    return git


def _take_commits(git: Git, tree: Path, branch: str) -> str:
    """Move our branch to the agent's HEAD, if that has moved, and return the branch's commit.

    If the agent has broken its repository, the branch stays where it is.
    """
    options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
    before = git("rev-parse", _TAKEN)
    done = git.attempt("fetch", *options, "--", str(tree.resolve()), f"+HEAD:{_TAKEN}")
    if done.returncode != 0:
        _LOG.warning("the commits in %s could not be read, its files are kept: %r", tree, done.stderr[-500:])
    elif (head := git("rev-parse", _TAKEN)) != before:
        git("update-ref", f"refs/heads/{branch}", head)
    return git("rev-parse", f"refs/heads/{branch}")


def _commit_leftovers(git: Git, branch: str, tip: str) -> tuple[str, bool]:
    """Commit what the tree has beyond `tip`; return the new tip and whether there was anything."""
    git("read-tree", "--reset", tip)
    added = git.attempt("-c", "advice.addEmbeddedRepo=false", "add", "--all", "--ignore-errors", "--", ":/")
    if added.returncode != 0:
        _LOG.warning("not everything in %s could be committed: %r", git.directory, added.stderr[-500:])
    content = git("write-tree")
    if content == git("rev-parse", f"{tip}^{{tree}}"):
        return tip, False
    message = (
        "Keep what the agent left uncommitted\n\n"
        "The agent did not commit these changes; Coalmine did when its turn ended.\n\n"
        f"Coalmine-Job: {branch.rpartition('/')[2]}\n"  # no two jobs make the same commit
    )
    commit = git("commit-tree", content, "-p", tip, stdin=message)
    git("update-ref", f"refs/heads/{branch}", commit)
    return commit, True


def _without(*commits: str) -> list[str]:
    """For `git rev-list`: leave out what these commits have."""
    return [f"^{commit}" for commit in commits]


def _is_ancestor(git: Git, older: str, newer: str) -> bool:
    return git.attempt("merge-base", "--is-ancestor", older, newer).returncode == 0


def _is_related(git: Git, one: str, other: str) -> bool:
    """Whether two commits have an ancestor in common."""
    return git.attempt("merge-base", one, other).returncode == 0


def _remember(git_dir: Path, remote_commit: str | None, *, main: str, start: str) -> None:
    record = _Record(remote_commit=remote_commit, main=main, start=start)
    (git_dir / _RECORD).write_text(record.model_dump_json(), encoding="utf-8")


def _recall(git_dir: Path) -> _Record | None:
    try:
        return _Record.model_validate_json((git_dir / _RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def _pushed_commits(tree: Path, branch: str) -> frozenset[str]:
    """The commits that the agent itself pushed to a branch of its origin, as git noted it in the tree.

    Those that came by a fetch are somebody else's, and are not among them. The log is read as a file: no git
    of ours runs in the tree.
    """
    try:
        content, _ = read_regular(
            tree / ".git" / "logs" / "refs" / "remotes" / "origin" / branch, max_bytes=_MAX_LOG_BYTES
        )
    except (OSError, CorruptRecordError):  # no push, or a repository that the agent has broken
        return frozenset()
    entries = (line.partition(b"\t") for line in content.splitlines())
    return frozenset(
        words[1].decode("ascii", "replace")
        for head, _, message in entries
        if message == _PUSHED and len(words := head.split()) > 1  # OLD NEW NAME EMAIL TIME ZONE
    )
