"""The watcher: looks at each job that waits for CI, and carries out what the table in `watch.py` decides.

What people have done with the work is looked at first, in the same tick. A job's end is one step with its
signals, under the fence that the tick read: a second watcher, or a cancel in between, makes the step a no-op.
What the issue shows of the end is `Closing`'s, in the same tick.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from routing.forges.commit_status import CiReading, CiReason, CiVerdict
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeError,
    ForgeHeldError,
    ForgeQueuedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.site import ForgeSite
from routing.jobs.correction import Correction
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal, SignalKind, signal
from routing.jobs.turn import LOG_END_CHARACTERS, Repair, TurnKind
from routing.store.jobs.run_store import RunNotes, merge_asked
from tasks.issues.checklist import RunProgress
from tasks.issues.ci_look import CiLook, CiSeen
from tasks.issues.doers import dropped_by
from tasks.issues.landings import Fate, SeenWork, may_wait, seen_work
from tasks.issues.merging import left_to_merge
from tasks.issues.opening import JobOverError
from tasks.issues.projection import RunLabel
from tasks.issues.sending_back import SentBack
from tasks.issues.site import issue_of, place_of
from tasks.issues.waits import Waits
from tasks.issues.watch import Action, Finding, Watch, Watched, WatchLimits, silence_signal, watch
from tasks.issues.watching import Watching
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Jobs of one kind that one tick looks at.
BATCH = 100

#: Findings that last: people are shown what is waited for, and others go on meanwhile.
_LASTING = frozenset({Finding.MAIN_RED, Finding.PEOPLE, Finding.APPROVAL, Finding.IN_REVIEW})

#: Findings of a CI that has judged nothing, and its reasons when it is at work.
_UNJUDGED = frozenset({Finding.PENDING, Finding.UNKNOWN, Finding.NOTHING})
_AT_WORK = frozenset({CiReason.RUNNING, CiReason.SETTLING})

#: Findings that say nothing about what was waited for before.
_NO_ANSWER = frozenset({Finding.UNREACHABLE, Finding.TOKEN_REFUSED, Finding.NO_FORGE})

_Look = Callable[[ForgeSite | None, Job], bool]
_BY_PEOPLE = {Fate.LANDED: Finding.LANDED, Fate.DROPPED: Finding.DROPPED}


class Watcher:
    """Two ticks, `tick` and `land`. Each job is looked at by itself: one's failure does not stop the next.

    Ticks are single-flight; should two overlap, the fence that each read lets only one of their steps
    through. It keeps nothing between ticks.
    """

    def __init__(
        self, parts: Watching, *, sites: Mapping[str, ForgeSite], limits: WatchLimits,
        run_ci: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._parts = parts
        self._sites = sites
        self._limits = limits
        self._ci = CiLook(run_ci=run_ci)
        self._waits = Waits(backlog=parts.backlog, runs=parts.runs, store=parts.store, tokens=parts.tokens)

    def tick(self) -> int:
        """Look at jobs that wait, that run, and whose issue awaits their end; returns how many changed.

        At most BATCH of each kind. Waiting jobs that were looked at go to the end of their list, so that all
        have their turn.
        """
        store = self._parts.store
        waiting = store.waiting(BATCH)
        changed = self._each(waiting, self._watch)
        store.watched(waiting)
        self._each(store.running()[:BATCH], self._show_running)
        return changed + self._each(store.with_effects(BATCH), self._parts.closing.close)

    def land(self) -> int:
        """Look at what people do with pushed work; returns how many facts were new.

        A tick of its own, as there are many such jobs and nobody waits for any of them.
        """
        self._parts.reported.hasten(self._parts.signals.now())
        return self._each(self._parts.store.landings(BATCH), self._look_for_landing)

    def _look_for_landing(self, site: ForgeSite | None, job: Job) -> bool:
        """Record what is new, end a job that it is the end of, and show it on the checklist of the run."""
        new, seen = self._parts.landings.look(site, job)
        if job.is_in_review and seen.fate is not Fate.OPEN:  # which ends it: the watcher looks at it now
            self._parts.runs.note(job.id, hastened_at=self._parts.signals.now())
        new |= self._parts.people.follow(job, seen)
        if site is not None:
            new |= self._parts.reviews.look(site, job, seen)
            self._parts.closing.refresh(site, job, seen.change)  # writes when something is new
        return new

    def _each(self, identifiers: Iterable[str], look: _Look) -> int:
        """Read the jobs in one round trip, look at each, and count those that changed."""
        listed = list(identifiers)
        changed = 0
        for identifier, job in zip(listed, self._parts.store.read_many(listed), strict=True):
            if job is None:  # its record has expired
                self._parts.store.forget(identifier)
            elif not job.shadow:  # nothing outside shows one
                changed += self._guarded(job, look)
        return changed

    def _guarded(self, job: Job, look: _Look) -> bool:
        """One look; False when it failed, which is logged with the job and its version."""
        bound = structlog.contextvars.bound_contextvars(job=job.id, version=job.version_id)
        with bound, LogAndContinue("watch.failed"):
            return look(self._sites.get(place_of(job)[0]), job)
        return False

    def _show_running(self, site: ForgeSite | None, job: Job) -> bool:
        """Show on the issue that the job runs, and end a turn that must not go on; no change of its state."""
        if site is not None:
            self._show(site, job, CiVerdict.UNKNOWN)
            self._parts.edits.interrupt(site, job)
        return False

    def _watch(self, site: ForgeSite | None, job: Job) -> bool:
        """Look at a pushed job that waits for CI; True when its state changed."""
        now, notes = self._parts.signals.now(), self._noted(job)
        if job.is_in_review and may_wait(job, notes, now):
            return self._edited(site, job) is SentBack.MOVED
        try:
            ci, work = self._look(site, job, notes, now)
        except JobOverError:
            return True
        except ForgeBaseGoneError as error:  # only a person can say what of it is still wanted
            facts = [signal(SignalKind.SETUP, at=now, note=str(error))]
            return self._conclude(job, JobState.ESCALATED, str(error), facts)
        pushed_at = job.pushed_at or now
        silent_since = max(pushed_at, notes.reviewed_at or now) if job.is_in_review else pushed_at
        if ci.finding is Finding.TOKEN_REFUSED:
            self._waits.hold(job, ci.said, now)
        elif notes.held_at is not None:  # until then nothing could be known
            silent_since = max(silent_since, notes.held_at)
            self._parts.tokens.accepted(place_of(job)[0])
        seen = Watched(
            finding=ci.finding,
            fix_forwards=job.fix_forwards,
            elapsed_seconds=0.0 if job.is_in_review else now - (notes.first_pushed_at or pushed_at),
            silent_seconds=now - silent_since,
            complaint=ci.said or ci.reading.complaint,
            waits=str(ci.reading) if site is not None and site.config.has_ci else "",
            judged=job.result.commit in job.judged,
            in_review=job.is_in_review,
        )
        decided = watch(seen, self._limits)
        if ci.finding not in _NO_ANSWER and decided.action is not Action.CLOSE_SUCCESS:  # that may be held up
            waits = decided.reason if ci.finding in _LASTING else ""
            self._waits.aside(
                site, job, notes, waits, in_review=ci.finding is Finding.IN_REVIEW,
                main_red=ci.finding is Finding.MAIN_RED,
            )  # fmt: skip
        if ci.finding in _BY_PEOPLE.values():
            return self._over(site, job, decided, work)
        sent = self._edited(site, job, last=decided.action is Action.CLOSE_SUCCESS)
        if sent is SentBack.NOTHING:
            sent = self._in_conflict(site, job, ci, work, decided, silent=seen.silent_seconds)
        if sent is not SentBack.NOTHING:  # held: its work is to be changed, and is not merged as it is
            return sent is SentBack.MOVED
        return self._carry_out(site, job, decided, ci, now)

    def _edited(self, site: ForgeSite | None, job: Job, *, last: bool = False) -> SentBack:
        """Have the agent get a text that was changed, before anything is judged. `last`: see `look`."""
        return self._parts.edits.look(site, job, last=last) if site is not None else SentBack.NOTHING

    def _in_conflict(
        self, site: ForgeSite | None, job: Job, ci: CiSeen, work: SeenWork, decided: Watch, *, silent: float,
    ) -> SentBack:  # fmt: skip
        """Note work in review. What has conflicts goes back, and what people wrote about before its merge."""
        if ci.finding is Finding.IN_REVIEW:
            self._waits.review(job, ci.reading, decided.reason, self._parts.signals.now())
            return self._parts.conflicts.look(site, job, work.change) if site else SentBack.NOTHING
        if site is not None and decided.action is Action.CLOSE_SUCCESS:
            return self._parts.reviews.before_merge(site, job, work)
        over = decided.action is Action.ESCALATE
        if site is None or ci.finding not in _UNJUDGED or (ci.reading.reason in _AT_WORK and not over):
            return SentBack.NOTHING
        return self._parts.conflicts.unjudged(site, job, work.change, silent_seconds=silent, over=over)

    def _carry_out(self, site: ForgeSite | None, job: Job, decided: Watch, ci: CiSeen, now: float) -> bool:
        """Do what was decided by CI's word, or by the lack of it; True when the job's state changed."""
        match decided.action:
            case Action.CLOSE_SUCCESS if site is not None:
                return self._close(site, job, decided.reason, now, green=ci.finding is Finding.GREEN)
            case Action.FIX_FORWARD if site is not None:
                return self._fix_forward(site, job, ci.reading, decided.reason, now)
            case Action.BRING_UP_TO_DATE if site is not None:
                return self._bring_up_to_date(site, job, decided.reason, now)
            case Action.FREEZE_ESCALATE:
                return self._freeze(job, decided.reason, now)
            case Action.ESCALATE:
                return self._hand_over(job, ci.finding, decided.reason, now)
            case _:
                if site is not None:
                    waits = decided.reason if ci.finding in _LASTING else ""
                    shows = RunLabel.IN_REVIEW if ci.finding is Finding.IN_REVIEW else RunLabel.IN_PROGRESS
                    self._show(site, job, ci.reading.verdict, waits=waits, shows=shows)
                return False

    def _over(self, site: ForgeSite | None, job: Job, decided: Watch, work: SeenWork) -> bool:
        """End a job by what people did with its work; CI is not asked."""
        if decided.action is Action.CLOSE_SUCCESS:
            return self._conclude(job, JobState.SUCCEEDED, decided.reason, work.facts)
        who = dropped_by(site, work.change)
        reason = f"{decided.reason}{who}; its work is kept on the branch {job.branch}"
        return self._conclude(job, JobState.CANCELLED, reason, work.facts)

    def _look(self, site: ForgeSite | None, job: Job, notes: RunNotes, now: float) -> tuple[CiSeen, SeenWork]:
        """What the job's forge shows of the pushed commit: a finding with CI's word, and what people did.

        In the order of what must be there first: the forge, the change request, what people did with it, a CI
        at all, its verdict.
        """
        nothing = SeenWork()
        if site is None:
            _log.warning("watch.no_forge", repository=job.request.repository)
            return CiSeen(finding=Finding.NO_FORGE), nothing
        missing = self._parts.changes.missing(site, job, notes)
        if missing is not None:
            return CiSeen(finding=missing.finding, said=missing.said), nothing
        found, work = self._by_people(site, job, now)
        if found is not None:
            return found, work
        seen = self._ci_seen(site, job, notes, now) if site.config.has_ci else CiSeen(finding=Finding.NO_CI)
        done = seen.finding in {Finding.GREEN, Finding.NO_CI}
        if done and site.config.leaves_merging and issue_of(job) is not None:
            seen = replace(seen, finding=Finding.IN_REVIEW)
        return seen, work

    def _ci_seen(self, site: ForgeSite, job: Job, notes: RunNotes, now: float) -> CiSeen:
        """What CI says; that the main branch is red in the same way is noted, and logged once."""
        known = notes.red_as_main == job.result.commit
        seen = self._ci.at(site, job, waited_seconds=now - (job.pushed_at or now), held=known)
        if seen.finding is Finding.MAIN_RED and not known:
            self._parts.runs.note(job.id, red_as_main=job.result.commit)
            _log.warning("main.red", repository=job.request.repository, reason=str(seen.reading))
        return seen

    @staticmethod
    def _by_people(site: ForgeSite, job: Job, now: float) -> tuple[CiSeen | None, SeenWork]:
        """What people did with the work, and the finding when that decides, or is not known; else None."""
        try:
            work = seen_work(site, job, now)
        except ForgeError as error:
            away = isinstance(error, ForgeUnreachableError)
            _log.warning("forge.unreachable" if away else "change.not_read", reason=str(error))
            if isinstance(error, ForgeTokenError):
                return CiSeen(finding=Finding.TOKEN_REFUSED, said=str(error)), SeenWork()
            if away:  # what people did is not known: nothing is decided
                return CiSeen(finding=Finding.UNREACHABLE), SeenWork()
            return None, SeenWork()
        finding = _BY_PEOPLE.get(work.fate)
        return None if finding is None else CiSeen(finding=finding), work

    def _noted(self, job: Job) -> RunNotes:
        """The notes of the run, which begins with its first push.

        A retry by a person begins it anew, with a change request of its own: the former may be closed.
        """
        notes, pushed_at = self._parts.runs.read(job.id), job.pushed_at
        if not job.was_sent_back and pushed_at is not None and notes.first_pushed_at != pushed_at:
            self._parts.runs.note(job.id, first_pushed_at=pushed_at, change="", change_at=0.0)
            return replace(notes, first_pushed_at=pushed_at, change=False, change_at=0.0)
        return notes

    def _fix_forward(self, site: ForgeSite, job: Job, ci: CiReading, reason: str, now: float) -> bool:
        """Send the job back to its agent, with what CI said; without it, if the log cannot be read.

        Unless people no longer want the work: its issue is read before another turn is paid.
        """
        commit = job.result.commit
        try:
            log = site.forge.failing_log(place_of(job)[1], commit, most_characters=LOG_END_CHARACTERS)
        except ForgeError as error:
            _log.warning("log.not_read", commit=commit, reason=str(error))
            log = ""
        repair = Repair(commit=commit, checks=ci.names, log=log or ci.complaint)
        correction = Correction(
            kind=TurnKind.FIX_FORWARD, repair=repair, reason=reason, most=self._limits.fix_forwards
        )
        try:
            return self._parts.back.send(site, job, correction) is SentBack.MOVED
        except ForgeError as error:
            why = f"{reason}, and whether another turn is wanted was not answered"
            facts = [signal(SignalKind.CI_RED, at=now, commit=commit)]
            return self._not_yet(site, job, error, facts, now, why=why)

    def _hand_over(self, job: Job, finding: Finding, reason: str, now: float) -> bool:
        """Hand work without a verdict to a person; the fact says whose silence it was."""
        fact = signal(silence_signal(finding), at=now, commit=job.result.commit, note=reason)
        return self._conclude(job, JobState.ESCALATED, reason, [fact])

    def _freeze(self, job: Job, reason: str, now: float) -> bool:
        """Hand red work to a person; both facts count against the version."""
        commit = job.result.commit
        facts = [
            signal(SignalKind.CI_RED, at=now, commit=commit),
            signal(SignalKind.FROZEN, at=now, commit=commit, note=reason),
        ]
        return self._conclude(job, JobState.ESCALATED, reason, facts)

    def _close(self, site: ForgeSite, job: Job, reason: str, now: float, *, green: bool) -> bool:
        """Success: merge if the settings say so, then end the job with what is known of it, in one step."""
        facts = [signal(SignalKind.CI_GREEN, at=now, commit=job.result.commit)] if green else []
        if green and site.config.merges_green:
            try:
                return self._parts.merging.merge(site, job, reason, now)
            except ForgeError as error:
                return self._not_merged(site, job, error, facts, now, why="green, but not merged")
        return self._conclude(job, JobState.SUCCEEDED, reason + left_to_merge(site, job), facts)

    def _bring_up_to_date(self, site: ForgeSite, job: Job, reason: str, now: float) -> bool:
        """Have the branch hold what repaired the main branch."""
        try:
            return self._parts.merging.bring_up_to_date(site, job, reason, now)
        except ForgeError as error:
            why = f"{reason}, but the work could not be brought up to date"
            fact = signal(SignalKind.MAIN_RED, at=now, commit=job.result.commit, note=why)
            return self._not_merged(site, job, error, [fact], now, why=why)

    def _not_merged(
        self, site: ForgeSite, job: Job, error: ForgeError, facts: Sequence[Signal], now: float, *, why: str
    ) -> bool:
        """What may pass is asked again; a conflict is the agent's to settle; all else is a person's."""
        if not isinstance(error, (ForgeTokenError, ForgeUnreachableError)):
            try:
                settled = self._parts.conflicts.resolve(site, job, error, facts=facts)
            except ForgeError as other:
                return self._not_yet(site, job, other, facts, now, why=why)
            if settled is SentBack.NOTHING:
                return self._conclude(job, JobState.ESCALATED, f"{why}: {error}", facts)
            return settled is SentBack.MOVED
        return self._not_yet(site, job, error, facts, now, why=why)

    def _not_yet(
        self, site: ForgeSite, job: Job, error: ForgeError, facts: Sequence[Signal], now: float, *, why: str
    ) -> bool:
        """What may succeed later is asked for at the next tick, but not without end.

        What waits for people, or in a queue, is shown, and lets others go on meanwhile.
        """
        refused = isinstance(error, ForgeTokenError)
        if refused:
            self._waits.hold(job, str(error), now)
        place = error.place if isinstance(error, ForgeQueuedError) else ""
        commit, since, before = [*self._parts.runs.read(job.id).merging.split(" ", 2), "", ""][:3]
        if commit != job.result.commit or place not in {"", before}:  # its first try, or the queue got on
            since = f"{now:.6f}"
            self._parts.runs.note(job.id, merging=merge_asked(job.result.commit, now, place))
        say = _log.warning if now > float(since) else _log.info  # forges often need a moment
        say("merge.delayed", commit=job.result.commit, reason=str(error))
        limit = self._limits.token_seconds if refused else self._limits.no_verdict_seconds
        if now - float(since) < limit:
            waits = str(error) if isinstance(error, (ForgeHeldError, ForgeQueuedError)) else ""
            self._waits.aside(site, job, self._parts.runs.read(job.id), waits)
            if waits:
                green = any(fact.kind is SignalKind.CI_GREEN for fact in facts)
                self._show(site, job, CiVerdict.GREEN if green else CiVerdict.RED, waits=f"{why}: {waits}")
            return False
        return self._conclude(job, JobState.ESCALATED, f"{why} within {limit:g} s: {error}", facts)

    def _conclude(self, job: Job, state: JobState, reason: str, facts: Sequence[Signal]) -> bool:
        """End the job with its signals, in one step under its fence; False when another was faster."""
        return self._parts.jobs.conclude(job, state, reason=reason, signals=facts)

    def _show(
        self, site: ForgeSite, job: Job, ci: CiVerdict, *, waits: str = "",
        shows: RunLabel = RunLabel.IN_PROGRESS,
    ) -> None:  # fmt: skip
        """Refresh what the issue shows; a failure to write it is logged and stops nothing else."""
        issue = issue_of(job)
        if issue is None or site.of(issue) is None:
            return
        progress = RunProgress(
            job=job, ci=ci, has_ci=site.config.has_ci, waits=waits, merges_green=site.config.merges_green,
            most_fix_forwards=self._limits.fix_forwards, in_review=shows is RunLabel.IN_REVIEW,
        )  # fmt: skip
        try:
            self._parts.projection.label(site, issue, job.id, shows)
            self._parts.projection.show(site, issue, progress)
        except ForgeError as error:
            _log.warning("issue.not_shown", issue=str(issue), reason=str(error))
