"""Cancelling: a job ends, and so do the children that its agent asked for.

A job that is queued or waits for CI ends at once. A running one is marked; its worker ends the agent, and the
sweep ends the job when that worker was lost. The same way ends a job whose work people have landed: as
succeeded.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from routing.errors import ConflictError, CorruptRecordError, NotFoundError
from routing.events import JOB_FINISHED
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind, signal
from routing.jobs.turn import HindranceKind
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.move import Move, MoveAnswer

_log = structlog.get_logger(__name__)


class Cancellation:
    """Ends jobs, and the children of those that ended badly."""

    def __init__(self, jobs: JobStore, *, find: Callable[[str], Job], keeps_children: bool) -> None:
        self._jobs = jobs
        self._find = find  # raises NotFoundError when there is no such job
        self._keeps_children = keeps_children  # when their parent failed; not when it was cancelled

    def cancel(self, job_id: str, *, by: str, at: float) -> Job:
        """End a job in any state that is not final, and its children; a worker stops a running agent."""
        reason = f"cancelled by {by}"
        fact = signal(SignalKind.CANCELLED, at=at, note=reason)
        return self.end(job_id, JobState.CANCELLED, reason=reason, facts=[fact], at=at)

    def end(
        self, job_id: str, to: JobState, *, reason: str, facts: Sequence[Signal], at: float,
        fence: int | None = None,
    ) -> Job:  # fmt: skip
        """End a job as cancelled or succeeded, whatever state it is in; ConflictError if it ended otherwise.

        The facts are recorded with the end of a job that is not running. Those of a running one are the
        caller's to record before; its worker adds that it was cancelled. With `fence` a job that waits is
        ended in that run alone, and also when it was taken for its merge: by the tick that merges.
        """
        while True:
            job = self._find(job_id)
            if job.state.is_final:
                if job.state is to:
                    self._see_to_shadow(job, at=at)  # the caller before may have died in between
                    return job
                message = f"job {job_id} is {job.state} and can no longer be cancelled"
                raise ConflictError(message)
            if job.state is JobState.RUNNING:
                done = self._jobs.cancel_running(job_id, reason, to=to)
            else:
                moved = self._jobs.move(Move(
                    job=job_id, allowed=[JobState.QUEUED, JobState.WAITING], to=to,
                    event=JOB_FINISHED, reason=_with_kept(job, to, reason), signals=facts, fence=fence,
                    keeps_turn=to is JobState.CANCELLED,  # for a person's retry to deliver
                ))  # fmt: skip
                if moved.answer is MoveAnswer.STALE:
                    message = f"job {job_id} has gone on since it was read and was not cancelled"
                    raise ConflictError(message)
                if moved.answer is MoveAnswer.MERGING:
                    message = f"job {job_id} is being merged now and was not cancelled; revert the merge"
                    raise ConflictError(message)
                done = moved.done
            if done:
                self._end_children(job_id, at=at)
                ended = self._find(job_id)
                if to is JobState.CANCELLED:
                    self._see_to_shadow(ended, at=at)
                return ended

    def _see_to_shadow(self, job: Job, *, at: float) -> None:
        """Nobody needs the shadow of a job that was cancelled before it had any work: their pair is left out.

        Once its first work went to the judge, the shadow goes on: whether a pair counts must not depend on
        what became of the champion's work. A shadow that has ended stays.
        """
        is_cancelled = job.state is JobState.CANCELLED or (job.cancel and job.cancel_to is JobState.CANCELLED)
        has_work = job.handed_at is not None or job.pushed_at is not None
        if not is_cancelled or not job.partner or job.shadow or has_work:
            return
        with suppress(ConflictError, NotFoundError):
            self.cancel(job.partner, by=f"the cancel of job {job.id}, whose shadow it is", at=at)

    def see_to_children(self, *, at: float, most: int = 500) -> None:
        """Cancel the children of jobs that were cancelled, or that failed, unless those are kept."""
        for parent in self._jobs.bereaved(most):
            job = self._jobs.read(parent)
            failed = job is not None and job.state is JobState.FAILED
            back = job is not None and not job.state.is_final and not job.cancel  # a person retried it
            seen_to = back or (failed and self._keeps_children) or self._end_children(parent, at=at)
            if seen_to:
                self._jobs.seen_to(parent)

    def _end_children(self, parent: str, *, at: float) -> bool:
        """Cancel what has not ended; False when that failed for one, after all were tried."""
        failed = False
        for child in self._jobs.children(parent):
            try:
                self.cancel(child, by=f"the end of its parent {parent}", at=at)
            except NotFoundError:
                self._jobs.disown(parent, child)
            except ConflictError:  # it has ended meanwhile
                continue
            except CorruptRecordError as error:
                _log.error("job.child_left", job=child, parent=parent, reason=str(error))
                failed = True
        return not failed


def _with_kept(job: Job, to: JobState, reason: str) -> str:
    """The reason, and where work is that nobody delivers any more.

    A turn that a limit of its account ended has left its work in its tree, neither finished nor pushed.
    """
    if to is not JobState.CANCELLED:
        return reason
    if job.hindrance is not None and job.hindrance.kind is HindranceKind.LIMIT and job.turns and job.worker:
        return f"{reason}; what its turn did is as it is in its work tree on {job.worker.rpartition('@')[2]}"
    if job.finished is None or " is kept " in reason:
        return reason
    return f"{reason}; its finished work is kept in its work tree on {job.finished.host}"
