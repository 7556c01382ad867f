"""Corrections: why pushed work goes back to its agent, and how often each kind may.

Whether there is to be one is decided by `tasks.issues`; all are carried out by the same step of the store,
`job_send_back`, under the fence that the caller read: two of them never send a job back twice.
"""

from dataclasses import dataclass
from typing import Any, Literal

from routing.events import JOB_CONFLICT, JOB_EDITED, JOB_FIX_FORWARD, JOB_REVIEWED
from routing.jobs.job import Job, NewTask
from routing.jobs.turn import MOST_JUDGED, Repair, TurnKind

#: The counts of corrective turns that a job has; each has a bound of its own.
Counter = Literal["fix_forwards", "review_rounds", "merge_rounds"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """What differs between the kinds of corrective turns."""

    event: str
    counter: Counter
    what_for: str  # with the number of turns that it has had


_WAYS = {
    TurnKind.FIX_FORWARD: _Way(event=JOB_FIX_FORWARD, counter="fix_forwards", what_for="corrective turns"),
    TurnKind.REVIEW: _Way(event=JOB_REVIEWED, counter="review_rounds", what_for="turns for reviews"),
    TurnKind.CONFLICT: _Way(event=JOB_CONFLICT, counter="merge_rounds", what_for="turns for conflicts"),
    TurnKind.EDITED: _Way(event=JOB_EDITED, counter="review_rounds", what_for="turns for that"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """One more turn of a job whose work is pushed. Version, arm, trial and draw stay; attempts begin anew."""

    kind: TurnKind
    repair: Repair
    reason: str
    most: int  # turns of its kind that a job may have
    reviews: tuple[str, ...] | None = None  # ids of all feedback that its turns were about, None: as before
    task: NewTask | None = None  # the text of its issue from now on, None: as before

    @property
    def counter(self) -> Counter:
        """The field of the job that counts such turns."""
        return _WAYS[self.kind].counter

    @property
    def event(self) -> str:
        """The kind of the event that says so."""
        return _WAYS[self.kind].event

    @property
    def is_red(self) -> bool:
        """Whether it is about a commit that CI was red at."""
        return self.kind is TurnKind.FIX_FORWARD

    def had(self, job: Job) -> int:
        """How many such turns the job has had."""
        return int(getattr(job, self.counter))

    def spent(self, job: Job) -> str:
        """Why the job gets no further one, in words; "" when it does."""
        had = self.had(job)
        return f"it has had {had} of {self.most} {_WAYS[self.kind].what_for}" if had >= self.most else ""

    def begins_anew(self, job: Job) -> bool:
        """Whether the hour in which red work is corrected begins with it: people took their time before."""
        return not self.is_red or job.is_in_review

    def judged(self, job: Job) -> tuple[str, ...]:
        """The commits that CI was red at, the newest last."""
        return (*job.judged, self.repair.commit)[-MOST_JUDGED:] if self.is_red else job.judged

    def data(self, job: Job) -> dict[str, Any]:
        """What its event says, besides state and reason."""
        said = {"commit": self.repair.commit, "attempt": self.had(job) + 1, "most": self.most}
        return said | ({"checks": list(self.repair.checks)} if self.is_red else {})
