"""Where a job stands while its pushed work waits: beside its slot, in review, or held by a refused token."""

from dataclasses import dataclass

from routing.backlog.backlog import Backlog
from routing.forges.commit_status import CiReading, CiVerdict
from routing.forges.site import ForgeSite
from routing.jobs.job import Job
from routing.jobs.signal import SignalKind, signal
from routing.store.fleet.token_store import TokenStore
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.run_store import RunNotes, RunStore
from tasks.issues.site import issue_of, place_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """Notes what the watcher found that lasts. Every step may be repeated, and is noted last."""

    backlog: Backlog
    runs: RunStore
    store: JobStore
    tokens: TokenStore

    def review(self, job: Job, ci: CiReading, reason: str, now: float) -> None:
        """Note that work is in review, and when that was last seen."""
        if not job.is_in_review:
            green = ci.verdict is CiVerdict.GREEN
            facts = [signal(SignalKind.CI_GREEN, at=now, commit=job.result.commit)] if green else []
            self.store.note_review(job, reason=reason, facts=facts)
        self.runs.note(job.id, reviewed_at=now)

    def aside(
        self, site: ForgeSite | None, job: Job, notes: RunNotes, waits: str, *, in_review: bool = False,
        main_red: bool = False,
    ) -> None:  # fmt: skip
        """Free the repository's slot, and its turn to merge, while work waits for others; then take it again.

        `waits` is what for, "" for nothing. A tick that dies before the note repeats the step.
        """
        commit = job.result.commit if waits else ""
        if not waits and not notes.aside:
            return
        issue = issue_of(job)
        if issue is not None and site is not None and site.of(issue) is not None:
            if waits:
                most = site.config.waiting_per_repo
                self.backlog.stand_aside(
                    issue, job.id, reason=waits, most=most, in_review=in_review, main_red=main_red
                )
            else:
                self.backlog.take_place(issue, job.id)
        if notes.aside != commit:
            self.runs.note(job.id, aside=commit)

    def hold(self, job: Job, said: str, now: float) -> None:
        """Note that the token is refused: people hear of it once, and the job waits for it."""
        self.runs.note(job.id, held_at=now)
        self.tokens.refused(place_of(job)[0], reason=said)
