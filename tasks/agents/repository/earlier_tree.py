"""What an earlier turn of a job left on this host: a record, a tree, and commits that were not pushed."""

import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from routing.base import Base
from routing.errors import CorruptRecordError
from routing.forges.local.durable_file import read_regular
from routing.git.git import Git, GitError, is_at_limit
from tasks.agents.repository.agent_files import TooLargeError
from tasks.agents.repository.agent_work import AgentWork, is_ancestor, keep_aside, take_work
from tasks.agents.repository.hand_out import clear
from tasks.agents.repository.leftovers import commit_leftovers, is_gutted
from tasks.agents.repository.mirror import RemoteState
from tasks.agents.repository.our_git import our_git
from tasks.agents.repository.place import RepositoryPlace

_log = structlog.get_logger(__name__)

_RECORD = "coalmine.json"
_MOST_RECORD_BYTES = 64 * 1024


class TreeRecord(BaseModel):
    """A file in our git directory. It is written last: a tree without it is half made, and is made anew."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: int = 1
    remote_commit: str | None  # the job's branch on the remote when we last asked
    main: str = ""  # commit of the branch that the work goes to, as it was then; "" from earlier releases
    start: str = ""  # commit that the agent started from
    base_branch: str = ""  # that the work in the tree began from, "" from earlier releases
    base_commit: str = ""
    whole: bool = True  # False while the files are being checked out
    replaced: bool = False  # its work was put onto another base and pushed: nobody goes on in this tree

    @property
    def base(self) -> Base | None:
        """Where the work in the tree began; None in what earlier releases wrote."""
        known = self.base_branch and self.base_commit
        return Base(branch=self.base_branch, commit=self.base_commit) if known else None

    @classmethod
    def read(cls, git_dir: Path) -> Self | None:
        """The record of a git directory of ours; None for one that is not complete."""
        try:
            content, _ = read_regular(git_dir / _RECORD, max_bytes=_MOST_RECORD_BYTES)
            return cls.model_validate_json(content)
        except (OSError, CorruptRecordError, ValidationError):
            return None

    def write(self, git_dir: Path) -> None:
        """Put it in its place."""
        (git_dir / _RECORD).write_text(self.model_dump_json(), encoding="utf-8")


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTree:
    """What an earlier turn left on this host."""

    tip: str | None = None  # the commit to go on from; None: from what the remote has
    is_whole: bool = False  # whether its files are there, too
    is_sparse: bool = False  # the agent had git take files out of it, which are to be there again


def drop_half_made(place: RepositoryPlace, job_id: str) -> None:
    """Have no repository of a job whose tree is half made, or whose work was put onto another base."""
    record = TreeRecord.read(place.git_dir(job_id))
    if record is None or record.replaced:
        clear(place.git_dir(job_id), place.out_of_the_way)


def find_earlier(
    place: RepositoryPlace, job_id: str, state: RemoteState, *, base: Base | None, pushed: Collection[str]
) -> EarlierTree:
    """Look at the tree of an earlier turn. What is not gone on with is kept aside, if it can be read.

    The commits of the state are in the job's repository; one that cannot be read is gone afterwards.
    GitError when a git did not come to its end, or this host is at its limits, as OSError says it too.
    """
    git_dir, tree = place.git_dir(job_id), place.tree(job_id)
    record = TreeRecord.read(git_dir)
    if record is None:
        return EarlierTree()
    try:
        git = our_git(git_dir, tree, place.limits)
        known = [state.main, *([state.branch] if state.branch else []), *([base.commit] if base else [])]
        work = take_work(git, tree, f"coalmine/{job_id}", mirror=place.mirror, known=known)
        if work.not_taken:
            _log.warning("work.left", job=job_id, reason="; ".join(work.not_taken))
        there = state.branch
        is_ours = there is None or there in pushed or is_ancestor(git, there, work.tip)
        tip = work.tip if record.remote_commit == there and is_ours and record.whole else None
        is_whole = record.whole and is_folder(tree) and not is_gutted(git, work.at)
        if tip is None or not is_whole:
            _keep_earlier(git, tree, work, job_id, without=tip or there or state.main)
    except (GitError, OSError, TooLargeError) as error:
        if is_at_limit(error) or (isinstance(error, GitError) and error.returncode is None):
            raise  # it says nothing about the tree, and what is in it may be nowhere else
        _log.warning("tree.not_readable", job=job_id, reason=str(error)[:500])
        clear(git_dir, place.out_of_the_way)
        return EarlierTree()
    return EarlierTree(tip=tip, is_whole=tip is not None and is_whole, is_sparse=work.is_sparse)


def _keep_earlier(git: Git, tree: Path, work: AgentWork, job_id: str, *, without: str) -> None:
    """Keep aside what is in a tree that is made anew."""
    left = commit_leftovers(git, tree, work.at, job=job_id, believes_deletions=work.believes_deletions)
    commit = left.commit or work.tip
    if git("rev-list", "-1", commit, "--not", without):
        keep_aside(git, "left/earlier-turn", commit)


def is_folder(path: Path) -> bool:
    """Whether there is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
