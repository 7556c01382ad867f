"""A job's work tree: made from the mirror, handed to the agent, and not trusted afterwards.

An agent may write whatever it likes into its work tree, `.git` included: settings that name programs, hooks,
filters, alternates, pipes, links to other repositories. So no git of ours ever uses the tree's `.git`, and no
file of it is believed to be what git would write:

- Checking out, comparing and pushing run in *our git directory* of the job (`our_git`). It lies beside the
  tree, and sees the tree's files, not the tree's `.git`.
- The agent's commits are copied as bytes into a quarantine of ours, and checked (`agent_repository`).
- Every entry of the tree is looked at before git looks (`tree_survey`), and repositories in it are left out.
- What was pushed is known from the job's record, never from the tree.
- The tree's `.git` is made anew whenever the tree is handed out again (`hand_out`).

Not covered: an agent that runs as the worker's user can write outside its tree, also to our git directory. A
user of its own for agents, or a container, covers this.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from routing.base import Base
from routing.errors import CoalmineError
from routing.folder_removal import remove_all
from routing.git.git import Git, GitError, is_at_limit
from routing.git.limits import GitLimits
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from tasks.agents.repository.agent_files import TooLargeError
from tasks.agents.repository.agent_repository import deliver_lfs_objects, take_lfs_objects
from tasks.agents.repository.agent_work import AgentWork, all_aside, is_ancestor, keep_aside, take_work
from tasks.agents.repository.earlier_tree import TreeRecord, drop_half_made, find_earlier, is_folder
from tasks.agents.repository.hand_out import NotRemovedError, check_out, lay_out_git
from tasks.agents.repository.leftovers import Leftovers, commit_leftovers, note_submodules
from tasks.agents.repository.mirror import Mirror, RemoteState, remote_state
from tasks.agents.repository.our_git import lend_lfs_objects, our_git, with_own_branch, without_tree
from tasks.agents.repository.own_commits import judged_by_ci, put_onto
from tasks.agents.repository.place import RepositoryPlace, checked_remote
from tasks.agents.repository.shadows import keep_shadow

_log = structlog.get_logger(__name__)

#: A reference in our git directory: the branch that the work goes to, as it was at the push.
_TARGET = "refs/coalmine/target"

#: A reference in our git directory: the commit of the last push that was tried, whatever became of it.
_PUSHING = "refs/coalmine/pushing"


class WorkNotTakenError(CoalmineError):
    """What the agent left in its tree could not be read or committed; nothing was pushed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """The state of the job's branch after a push, as the remote reports it."""

    commit: str | None  # the branch on the remote, None when it has nothing beyond the main branch
    moved: bool  # whether it differs from what it was when the tree was handed out
    kept_leftovers: bool  # whether we committed what the agent had not
    aside: tuple[str, ...] = ()  # work that is not on the branch, and kept for the next attempt, in words
    left_out: tuple[str, ...] = ()  # commits and uncommitted files that were not taken, in words
    base: Base  # where the work that was pushed begins: another commit, when its own was taken out since


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
    mirror: Path
    limits: GitLimits
    pushed: frozenset[str] = frozenset()  # commits that the job's record says were pushed
    aside: tuple[str, ...] = ()  # work of earlier turns that is not on the branch, in words
    keeps: bool = False  # a shadow's: its work is kept on this host, and pushed nowhere
    alone: bool = False  # its repository borrows nothing and has no origin: what is newer is out of reach
    asked: str = ""  # what the work is for, in a person's words: a commit of ours is called after it

    @property
    def borrowed(self) -> tuple[Path, ...]:
        """The folders of objects that the repository in the tree reads and does not have itself."""
        if self.alone:
            return ()
        return tuple(lender.resolve() / "objects" for lender in (self.mirror, self.git_dir))

    def push(
        self, *, keep_leftovers: bool = True, permit: Callable[[], object] = lambda: None,
        took: Callable[[str], object] = lambda _commit: None,
    ) -> Push:  # fmt: skip
        """Take over what the agent did, push it, and return what the remote has then.

        The agent's HEAD counts, whatever branches it made; with `keep_leftovers` also files that it did not
        commit. What was taken over stays on the job's branch in our git directory when the push fails.
        When the commit that the work began from was taken out of its branch since, the agent's own commits
        are put onto that branch. `permit` is called right before each step that others see: what it raises
        stops it, and is passed on. So it is for `took`, which gets the commit that was taken over, if there
        is work in it, before anything is pushed. Raises WorkNotTakenError, PushRefusedError when that is not
        possible, the agent has made the repository anew or somebody else has moved the branch, and what
        `Remote.run` raises.
        """
        git = our_git(self.git_dir, self.path, self.limits)
        taken = self._taken(git, keep_leftovers=keep_leftovers)
        if self._has_work(git, taken.tip):
            took(taken.tip)
        commit, base = (
            self._kept_here(git, taken.tip) if self.keeps else self._publish(git, taken.tip, permit)
        )
        TreeRecord(
            remote_commit=None if self.keeps else commit, main=self.main, start=self.start,
            base_branch=self.base.branch, base_commit=self.base.commit,
            replaced=base.commit != self.base.commit,
        ).write(self.git_dir)  # fmt: skip
        return Push(
            base=base, commit=commit, moved=commit != self.remote_commit, kept_leftovers=taken.kept,
            aside=tuple(str(one) for one in all_aside(git)), left_out=taken.left_out,
        )  # fmt: skip

    def keep(self) -> bool:
        """Take over what the agent did, and push nothing; whether it did anything.

        It is on the job's branch in our git directory then, on this host, where a person can fetch it. Raises
        as `push` does, but for what a remote says.
        """
        git = our_git(self.git_dir, self.path, self.limits)
        return self._taken(git, keep_leftovers=True).tip != self.start or bool(all_aside(git))

    def _taken(self, git: Git, *, keep_leftovers: bool) -> "_Taken":
        try:
            return self._take(git, keep_leftovers=keep_leftovers)
        except (GitError, TooLargeError, OSError, ValueError) as error:
            message = f"what the agent left in {self.path} could not be taken over: {error}"
            raise WorkNotTakenError(message) from error

    def _take(self, git: Git, *, keep_leftovers: bool) -> "_Taken":
        """Take over commits and, on top of them, what was not committed."""
        known = [self.base.commit, self.main]
        work = take_work(git, self.path, self.branch, mirror=self.mirror, known=known)
        if work.unrelated:
            message = (
                f"the agent made the repository anew: {work.unrelated[:12]} has no history in common with "
                f"{self.base.commit[:12]}, so nothing was pushed; its commits are in {self.git_dir}"
            )
            raise PushRefusedError(message, kind=RefusalKind.UNRELATED)
        taken = _with_leftovers(self, git, work) if keep_leftovers else _Taken(tip=work.tip)
        return replace(taken, left_out=(*work.not_taken, *taken.left_out))

    def remove(self) -> None:
        """Remove the tree and our git directory from this host; what was pushed stays on the remote."""
        remove_all(self.path)
        remove_all(self.git_dir)

    def _has_work(self, git: Git, tip: str) -> bool:
        """Whether a commit has anything that the branch that it began from had not."""
        return without_tree(git)("rev-list", "--count", tip, *_without(self.base.commit, self.main)) != "0"

    def _kept_here(self, git: Git, tip: str) -> tuple[str | None, Base]:
        """Keep a shadow's work on this host, where nobody fetches it."""
        if not self._has_work(git, tip):
            return None, self.base
        keep_shadow(without_tree(git), self.mirror, branch=self.branch, commit=tip, limits=self.limits)
        return tip, self.base

    def _publish(self, git: Git, tip: str, permit: Callable[[], object]) -> tuple[str | None, Base]:
        """Push, and return the commit that the remote has then, and where its work begins."""
        git, others = without_tree(git), _without(self.base.commit, self.main)
        state = remote_state(git, self.remote, self.branch, self.base.branch)
        there, target = state.branch, self._target(git, state)
        base = Base(branch=target.branch, commit=self.base.commit)
        if not self._has_work(git, tip):
            return there, base
        pushed = [f"^{there}"] if there and is_ancestor(git, there, tip) else []  # by the agent itself
        judged = judged_by_ci(git, tip, [*others, f"^{target.commit}", *pushed])
        tip = judged if target.commit == self.base.commit else put_onto(git, judged, target, others)
        if tip != judged:
            base = target
        if tip in {there, target.commit}:
            return there, base
        if not self._may_replace(git, there, tip):
            message = (
                f"{self.branch} of {self.remote.shown} was moved to {there} by somebody else; "
                "nothing was pushed: see who works on it"
            )
            raise PushRefusedError(message, kind=RefusalKind.MOVED)
        names = take_lfs_objects(git, self.path, tip, others)
        permit()
        deliver_lfs_objects(git, self.remote, names, lenders=[self.mirror])
        git("update-ref", _PUSHING, tip)
        reference = f"refs/heads/{self.branch}"
        options = ["--quiet", "--no-recurse-submodules", f"--force-with-lease={reference}:{there or ''}"]
        permit()
        self.remote.run(git, "push", *options, "--", self.remote.address, f"{tip}:{reference}")
        return remote_state(git, self.remote, self.branch).branch, base

    def _target(self, git: Git, state: RemoteState) -> Base:
        """The branch that the work goes to, with its newest commit, which is fetched."""
        target = state.target(self.base)
        if target.commit == self.main:
            return target
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"]
        wanted = f"+refs/heads/{target.branch}:{_TARGET}"
        self.remote.run(git, "fetch", *options, "--", self.remote.address, wanted)
        return Base(branch=target.branch, commit=git("rev-parse", _TARGET))

    def _may_replace(self, git: Git, there: str | None, tip: str) -> bool:
        """Whether nobody else's work would be lost.

        What the tree says of pushes is not believed. So an agent that pushes by itself, and then rewrites
        that, is refused: its commits are kept aside for its next attempt.
        """
        # A push of ours whose answer was lost had its effect perhaps.
        sent = git.attempt("rev-parse", "--verify", "--quiet", _PUSHING).stdout.strip()
        known = {None, self.remote_commit, sent, *self.pushed}
        return there in known or is_ancestor(git, there or "", tip)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """What was taken over after a turn."""

    tip: str  # commit of the job's branch
    kept: bool = False  # whether it is a commit of ours
    left_out: tuple[str, ...] = ()


def open_worktree(
    place: RepositoryPlace, *, remote: Remote, job_id: str, base: Base | None = None,
    pushed: Collection[str] = (), begin: Base | None = None, keeps: bool = False, alone: bool = False,
) -> Worktree:  # fmt: skip
    """Make a job's work tree, or hand out again the one that is here. Only the holder of the job's lease may.

    Work begins where the job's branch on the remote is, if there is one, else at the main branch. A tree of
    an earlier turn on this host is kept with all its files, unless another host has moved the branch since:
    then it is made anew, and what was not pushed is kept aside. `base` is what is known of where earlier
    turns began, None for the first; `pushed` are the commits that the job's record says were pushed. `begin`
    is where new work is to begin in place of the main branch's newest commit; `keeps` makes it a shadow's,
    `alone` one whose repository leads to no other.
    Raises what `Mirror.fetch` raises, and NotRemovedError.
    """
    remote, branch = replace(remote, address=checked_remote(remote.address)), f"coalmine/{job_id}"
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    mirror = Mirror(path=place.mirror, remote=remote)
    known = base.branch if base else ""
    own = partial(with_own_branch, place, job_id, mirror, branch=branch, base=known)
    drop_half_made(place, job_id)
    state = own(mirror.fetch(branch, known))
    here = find_earlier(place, job_id, state, base=base, pushed=pushed)
    if here.tip is None:
        state = own(state)
    start = here.tip or state.branch or (begin.commit if begin else state.main)
    if here.tip is None and state.branch is None:
        base = begin  # nothing is left of what began elsewhere
    anew = partial(_check_out, place, job_id, mirror, branch=branch, start=start, main=state.main)
    if not here.is_whole:
        try:
            anew()
        except GitError as error:  # an object may be damaged that no fetch looks at
            if error.returncode is None or not mirror.repaired(branch, known):
                raise
            anew()
    began, target = _began(our_git(git_dir, tree), state, start, base), state.target(base)
    if here.tip is not None:  # they lie in the `.git` that is made anew
        take_lfs_objects(our_git(git_dir, tree), tree, here.tip, _without(state.main))
    aside = all_aside(our_git(git_dir, tree))
    lay_out = partial(
        lay_out_git, place, job_id, branch=branch, start=start, origin=remote.shown, keeps=keeps, alone=alone,
        seen={target.branch: target.commit}, tags=state.tags, aside=aside, restores=here.is_sparse,
    )  # fmt: skip
    try:
        lay_out()
    except NotRemovedError:  # another user's: the whole tree is put out of the way
        anew()
        lay_out()
    TreeRecord(
        remote_commit=state.branch, main=target.commit, start=start, base_branch=began.branch,
        base_commit=began.commit,
    ).write(git_dir)  # fmt: skip
    return Worktree(
        path=tree,
        branch=branch,
        base=began,
        main=target.commit,
        start=start,
        resumed=here.tip is not None or state.branch is not None,
        remote=remote,
        remote_commit=state.branch,
        git_dir=git_dir,
        mirror=place.mirror,
        limits=place.limits,
        pushed=frozenset(pushed),
        aside=tuple(str(one) for one in aside),
        keeps=keeps,
        alone=alone,
    )


def _began(git: Git, state: RemoteState, start: str, known: Base | None) -> Base:
    """Where the work that is at `start` began: as it is known, unless that was rewritten or not written down.

    Then it is the newest commit that the work has in common with the branch that it goes to.
    """
    if known is not None and is_ancestor(git, known.commit, start):
        return known
    target = state.target(known)
    if target.commit == start:
        return target
    shared = git.attempt("merge-base", target.commit, start).stdout.strip()
    return Base(branch=target.branch, commit=shared or target.commit)


def kept_worktree(
    place: RepositoryPlace, *, remote: Remote, job_id: str, base: Base | None,
    pushed: Collection[str] = (), keeps: bool = False,
) -> Worktree | None:  # fmt: skip
    """Find the tree of a finished turn as its agent left it, to push what is in it; None: not on this host.

    `base` is where the turn began. Nothing is fetched and nothing in the tree is changed. Only the holder of
    the job's lease may.
    """
    remote, branch = replace(remote, address=checked_remote(remote.address)), f"coalmine/{job_id}"
    tree, git_dir = place.tree(job_id), place.git_dir(job_id)
    known = TreeRecord.read(git_dir) if is_folder(tree) else None
    base = known.base or base if known is not None else None
    if known is None or not known.whole or base is None or not known.main:
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
        mirror=place.mirror,
        limits=place.limits,
        pushed=frozenset(pushed),
        keeps=keeps,
    )


def _check_out(
    place: RepositoryPlace, job_id: str, mirror: Mirror, *, branch: str, start: str, main: str
) -> None:
    """Make the files, and let no crash in between leave a tree that passes for a whole one."""
    git_dir = place.git_dir(job_id)
    if TreeRecord.read(git_dir) is not None:
        TreeRecord(remote_commit=None, whole=False).write(git_dir)
    lend_lfs_objects(place, job_id, mirror, start=start, main=main)
    check_out(place, job_id, branch=branch, start=start)
    git = without_tree(our_git(git_dir, place.tree(job_id), place.limits))
    note_submodules(git, mirror.write_submodules(git, place.tree(job_id), start, accepted=main))


def _with_leftovers(made: Worktree, git: Git, work: AgentWork) -> _Taken:
    """Commit what the agent had not. Files that cannot be compared never cost the commits.

    GitError when this host is at its limits: then all is taken later.
    """
    try:
        left = commit_leftovers(
            git, made.path, work.at, job=made.branch.rpartition("/")[2], asked=made.asked,
            believes_deletions=work.believes_deletions,
        )  # fmt: skip
    except GitError as error:
        if is_at_limit(error):
            raise
        left = Leftovers(left_out=(f"what was not committed could not be taken: {error}"[:500],))
    if left.commit is None:
        return _Taken(tip=work.tip, left_out=left.left_out)
    if work.at != work.tip:
        keep_aside(git, "left/uncommitted", left.commit)
        return _Taken(tip=work.tip, left_out=left.left_out)
    git("update-ref", f"refs/heads/{made.branch}", left.commit)
    return _Taken(tip=left.commit, kept=True, left_out=left.left_out)


def _without(*commits: str) -> list[str]:
    """For `git rev-list`: leave out what these commits have."""
    return [f"^{commit}" for commit in commits]
