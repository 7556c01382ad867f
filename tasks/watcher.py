"""The watcher: sees pushed work to its end, tells the issue, and keeps looking for merges and reverts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from routing.change_request import ChangeRequest, ChangeState
from routing.commit_status import CiVerdict, CombinedStatus
from routing.errors import CoalmineError
from routing.forge import Forge
from routing.forge_errors import ForgeError, ForgeRefusedError, ForgeUnreachableError
from routing.issue import IssueRef
from routing.job import Job, JobState
from routing.jobs import Jobs
from routing.signal import Signal, SignalKind, signal
from routing.store.job_store import JobStore
from routing.store.signal_store import SignalStore
from tasks.telling import tell
from tasks.watch import Action, Watched, watch

_log = structlog.get_logger(__name__)

#: Jobs of one kind that one tick looks at.
BATCH = 100

#: Seconds for which settled work is still looked at: a late revert may contradict its trial's verdict.
LATE_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchRules:
    """What the watcher is told by the settings."""

    merge_green: bool
    has_ci: bool
    no_verdict_seconds: float
    interval_seconds: float


class Watcher:
    """One tick: each job is looked at by itself; one's failure does not keep the next from its turn."""

    def __init__(
        self, *, jobs: Jobs, store: JobStore, signals: SignalStore, forge: Forge, repository: str,
        rules: WatchRules, run_ci: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._store = store
        self._signals = signals
        self._forge = forge
        self._repository = repository
        self._rules = rules
        self._run_ci = run_ci  # has CI look at a commit, if it has not yet

    def tick(self) -> int:
        """Look at everything that is due; returns how many facts were new, or jobs ended."""
        waiting = self._store.waiting(BATCH)
        changed = self._each(waiting, self._watch)
        self._store.watched(waiting)
        self._each(self._store.with_effects(BATCH), self._tell)
        return changed + self._each(self._store.landings(BATCH), self._look_for_landing)

    def _each(self, identifiers: Iterable[str], look: Callable[[Job], bool]) -> int:
        listed = list(identifiers)
        changed = 0
        for identifier, job in zip(listed, self._store.read_many(listed), strict=True):
            if job is None:  # its record has expired
                self._store.forget(identifier)
            else:
                changed += self._guarded(job, look)
        return changed

    def _guarded(self, job: Job, look: Callable[[Job], bool]) -> bool:
        with structlog.contextvars.bound_contextvars(job=job.id, version=job.version_id):
            try:
                return look(job)
            except ForgeUnreachableError as error:
                _log.warning("forge.unreachable", reason=str(error))
            except CoalmineError as error:
                _log.error("watch.failed", reason=str(error))
            return False

    def _watch(self, job: Job) -> bool:
        """A pushed job that waits for CI."""
        now = self._signals.now()
        status = self._status(job)
        seen = Watched(
            ci=status.verdict,
            has_ci=self._rules.has_ci,
            elapsed_seconds=now - (job.pushed_at or now),
            no_verdict_seconds=self._rules.no_verdict_seconds,
            complaint=status.complaint,
        )
        decided = watch(seen)
        if decided.action is Action.WAIT:
            return False
        if decided.action is Action.CLOSE_SUCCESS:
            return self._close(job, decided.reason, now, green=status.has_real_ci)
        if decided.action is Action.FREEZE_ESCALATE:
            commit = job.result.commit
            facts = [
                signal(SignalKind.CI_RED, at=now, commit=commit),
                signal(SignalKind.FROZEN, at=now, commit=commit, note=decided.reason),
            ]
        else:  # CI that says nothing is not the agent's doing
            facts = [signal(SignalKind.UNREACHABLE, at=now, note=decided.reason)]
        return self._jobs.conclude(job, JobState.ESCALATED, reason=decided.reason, signals=facts)

    def _status(self, job: Job) -> CombinedStatus:
        """What CI says of the job's commit; a forge that does not answer has said nothing."""
        commit = job.result.commit
        try:
            status = self._forge.statuses(self._repository, commit)
        except ForgeUnreachableError as error:
            _log.warning("forge.unreachable", reason=str(error))
            return CombinedStatus(commit=commit)
        if status.verdict is CiVerdict.UNKNOWN and self._rules.has_ci:
            self._run_ci(commit)
        return status

    def _close(self, job: Job, reason: str, now: float, *, green: bool) -> bool:
        """Success: merge if that is ours to do, then end the job with what is known of it, in one step."""
        facts = [signal(SignalKind.CI_GREEN, at=now, commit=job.result.commit)] if green else []
        if green and self._rules.merge_green:
            change = self._forge.change_of_branch(self._repository, job.branch)
            if change is not None and not self._store.land(job.id, job.fence):
                return False  # it was cancelled since this tick read it
            if change is not None:
                try:
                    merged = self._merged(change, job)
                except ForgeRefusedError as error:
                    why = f"green, but not merged: {error}"
                    return self._jobs.conclude(job, JobState.ESCALATED, reason=why, signals=facts)
                facts += landing_facts(job, merged, now)
                reason = f"{reason}; merged"
        return self._jobs.conclude(job, JobState.SUCCEEDED, reason=reason, signals=facts)

    def _merged(self, change: ChangeRequest, job: Job) -> ChangeRequest:
        if change.state is not ChangeState.OPEN:
            return change
        issue = IssueRef.parse(job.request.issue) if job.request.issue else None
        return self._forge.merge(change, issue=issue)

    def _look_for_landing(self, job: Job) -> bool:
        """What people do with pushed work: merge it, throw it away, revert it."""
        now = self._signals.now()
        change = self._forge.change_of_branch(self._repository, job.branch)
        facts = landing_facts(job, change, now) if change is not None else []
        if facts and change is not None and change.state is ChangeState.MERGED:
            status = self._forge.statuses(self._repository, change.head)
            if status.has_real_ci:
                facts.append(signal(SignalKind.CI_GREEN, at=now, commit=change.head))
        new = self._signals.add(job.id, facts) if facts else 0
        self._store.look_again(job.id, at=next_look(job, now, self._rules.interval_seconds))
        return new > 0

    def _tell(self, job: Job) -> bool:
        """A final job's issue is told; then it is free for another job."""
        try:
            tell(self._forge, job)
        except ForgeUnreachableError:
            raise
        except ForgeError as error:  # gone or refused for good: the job's end stands all the same
            _log.warning("issue.not_told", issue=job.request.issue, reason=str(error))
        self._store.effects_done(job.id, job.request.issue)
        return True


def landing_facts(job: Job, change: ChangeRequest, now: float) -> list[Signal]:
    """What a change request's state says of the job that made it: pure."""
    facts = []
    if change.state is ChangeState.MERGED:
        at = change.merged_at.timestamp() if change.merged_at else now
        note = f"as {change.merge_commit[:12]}"
        facts.append(signal(SignalKind.MERGED, at=at, commit=change.head, note=note))
    if change.state is ChangeState.CLOSED:
        facts.append(signal(SignalKind.CLOSED_UNMERGED, at=now, commit=job.result.commit))
    if change.reverted_at is not None:
        facts.append(signal(SignalKind.REVERTED, at=change.reverted_at.timestamp(), commit=change.head))
    return facts


def next_look(job: Job, now: float, interval_seconds: float) -> float | None:
    """When to look for a landing again: young work often, old work seldom, settled work for some days more.

    The pause is a tenth of the job's age, between one interval and an hour.
    """
    if job.settled_at is not None and now - job.settled_at > LATE_SECONDS:
        return None
    return now + max(interval_seconds, min(3600.0, (now - job.created_at) / 10))
