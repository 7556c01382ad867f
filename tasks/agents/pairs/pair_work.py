"""What the runner asks of a pair: where both of its jobs begin, and who gets their first work.

Both halves hand over what their agent left in the first turn that left anything, before it is delivered
anywhere: so a server that refuses the champion's push, or an issue that is closed meanwhile, changes nothing
about the pair. What each has spent until then is noted with it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from routing.base import Base
from routing.errors import CoalmineError
from routing.git.remote import Remote
from routing.jobs.job import Job
from routing.jobs.signal import Signal, handed_over, judgement
from routing.store.judging.judging_store import HandAnswer, HandedWork
from tasks.agents.pairs.case_work import CaseWork
from tasks.agents.pairs.handed_work import WorkTooLargeError, packed
from tasks.agents.repository.mirror import Mirror
from tasks.agents.repository.our_git import our_git, without_tree
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree
from tasks.work.patience import patiently

_log = structlog.get_logger(__name__)

#: Seconds for which handing over waits for a store that is away; then the finished turn is delivered later.
PATIENCE_SECONDS = 60.0


class PairLeaseLostError(CoalmineError):
    """The job's lease was lost before it was known where its pair begins."""


@dataclass(frozen=True, kw_only=True)
class PairWork:
    """One a worker process."""

    agree: Callable[[Job, Base], Base | None] = lambda _job, base: base  # where it begins: the first decides
    now: Callable[[], float] = time.time  # by the server's clock
    give: Callable[[Job, Signal, HandedWork | None], HandAnswer] = lambda *_given: HandAnswer.OVER
    cases: CaseWork = field(default_factory=CaseWork)  # for jobs of backtests

    def begin(self, job: Job, place: RepositoryPlace, remote: Remote) -> Base | None:
        """Where a job's work is to begin; None where that is up to the job alone.

        A turn that was lost begins again where it began, wherever that is: until the first push, which is
        judged. A shadow is never pushed.
        """
        if not job.partner:
            return None
        if job.base is not None:
            return job.base if job.shadow or job.pushed_at is None else None
        state = Mirror(path=place.mirror, remote=remote).fetch()
        agreed = self.agree(job, Base(branch=state.main_branch, commit=state.main))
        if agreed is None:
            message = f"the lease of job {job.id} was lost before its turn; another worker has it"
            raise PairLeaseLostError(message)
        return agreed

    def hand_over(self, job: Job, tree: Worktree, commit: str) -> HandAnswer | None:
        """Hand a job's first work to the judge of its pair; None outside of pairs, and for later work.

        The pair of a job of a case is in its backtest. None too for a job that went to another version since:
        its work says nothing about the pair. Raises
        what git raises, and the store when it is away for too long: then the delivery is tried again later.
        """
        known = job.handed_at is not None or job.pushed_at is not None
        if not (job.partner or job.case) or known or job.rerouted_from is not None:
            return None
        git = without_tree(our_git(tree.git_dir, tree.path, tree.limits))
        fact, work = handed_over(at=self.now(), commit=commit), None
        try:
            work = packed(git, commit, tree.base)
        except WorkTooLargeError as error:  # the agent's doing, on either side
            fact = judgement(at=self.now(), commit=commit, value=0.0, note=str(error))
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        answer = patiently(
            "pair.hand_over_delayed", partial(self.give, job, fact, work),
            is_over=lambda: time.monotonic() >= give_up_at, job=job.id,
        )  # fmt: skip
        _log.info("pair.handed_over", answer=answer, note=fact.note)
        return answer
