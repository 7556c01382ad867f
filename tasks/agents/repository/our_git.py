"""Our own git directory of a job, and the git that looks at an agent's files through it.

It lies beside the work tree, agents are not shown it, and its configuration is written before each use. The
settings of the worker's user are not read: an agent of the same user could have written them, with programs
in them. Git LFS works all the same where it is installed.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from routing.git.git import Git, GitAccess
from routing.git.limits import GitLimits
from tasks.agents.repository.our_repository import our_repository

#: Settings of the user, and attributes from outside of the repository, are not read. No object is fetched
#: because it is missing.
#: A file in LFS whose content is not here is its pointer in the tree, and is not asked for: the address would
#: come from the commit (`.lfsconfig`), which an agent wrote perhaps.
ALONE: Mapping[str, str] = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
}

_LFS = (
    *("-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.smudge=git-lfs smudge -- %f"),
    *("-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true"),
)


def our_git(git_dir: Path, tree: Path, limits: GitLimits = GitLimits()) -> Git:  # noqa: B008 - it is frozen
    """Return git that has our repository, made if it is not there, and an agent's files as its work tree."""
    repository = our_repository(git_dir).directory.resolve()
    place = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(tree.resolve())}
    access = GitAccess(options=_LFS if shutil.which("git-lfs") else (), environment={**ALONE, **place})
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
