"""Our own git directory of a job, and the git that looks at an agent's files through it.

It lies beside the work tree, agents are not shown it, and its configuration is written before each use. The
settings of the worker's user are not read: an agent of the same user could have written them, with programs
in them. Git LFS works all the same where it is installed.
"""

from dataclasses import replace
from pathlib import Path

from routing.git.git import Git, GitAccess
from routing.git.limits import GitLimits
from routing.git.own_settings import ALONE, lfs_filters
from tasks.agents.repository.our_repository import our_repository


def our_git(git_dir: Path, tree: Path, limits: GitLimits = GitLimits()) -> Git:  # noqa: B008 - it is frozen
    """Return git that has our repository, made if it is not there, and an agent's files as its work tree."""
    repository = our_repository(git_dir).directory.resolve()
    place = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(tree.resolve())}
    access = GitAccess(options=lfs_filters(), environment={**ALONE, **place})
    return limits.for_files(Git(repository, access=access))


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
