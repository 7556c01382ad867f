"""What follows the end of a run: backlog, checklist, labels, and the issue closed or handed to a person.

The outcome is recorded before any of this is done. Each effect may be repeated without being seen twice, and
all are repeated until all are done: a process that dies between two of them leaves the rest to the next tick.
"""

from collections.abc import Callable

import structlog

from routing.backlog.backlog import Backlog
from routing.backlog.item import BacklogState
from routing.errors import ConflictError, NotFoundError
from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.commit_status import CiVerdict
from routing.forges.errors import ForgeError, ForgeGoneError, ForgeTokenError, ForgeUnreachableError
from routing.forges.site import ForgeSite
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.run_store import RunNotes, RunStore
from routing.store.signals.signal_store import SignalStore
from tasks.issues.checklist import RunProgress
from tasks.issues.collector import Collector
from tasks.issues.projection import Projection
from tasks.issues.site import issue_of, place_of
from tasks.settings.issue_settings import WatchSettings

_log = structlog.get_logger(__name__)

#: How often writing to an issue is tried when its forge refuses, with pauses that double: about three
#: days in all.
MOST_REFUSALS = 80
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 3600.0

#: How often a branch is to be deleted by a token that is refused, at looks that are up to an hour apart.
MOST_BRANCH_TRIES = 50

#: What is noted after a job's end while its issue is open, because a person is to merge its branch.
_TO_MERGE = " to merge"


class Closing:
    """Carries the end of a job over to its issue. `Watcher.tick` calls `close` until it answers True.

    Called by one watcher at a time, as ticks are single-flight; should two overlap, each effect is done at
    most twice and looks as if done once. It decides nothing about the job: that has ended, whatever its forge
    answers.
    """

    def __init__(
        self, *, backlog: Backlog, collector: Collector, jobs: JobStore, runs: RunStore,
        signals: SignalStore, projection: Projection, settings: WatchSettings,
    ) -> None:  # fmt: skip
        self._backlog = backlog
        self._collector = collector
        self._jobs = jobs
        self._runs = runs
        self._signals = signals
        self._projection = projection
        self._settings = settings

    def close(self, site: ForgeSite | None, job: Job) -> bool:
        """Do what is left to do; True when the issue is free for another job.

        False: nothing to do now, or the forge refused and it is tried later. ForgeUnreachableError is passed
        on, and the next tick begins anew. `site` is None for a forge that is no longer among the settings:
        the backlog is ended all the same.
        """
        issue = issue_of(job)
        notes = self._runs.read(job.id)
        if issue is None:  # it names something that no forge has: there is nothing to write to
            self._jobs.effects_done(job.id, job.request.issue, spent_usd=job.spent_usd)
            return False
        if notes.tell_at > self._signals.now():
            return False
        facts = {fact.kind for fact in self._signals.read(job.id)}
        self._backlog_end(issue, job, frozen=SignalKind.FROZEN in facts)
        if site is None or site.of(issue) is None:
            _log.warning("issue.not_told", issue=str(issue), reason="its forge is not among the settings")
        elif not self._written(site, issue, job, facts, notes):
            return False
        self._jobs.effects_done(job.id, str(issue), spent_usd=job.spent_usd)
        return True

    def _backlog_end(self, issue: IssueRef, job: Job, *, frozen: bool) -> None:
        """The backlog comes first: what waited for a finished issue is ready, whatever the forge does."""
        self._backlog.attach(issue, job.id)  # of a dispatch that died before it could note the job
        try:
            if job.state is JobState.SUCCEEDED:
                self._backlog.complete(issue, reason=job.reason, job=job.id)
            elif frozen:
                self._backlog.freeze(issue, reason=job.reason, job=job.id)
            else:
                self._backlog.escalate(issue, reason=job.reason, job=job.id)
        except NotFoundError:  # enqueued by hand: the backlog does not know the issue
            return
        except ConflictError as error:  # a person, or another job, has the issue by now
            _log.info("backlog.not_ended", issue=str(issue), reason=str(error))

    def _written(
        self, site: ForgeSite, issue: IssueRef, job: Job, facts: set[SignalKind], notes: RunNotes
    ) -> bool:
        """Write the end to the issue; False when the forge refuses for now.

        A refusal of an issue that still exists is counted in the run's notes, so the count outlives this
        process.
        """
        try:
            self._write(site, issue, job, facts)
        except ForgeUnreachableError:
            raise
        except ForgeError as error:
            if self._is_there(site, issue):
                return self._refused(issue, job, notes, error)
            # the issue is gone: the job's end stands all the same
            _log.warning("issue.not_told", issue=str(issue), reason=str(error))
        if notes.refusals:
            self._runs.note(job.id, refusals=0, tell_at=0.0)
        return True

    @staticmethod
    def _is_there(site: ForgeSite, issue: IssueRef) -> bool:
        """Whether the issue still exists; a forge that refuses to say counts as yes."""
        place = site.of(issue)
        try:
            if place is not None:
                place.forge.read_issue(issue)
        except ForgeGoneError:
            return False
        except ForgeUnreachableError:
            raise
        except ForgeError:
            return True
        return True

    def _refused(self, issue: IssueRef, job: Job, notes: RunNotes, error: ForgeError) -> bool:
        """A token may be repaired: try again for some days, then leave the issue as it is. True: left."""
        refusals = notes.refusals + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**notes.refusals)
        _log.error("issue.not_told", issue=str(issue), reason=str(error), refusals=refusals)
        if refusals >= MOST_REFUSALS:
            return True
        self._runs.note(job.id, refusals=refusals, tell_at=self._signals.now() + pause)
        return False

    def _write(self, site: ForgeSite, issue: IssueRef, job: Job, facts: set[SignalKind]) -> None:
        """Try each effect, whatever became of the one before it; then raise the first error."""
        shown, done = self._projection, job.state is JobState.SUCCEEDED
        progress = self._progress(site, job, facts)
        effects: list[Callable[[], object]] = [
            lambda: shown.show(site, issue, progress),
            lambda: shown.unlabel(site, issue, job.id),
            lambda: self._withdraw_merge(site, job),
            lambda: self._finish(site, issue, job, done=done, landed=_is_finished(site, job, facts)),
        ]
        errors = [error for effect in effects if (error := _refusal(effect)) is not None]
        if errors:
            raise errors[0]

    def _withdraw_merge(self, site: ForgeSite, job: Job) -> None:
        """A merge that was asked for, and that people do not want any more, is not made later."""
        if job.state is not JobState.CANCELLED or not self._runs.read(job.id).merging:
            return
        change = site.forge.change_of_branch(place_of(job)[1], job.branch)
        if change is not None and change.state is ChangeState.OPEN:
            site.forge.withdraw_merge(change)

    def refresh(self, site: ForgeSite, job: Job, change: ChangeRequest | None) -> None:
        """Show on the checklist of an ended run what people have done with its work since.

        Merged work needs its branch no longer, `change` being what it is now.
        """
        issue = issue_of(job)
        if not job.state.is_final:
            return
        if change is not None and change.state is ChangeState.MERGED and site.config.delete_branches:
            self._delete_branch(site, job, change)
        if issue is None:
            return
        facts = {fact.kind for fact in self._signals.read(job.id)}
        try:
            self._projection.show(site, issue, self._progress(site, job, facts))
            self._close_merged(site, issue, job, facts)
        except ForgeError as error:
            _log.warning("issue.not_shown", issue=str(issue), reason=str(error))

    def _delete_branch(self, site: ForgeSite, job: Job, change: ChangeRequest) -> None:
        """Delete the branch, or leave it where that is refused, once; without an answer at the next look.

        A token may be repaired, so its refusal is asked about again, at MOST_BRANCH_TRIES looks.
        """
        notes = self._runs.read(job.id)
        if change.reverted_at is not None or notes.branch_left == change.head:
            return
        try:
            site.forge.delete_branch(change)
            _log.info("branch.deleted", job=job.id, branch=change.branch, commit=change.head)
        except ForgeUnreachableError as error:
            _log.info("branch.not_deleted", job=job.id, branch=change.branch, reason=str(error))
            return
        except ForgeTokenError as error:
            _log.warning("branch.not_deleted", job=job.id, branch=change.branch, reason=str(error))
            if notes.branch_tries + 1 < MOST_BRANCH_TRIES:
                self._runs.note(job.id, branch_tries=notes.branch_tries + 1)
                return
        except ForgeError as error:
            _log.warning("branch.kept", job=job.id, branch=change.branch, reason=str(error))
        self._runs.note(job.id, branch_left=change.head)

    def _close_merged(self, site: ForgeSite, issue: IssueRef, job: Job, facts: set[SignalKind]) -> None:
        """Close the issue of work that was left to people to merge, and that they have merged: once."""
        ended = _end_of(job)
        if self._runs.read(job.id).finished == f"{ended}{_TO_MERGE}" and _is_finished(site, job, facts):
            _close(site, issue)
            self._runs.note(job.id, finished=ended)

    def _progress(self, site: ForgeSite, job: Job, facts: set[SignalKind]) -> RunProgress:
        """What the checklist of an ended job shows; CI's verdict is taken from its facts, not asked again.

        `facts` are the kinds of the job's signals. Green wins over red: a run that was corrected has both.
        """
        done = job.state is JobState.SUCCEEDED
        asks = not done and self._asks_person(job)
        green = SignalKind.CI_GREEN in facts
        red = SignalKind.CI_RED in facts
        return RunProgress(
            job=job,
            ci=CiVerdict.GREEN if green else CiVerdict.RED if red else CiVerdict.UNKNOWN,
            has_ci=site.config.has_ci,
            merged=bool(facts & {SignalKind.MERGED, SignalKind.PUSHED_TO_MAIN}),
            most_fix_forwards=self._settings.fix_forwards,
            closed=done,
            to_merge="" if _is_finished(site, job, facts) else job.branch,
            escalation_label=self._settings.escalation_label if asks else "",
        )

    def _asks_person(self, job: Job) -> bool:
        """Whether a person is asked to go on: not when people ended the work, and the issue left the queue.

        By the backlog, which was moved before. An issue that it does not know is always handed over.
        """
        issue = issue_of(job)
        item = self._backlog.known(issue) if issue is not None else None
        if item is None or job.state is not JobState.CANCELLED:
            return True
        return item.state in {BacklogState.ESCALATED, BacklogState.FROZEN}

    def _finish(self, site: ForgeSite, issue: IssueRef, job: Job, *, done: bool, landed: bool) -> None:
        """Close the issue or hand it over, once for each end of the job.

        Work that a person is to merge leaves its issue open until then. Other effects may be repeated for
        days, and a person may have taken this one back meanwhile.
        """
        ended = _end_of(job)
        if self._runs.read(job.id).finished.startswith(ended):
            return
        if done and not landed:
            ended += _TO_MERGE
        elif done:
            _close(site, issue)
        elif self._asks_person(job):
            self._hand_over(site, issue)
        self._runs.note(job.id, finished=ended)

    def _hand_over(self, site: ForgeSite, issue: IssueRef) -> None:
        """Add the label and read the issue at once, so that the backlog notices when a person removes it."""
        place = site.of(issue)
        if place is None:
            return
        self._projection.ask_person(place, issue)
        if self._backlog.known(issue) is not None:
            self._collector.read(place, issue)


def _close(site: ForgeSite, issue: IssueRef) -> None:
    place = site.of(issue)
    if place is not None:
        place.forge.close(issue)


def _end_of(job: Job) -> str:
    """What names one end of a job: it may have several, as people retry it."""
    return f"{job.fence} {job.finished_at}"


def _is_finished(site: ForgeSite, job: Job, facts: set[SignalKind]) -> bool:
    """Whether the issue of done work can be closed: nothing is to be merged, or its forge shows it."""
    landed = bool(facts & {SignalKind.MERGED, SignalKind.PUSHED_TO_MAIN})
    return landed or not job.result.commit or site.config.has_change_requests


def _refusal(effect: Callable[[], object]) -> ForgeError | None:
    """The forge's refusal, None for none.

    A forge that does not answer at all is raised and ends the attempt.
    """
    try:
        effect()
    except ForgeUnreachableError:
        raise
    except ForgeError as error:
        return error
    return None
