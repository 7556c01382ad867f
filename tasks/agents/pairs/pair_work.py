"""What the runner asks of a pair: where both of its jobs begin, and what the judge says of the first push.

Both jobs are judged by the worker that ran them, right after their first push and under their lease: so a
worker that dies before the job's end is written leaves a finished turn, which is pushed and judged again, and
what is recorded is the first judgement.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from routing.base import Base
from routing.errors import CoalmineError
from routing.git.remote import Remote
from routing.jobs.job import Job
from routing.jobs.signal import Signal, judgement
from tasks.agents.pairs.judge import Judge, Judgement
from tasks.agents.repository.mirror import Mirror
from tasks.agents.repository.our_git import our_git, without_tree
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree

_log = structlog.get_logger(__name__)


class PairLeaseLostError(CoalmineError):
    """The job's lease was lost before it was known where its pair begins."""


@dataclass(frozen=True, kw_only=True)
class PairWork:
    """One a worker process. Without a judge for a repository its pairs are left out of their trial."""

    agree: Callable[[Job, Base], Base | None] = lambda _job, base: base  # where it begins: the first decides
    now: Callable[[], float] = time.time  # by the server's clock
    judge_of: Callable[[Job], Judge | None] = lambda _job: None  # who judges a job's work

    def begin(self, job: Job, place: RepositoryPlace, remote: Remote) -> Base | None:
        """Where a job's work is to begin; None where that is up to the job alone.

        A turn that was lost begins again where it began, wherever that is: until the first push, which is
        judged. A shadow is never pushed.
        """
        if not job.partner:
            return None
        if job.base is not None:
            return job.base if job.shadow or job.pushed_at is None else None
        state = Mirror(path=place.mirror, remote=remote).fetch(job.branch)
        agreed = self.agree(job, Base(branch=state.main_branch, commit=state.main))
        if agreed is None:
            message = f"the lease of job {job.id} was lost before its turn; another worker has it"
            raise PairLeaseLostError(message)
        return agreed

    def judged(self, job: Job, tree: Worktree, commit: str, work_dir: Path) -> Signal | None:
        """The judge's word on a job's first push; None outside of pairs, and for later pushes.

        None too for a job that went to another version since: its work says nothing about the pair.
        """
        if not job.partner or not commit or job.pushed_at is not None or job.rerouted_from is not None:
            return None
        judge = self.judge_of(job)
        if judge is None:
            nobody = f"no judge is set for {job.request.repository}; set judge.command"
            found = Judgement(value=None, note=nobody)
        else:
            git = without_tree(our_git(tree.git_dir, tree.path, tree.limits))
            name = job.request.repository.rpartition("/")[2].rpartition(":")[2]
            found = judge.judge(git, commit, tree.base, work_dir=work_dir / ".coalmine" / "judge", name=name)
        _log.info("pair.judged", value=found.value, note=found.note)
        return judgement(
            at=self.now(), commit=commit, value=found.value, note=found.note, overdue=found.overdue
        )
