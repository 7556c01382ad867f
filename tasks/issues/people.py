"""People outrank the fleet: what they decide about an issue or its change request ends the job at work on it.

The watcher and the collector look; this decides what a look means for a job that has not ended, and ends it.
A job whose work people landed succeeds, one whose issue or change request they closed is cancelled; a running
turn is ended within seconds, and nothing more is run, pushed or merged. The branch with the work stays.
"""

from collections.abc import Mapping, Sequence

import structlog

from routing.backlog.backlog import Backlog
from routing.backlog.intake import Hint
from routing.backlog.item import BacklogItem, BacklogState
from routing.errors import ConflictError, NotFoundError
from routing.forges.errors import ForgeGoneError, ForgeMovedError
from routing.forges.forge import Deed
from routing.forges.site import ForgeSite, IssueSite
from routing.issues.issue import Issue, IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Jobs
from routing.jobs.signal import Signal, SignalKind, signal
from routing.store.jobs.job_store import JobStore
from routing.store.signals.signal_store import SignalStore
from tasks.issues.doers import by, dropped_by
from tasks.issues.landings import Fate, SeenWork, seen_work
from tasks.issues.site import issue_of, place_of

_log = structlog.get_logger(__name__)


class People:
    """Ends jobs by what people decided. Every step may be repeated: an ended job is left as it is."""

    def __init__(
        self, *, sites: Mapping[str, ForgeSite], backlog: Backlog, jobs: Jobs, store: JobStore,
        signals: SignalStore,
    ) -> None:  # fmt: skip
        self._sites = sites
        self._backlog = backlog
        self._jobs = jobs
        self._store = store
        self._signals = signals

    def follow(self, job: Job, seen: SeenWork) -> bool:
        """End a job that is being corrected, by what was seen of its work; the watcher ends one that waits.

        False when nothing is to be ended. Before its first push a job has no work that could be seen: what is
        there is from before a person retried it.
        """
        if job.state not in {JobState.QUEUED, JobState.RUNNING} or not job.was_sent_back:
            return False
        match seen.fate:
            case Fate.LANDED:
                return self._end(job, JobState.SUCCEEDED, "its work is on the main branch", seen.facts)
            case Fate.DROPPED:
                who = dropped_by(self._sites.get(place_of(job)[0]), seen.change)
                reason = f"its change request was closed without a merge{who}; {_kept(job)}"
                return self._end(job, JobState.CANCELLED, reason, seen.facts)
            case Fate.OPEN:
                return False

    def end_unwanted(self, site: ForgeSite, job: Job, *, own: bool = True) -> bool:
        """Read a job's issue before a step that costs something or cannot be undone; True when it was ended.

        ForgeUnreachableError is passed on, and the step is not made. `own`: the caller is the tick that
        merges; another one ends nothing that is being merged at this moment.
        """
        issue, reason = issue_of(job), self._unwanted_now(site, job)
        fence = job.fence if own else None
        return issue is not None and bool(reason) and self.end_work(issue, reason, fence=fence)

    def _unwanted_now(self, site: ForgeSite, job: Job) -> str:
        """Why people no longer want a job, by its issue as it is now; "" when they do.

        Only jobs that the backlog dispatched are asked about: what a person enqueued by hand needs no label.
        """
        issue = issue_of(job)
        place = site.of(issue) if issue is not None else None
        item = self._backlog.known(issue) if issue is not None and place is not None else None
        if issue is None or place is None or item is None or item.job != job.id:
            return ""
        try:
            live = place.forge.read_issue(issue)
        except ForgeGoneError as error:  # forges say the same of what a token may not see any longer
            return f"its issue {what_became(error)}" if place.forge.access(issue.repo).readable else ""
        why = place.unwanted(live)
        return why and why + by(place, issue, Deed.CLOSE if live.state == "closed" else Deed.UNLABEL)

    def goes_on(self, site: ForgeSite, job: Job) -> bool:
        """Whether a step that shows outside may still be made for a job, read long ago: read again here.

        False when the job has ended or moved on since, and when its issue is not wanted, which ends it where
        that can be done. Raises what the forge says to the question.
        """
        there = self._store.read(job.id)
        if there is None or (there.state, there.fence) != (job.state, job.fence):
            return False
        issue, reason = issue_of(job), self._unwanted_now(site, job)
        if issue is not None and reason:
            self.end_work(issue, reason, fence=job.fence)
        return not reason

    def end_work(self, issue: IssueRef, reason: str, *, fence: int | None = None) -> bool:
        """End the job at work on an item that people no longer want; False when there is none.

        The item leaves the queue with the end of the job, unless it is wanted again by then. `fence` is
        given by the tick that merges: see `Jobs.end_by_people`.
        """
        job_id = self._backlog.unwanted(issue, reason)
        job = self._store.read(job_id) if job_id else None
        return job is not None and self.end_job(job, reason, fence=fence)

    def follow_assignment(
        self, site: IssueSite, issue: Issue, item: BacklogItem, hints: Sequence[Hint] = ()
    ) -> bool:
        """End the job at work on an issue that was assigned to others since it was started.

        The issue is still for agents, so it is left to a person when the job has ended. Our own login counts
        on neither side. `hints` are of deliveries, and may say who did it.
        """
        if item.state is not BacklogState.IN_PROGRESS or item.assigned is None or not item.job:
            return False
        if set(issue.assignees) == set(item.assigned):
            return False
        own = site.forge.own_login().casefold()
        now, then = ({name.casefold() for name in each} - {own} for each in (issue.assignees, item.assigned))
        job = self._store.read(item.job) if now != then else None
        if job is None:
            return False
        who = ", ".join(sorted(issue.assignees)) or "nobody"
        done = by(site, issue.ref, Deed.ASSIGN, hints)
        return self.end_job(job, f"the assignment of its issue was changed{done} (now: {who})")

    def end_job(self, job: Job, reason: str, *, fence: int | None = None) -> bool:
        """End a job for a reason; as succeeded when its work is on the main branch after all.

        A forge closes an issue when its change is merged, so that is looked at first. ForgeUnreachableError
        is passed on: it is looked at again.
        """
        if job.state.is_final:
            return False
        site, now = self._sites.get(place_of(job)[0]), self._signals.now()
        pushed = job.state is JobState.WAITING or job.was_sent_back
        seen = seen_work(site, job, now) if site is not None and pushed and job.result.commit else SeenWork()
        if seen.fate is Fate.LANDED:
            return self._end(job, JobState.SUCCEEDED, "its work is on the main branch", seen.facts)
        reason = f"cancelled, as {reason}"
        if pushed or job.finished is not None:
            reason = f"{reason}; {_kept(job)}"
        fact = signal(SignalKind.CANCELLED, at=now, note=reason)
        return self._end(job, JobState.CANCELLED, reason, [*seen.facts, fact], fence=fence)

    def _end(
        self, job: Job, to: JobState, reason: str, facts: tuple[Signal, ...] | list[Signal],
        *, fence: int | None = None,
    ) -> bool:  # fmt: skip
        """End it; False when it has ended otherwise, or is being merged at this moment."""
        now = self._signals.now()
        if job.state is JobState.RUNNING and to is JobState.SUCCEEDED:
            self._signals.add(job.id, list(facts))
        try:
            self._jobs.end_by_people(job.id, to, reason=reason, facts=facts, at=now, fence=fence)
        except (ConflictError, NotFoundError) as error:
            _log.info("job.not_ended", job=job.id, reason=str(error))
            return False
        return True


def what_became(error: ForgeGoneError) -> str:
    """What became of an issue that its forge does not have, in words."""
    moved = isinstance(error, ForgeMovedError)
    return "was moved to another repository" if moved else "is gone from the forge"


def _kept(job: Job) -> str:
    where = f" in its work tree on {job.finished.host}" if job.finished is not None else ""
    return f"its work is kept on the branch {job.branch}{where}"
