"""Merges green work, where the settings say so: what is merged was seen green as it will stand there.

A branch that lacks commits of the branch that it goes to is brought up to date first, and CI judges the
result before it is merged: two branches that are green each, and break each other, meet there and not on the
main branch. One job of a repository is brought up to date at a time, so a merge costs at most one further run
of CI, unless the main branch moves otherwise. `judge_merges = false` spares these runs, except where the
forge merges nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.errors import ForgeError, ForgeOutcomeUnknownError, ForgeOutdatedError
from routing.forges.site import ForgeSite
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Jobs
from routing.jobs.signal import Signal, SignalKind, signal
from routing.store.jobs.job_store import JobStore
from routing.store.jobs.run_store import RunStore, merge_asked
from tasks.issues.landings import landing_facts
from tasks.issues.people import People
from tasks.issues.site import issue_of, place_of

_log = structlog.get_logger(__name__)

#: Waiting jobs that are looked through for one whose turn it is to be merged.
MOST_WAITING = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Merging:
    """The two steps of a waiting job that change its branch, or the one that it goes to.

    Each ends the job, or leaves it as it is, in one step under its fence; True when its state changed.
    """

    jobs: Jobs
    store: JobStore
    runs: RunStore
    people: People

    def merge(self, site: ForgeSite, job: Job, reason: str, now: float) -> bool:
        """Merge green work, and end the job with what is known of it.

        The merge comes before the end is recorded, as it cannot be undone: `land` first takes the job, so
        that a cancel from then on is refused. What the forge says is raised; a merge that had its effect
        although no answer came is found at the next tick.
        """
        facts = [signal(SignalKind.CI_GREEN, at=now, commit=job.result.commit)]
        if not self.people.goes_on(site, job):
            return True
        change = site.forge.change_of_branch(place_of(job)[1], job.branch)
        if change is None:
            return self._conclude(job, JobState.SUCCEEDED, reason, facts)
        if change.state is ChangeState.CLOSED:
            return False  # a moment ago: the next tick ends it
        merged = self._merged(site, change, job, now)
        if merged is None:
            return False
        return self._conclude(
            job, JobState.SUCCEEDED, f"{reason}; merged", [*facts, *landing_facts(job, merged, now)]
        )

    def bring_up_to_date(self, site: ForgeSite, job: Job, reason: str, now: float) -> bool:
        """Have the job's branch hold the newest of the main branch; CI judges the result.

        Without a change request a person goes on: the version is not blamed for the red main branch. Raises
        what the forge says.
        """
        repo = place_of(job)[1]
        change = site.forge.change_of_branch(repo, job.branch)
        if change is not None and change.state is not ChangeState.OPEN:
            return False  # the next tick sees what people did
        if change is None:
            return self._not_brought_up(job, f"{reason}, but it has no change request", now)
        if not self.people.goes_on(site, job):
            return True
        onto = site.forge.newest(repo, job.base)
        head = site.forge.bring_up_to_date(change, onto=onto, base=job.base)
        return self._adopt(job, head, onto)

    def withdraw(self, site: ForgeSite, job: Job, *, own: bool = False) -> bool:
        """Take a job's commit out of the forge's merge queue before its agent, or a person, goes on.

        False when it is too late, as the change is merged or closed; True also when nobody asked for a merge.
        `own`: the caller is the tick that merges, so no merge is being asked for at this moment. For others
        the store refuses to send the job back while one is; what is noted of it stays, and they call
        `withdrawn` after their step.
        """
        if self.runs.read(job.id).asked_to_merge(job.result.commit):
            change = site.forge.change_of_branch(place_of(job)[1], job.branch)
            if change is not None and change.state is not ChangeState.OPEN:
                return False
            if change is not None:
                site.forge.withdraw_merge(change)
            self.runs.note(job.id, withdraw_tries=0, withdraw_at=0.0)
            if own:
                self.runs.note(job.id, merging="")
        self.cancellable(job, own=own)
        return True

    def withdrawn(self, site: ForgeSite, job: Job) -> None:
        """Take a job's commit out once more, after the step that moved the job: nobody asks from then on.

        Between `withdraw` and that step the tick that merges may have put it into the queue again. What the
        forge refuses is logged: a new commit takes it out, and what lands ends the job.
        """
        if not self.runs.read(job.id).asked_to_merge(job.result.commit):
            return
        try:
            change = site.forge.change_of_branch(place_of(job)[1], job.branch)
            if change is not None and change.state is ChangeState.OPEN:
                site.forge.withdraw_merge(change)
        except ForgeError as error:
            _log.warning("merge.not_withdrawn", job=job.id, reason=str(error))
            return
        self.runs.note(job.id, merging="")

    def cancellable(self, job: Job, *, own: bool) -> None:
        """Let people cancel a job that is not being merged at this moment, as its own tick says."""
        if own:
            self.store.land(job.id, job.fence, off=True)

    def _not_brought_up(self, job: Job, why: str, now: float) -> bool:
        fact = signal(SignalKind.MAIN_RED, at=now, commit=job.result.commit, note=why)
        return self._conclude(job, JobState.ESCALATED, why, [fact])

    def _merged(self, site: ForgeSite, change: ChangeRequest, job: Job, now: float) -> ChangeRequest | None:
        """The change request as it is after the merge; None while it is not to be merged yet.

        One that a person closed or merged is left alone.
        """
        is_open, onto = change.state is ChangeState.OPEN, None
        brought = self.runs.read(job.id).bringing == job.result.commit
        if is_open and (site.config.judge_merges or brought):
            onto = site.forge.newest(change.repo, job.base)
            if not self._holds(site, job, change, onto):
                return None
        if not self.store.land(job.id, job.fence):
            return None  # it was cancelled since this tick read it
        if not is_open:
            return change
        # Noted before: it may be in a queue although this process dies, and then a cancel takes it out.
        if not self.runs.read(job.id).asked_to_merge(job.result.commit):
            self.runs.note(job.id, merging=merge_asked(job.result.commit, now))
        try:
            return site.forge.merge(change, issue=issue_of(job), base=job.base, onto=onto)
        except ForgeOutcomeUnknownError:
            raise
        except ForgeOutdatedError:  # also with `judge_merges = false`: its CI judges what is merged
            self.store.land(job.id, job.fence, off=True)
            self._holds(site, job, change, onto or site.forge.newest(change.repo, job.base))
            return None
        except ForgeError:  # surely not merged: whatever comes next, people may cancel it
            self.store.land(job.id, job.fence, off=True)
            raise

    def _holds(self, site: ForgeSite, job: Job, change: ChangeRequest, onto: Base) -> bool:
        """Whether the commit that CI judged holds `onto`; if not, a new one does soon, in the job's turn."""
        asked = self.runs.read(job.id).bringing == job.result.commit
        if change.head != job.result.commit and not asked:
            return True  # a person pushed: what they made of it is looked at by the merge itself
        if job.base is None or onto.commit != job.base.commit:
            first = self._first(job, onto)
            if first:
                _log.info("merge.waits", job=job.id, reason=f"job {first} is brought up to date before it")
                return False
        # Noted before: it may be done although no answer comes, and although this process dies.
        self.runs.note(job.id, bringing=job.result.commit)
        head = site.forge.bring_up_to_date(change, onto=onto, base=job.base)
        if head == job.result.commit:
            self.runs.note(job.id, bringing="")
            return True
        self._adopt(job, head, onto)
        return False

    def _first(self, job: Job, onto: Base) -> str:
        """The id of another job of the repository that was brought up to date and awaits its verdict.

        One that lacks `onto` by now is to be brought up again itself, so nobody waits for it: two that were
        brought up together would wait for each other. One that itself waits for people, or for a green main
        branch, holds nobody up: it is brought up again when that is there.
        """
        for other in self.store.read_many(self.store.waiting(MOST_WAITING)):
            if other is None or other.id == job.id or other.request.repository != job.request.repository:
                continue
            if other.base is not None and other.base.commit == onto.commit:
                notes, commit = self.runs.read(other.id), other.result.commit
                if notes.brought_up == commit and notes.aside != commit:
                    return other.id
        return ""

    def _adopt(self, job: Job, head: str, onto: Base) -> bool:
        """The job goes on with the branch's new head, which nobody has judged."""
        _log.info("job.brought_up_to_date", job=job.id, commit=head, onto=onto.commit)
        self.runs.note(job.id, brought_up=head, red_as_main="")
        return self.jobs.brought_up(job, commit=head, base=onto)

    def _conclude(self, job: Job, state: JobState, reason: str, facts: Sequence[Signal]) -> bool:
        return self.jobs.conclude(job, state, reason=reason, signals=facts)


def left_to_merge(site: ForgeSite, job: Job) -> str:
    """What the reason of done work says when nobody has merged it; "" where its forge shows that."""
    if site.config.has_change_requests or not job.result.commit:
        return ""
    return f"; {job.branch} is left to be merged"
