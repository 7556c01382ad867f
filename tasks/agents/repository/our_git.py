"""Our own git directory of a job, and the git that looks at an agent's files through it.

It lies beside the work tree, agents are not shown it, and its configuration is written before each use. The
settings of the worker's user are not read: an agent of the same user could have written them, with programs
in them. Git LFS works all the same where it is installed.

It borrows the mirror, and has what is the job's alone: its agent's commits, and its branch as the remote has
it. Trees of other jobs borrow the mirror too, and not this.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess, GitError, is_at_limit
from routing.git.lfs import LfsStore, copy_lfs_objects
from routing.git.limits import GitLimits
from routing.git.own_settings import ALONE, lfs_filters
from routing.git.remote import Remote
from tasks.agents.repository.mirror import Mirror, RemoteState
from tasks.agents.repository.our_repository import is_damaged, our_repository
from tasks.agents.repository.place import RepositoryPlace

#: A reference in our git directory: the job's branch as the remote has it, where it was fetched.
_THERE = "refs/coalmine/there"


def our_git(git_dir: Path, tree: Path, limits: GitLimits = GitLimits()) -> Git:  # noqa: B008 - it is frozen
    """Return git that has our repository, made if it is not there, and an agent's files as its work tree."""
    repository = our_repository(git_dir).directory.resolve()
    place = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(tree.resolve())}
    access = GitAccess(options=lfs_filters(), environment={**ALONE, **place})
    return limits.for_files(Git(repository, access=access))


def own_repository(place: RepositoryPlace, job_id: str) -> Git:
    """The job's repository, made if it is not there, and borrowing the mirror, which is there."""
    git = our_repository(place.git_dir(job_id), like=place.mirror)
    borrow(git.directory, place.mirror)
    return git


def with_own_branch(
    place: RepositoryPlace, job_id: str, mirror: Mirror, state: RemoteState, *, branch: str, base: str
) -> RemoteState:
    """Have the job's branch in its own repository, and return what the remote has then.

    Nothing is asked for what is here already. A mirror, or a repository of the job, that is damaged is made
    anew once. Raises what `Mirror.fetch` raises.
    """
    if state.branch is None:
        return state
    fetched = partial(_fetched, place, job_id, mirror.remote, branch, state.branch)
    try:
        return replace(state, branch=fetched())
    except GitError as error:
        if is_at_limit(error) or not (error.has_answered and mirror.answers()):
            raise
        if not mirror.repaired(branch, base):
            if not is_damaged(place.limits.for_files(own_repository(place, job_id))):
                raise
            remove_all(place.git_dir(job_id))
    return replace(state, branch=fetched())


def lend_lfs_objects(place: RepositoryPlace, job_id: str, mirror: Mirror, *, start: str, main: str) -> None:
    """Have the LFS objects of a job's start: those of `main` in the mirror, others in its own repository."""
    mirror.lend_lfs_objects(main)
    if start != main:
        own, shared = own_repository(place, job_id), LfsStore.of(mirror.path)
        address = mirror.remote.address
        copy_lfs_objects(own, start, address, to=LfsStore.of(own.directory), besides=shared)


def _fetched(place: RepositoryPlace, job_id: str, remote: Remote, branch: str, commit: str) -> str:
    """The commit of the job's branch, which is in its repository then, with all that it needs."""
    git = own_repository(place, job_id)
    if _has(git, commit):
        return commit
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"]
    wanted = f"+refs/heads/{branch}:{_THERE}"
    remote.run(git, "fetch", *options, "--", remote.address, wanted)
    return git("rev-parse", f"{_THERE}^{{commit}}")  # newer perhaps than what was listed


def _has(git: Git, commit: str) -> bool:
    """Whether a reference leads to a commit: git writes one only when all that it needs is there."""
    found = git.attempt("rev-list", "-1", commit, "--not", "--all")
    return found.returncode == 0 and not found.stdout.strip()


def without_tree(git: Git) -> Git:
    """The same repository without the files, for a git that speaks to another one."""
    alone = GitAccess(environment={**ALONE, "GIT_DIR": str(git.directory)})
    return replace(git, access=alone)


def with_index(git: Git, index: Path) -> Git:
    """The same git with another index."""
    access = git.access or GitAccess()
    environment = {**access.environment, "GIT_INDEX_FILE": str(index.resolve())}
    return replace(git, access=replace(access, environment=environment))


def borrow(repository: Path, *lenders: Path) -> None:
    """Let a repository read the objects of others, and of these alone."""
    lines = "".join(f"{lender.resolve() / 'objects'}\n" for lender in lenders)
    info = repository / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_text(lines, encoding="utf-8")
