"""Whether agents of a version start: when several jobs in a row fail alike before any work, the others wait.

A program that lacks its key, its own settings or its files fails for every issue, and each would use up its
attempts. What the program says counts first: an account's limit, a refused credential or an unknown model has
a breaker of its own. In a trial nothing waits while one of the two arms starts: which of them does not is
what the trial finds out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from routing.accounts.breaker import version_breaker
from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.ending import Ending
from routing.jobs.job import Job
from routing.store.accounts.breaker_store import BreakerStore
from routing.templates.trial import Trial
from routing.templates.version import version_id
from tasks.agents.turn.result import TurnResult
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Seconds in which an agent that fails has failed at its start; `_accounts.lua` has the same number.
START_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionStarts:
    """One a worker process, shared by its threads."""

    breakers: BreakerStore | None = None  # None: nothing is noted
    trial: Callable[[str], Trial | None] = lambda _: None  # by its id
    opened: Callable[[], object] = lambda: None  # called when a version starts again: jobs may wait for it

    def judged(self, job: Job, result: TurnResult) -> TurnResult:
        """The result of a turn of the job; with a limit when its version's jobs are to wait, this one too."""
        if self.breakers is None:
            return result
        name = version_breaker(job.version_id)
        with LogAndContinue("version.start_not_noted", version=job.version_id):
            if not failed_at_start(result):
                if has_started(result) and self.breakers.started(name):
                    self.opened()
                return result
            words = failure_words(result)
            waits = self.breakers.failed(
                name, alike=str(result.exit_code), words=words, job=job.id, trial=job.trial,
                other=self._other(job),
            )  # fmt: skip
            if waits:
                _log.warning("version.does_not_start", version=job.version_id, words=words)
                return replace(result, limit=AccountLimit(kind=LimitKind.START, words=words))
        return result

    def _other(self, job: Job) -> str:
        """The breaker of the other arm's version; "" for a job in no trial."""
        trial = self.trial(job.trial) if job.trial else None
        if trial is None:
            return ""
        rival = trial.canary if job.version == trial.champion else trial.champion
        return version_breaker(version_id(job.template, rival))


def failed_at_start(result: TurnResult) -> bool:
    """Whether the program ended with an error of its own, soon, and before it did or paid for anything.

    Not when a signal ended it: a machine that is short of memory says nothing of a version.
    """
    return (
        result.ended_by is Ending.RESULT
        and not (result.clean or result.acted or result.lingered or result.session_lost or result.refused)
        and result.limit is None
        and result.api_error is None
        and (result.exit_code or 0) > 0
        and result.duration_seconds <= START_SECONDS
    )


def has_started(result: TurnResult) -> bool:
    """Whether the turn shows that agents of its version start."""
    return result.clean or result.acted or result.duration_seconds > START_SECONDS


def failure_words(result: TurnResult) -> str:
    """How it ended, and the last line that it printed."""
    lines = [line.strip() for line in result.output_tail.splitlines() if line.strip()]
    said = f": {lines[-1]}" if lines else ", and it printed nothing"
    return f"exit code {result.exit_code}{said}"[:300]
