"""Sends pushed work back to its agent: the one way for red CI, reviews, edited issues and conflicts.

Callers say what is to be corrected. Here it is looked at whether people want it at all, the commit is taken
out of the forge's merge queue, and the kind's bound is held; then `CorrectionStore` makes the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from routing.forges.errors import ForgeError, ForgeTokenError, ForgeUnreachableError
from routing.forges.site import ForgeSite
from routing.jobs.correction import Correction
from routing.jobs.job import Job, JobState
from routing.jobs.lifecycle import Jobs
from routing.jobs.signal import Signal
from routing.store.jobs.correction_store import CorrectionStore
from routing.store.jobs.run_store import RunStore
from tasks.issues.merging import Merging
from tasks.issues.people import People

_log = structlog.get_logger(__name__)

#: How often a forge is asked to take a commit out of its merge queue that it refuses to take out, with pauses
#: that double: about forty minutes in all, which is less than work is waited for.
MOST_REFUSALS = 8
FIRST_PAUSE_SECONDS = 20.0


class SentBack(StrEnum):
    """What became of a job at a look for something that it is to be sent back for."""

    MOVED = "moved"  # its state changed: it is queued, a person has it, or it has ended
    HELD = "held"  # it is to be changed, and could not be sent back now: nothing may be done with its work
    NOTHING = "nothing"  # there is nothing to send it back for


@dataclass(frozen=True, kw_only=True, slots=True)
class SendingBack:
    """Steps of a job that waits, as it was read: each moves it, or holds it. Each may be repeated."""

    jobs: Jobs
    corrections: CorrectionStore
    runs: RunStore
    people: People
    merging: Merging

    def send(
        self, site: ForgeSite, job: Job, correction: Correction, *, own: bool = True,
        facts: Sequence[Signal] = (),
    ) -> SentBack:  # fmt: skip
        """Queue the job for one more turn, or hand it to a person where none of its kind is left.

        HELD also when it landed, or was closed, since it was read: the next look sees that. Raises what the
        forge says to whether the work is still wanted. `own`: see `Merging.withdraw`. `facts`: what is
        known of work that a person gets.
        """
        over = correction.spent(job)
        if over:
            return self.hand_over(site, job, f"{correction.reason}, and {over}", own=own, facts=facts)
        settled = self._settled(site, job, own=own, facts=facts)
        return settled or self._moved(site, job, self.corrections.send_back(job, correction), own=own)

    def hand_over(
        self, site: ForgeSite, job: Job, reason: str, *, own: bool = True, facts: Sequence[Signal] = ()
    ) -> SentBack:
        """A person goes on in the agent's place: no turn is run, and nothing merges the work meanwhile."""
        settled = self._settled(site, job, own=own, facts=facts)
        return settled or self._escalate(site, job, reason, own=own, facts=facts)

    def _settled(self, site: ForgeSite, job: Job, *, own: bool, facts: Sequence[Signal]) -> SentBack | None:
        """What keeps a job from going back: it has ended, or nothing is to be done now.

        None when it is wanted, and nothing merges it.
        """
        if self.people.end_unwanted(site, job, own=own):
            return SentBack.MOVED
        notes, now = self.runs.read(job.id), self.jobs.now()
        if notes.withdraw_at > now:
            self.merging.cancellable(job, own=own)
            return SentBack.HELD
        try:
            return None if self.merging.withdraw(site, job, own=own) else SentBack.HELD
        except (ForgeTokenError, ForgeUnreachableError):
            raise
        except ForgeError as error:
            self.merging.cancellable(job, own=own)
            tries = notes.withdraw_tries + 1
            if tries >= MOST_REFUSALS:
                why = "it is to be changed, and its forge does not take it out of the merge queue"
                reason = f"{why} ({tries} times asked): {error}"
                return self._escalate(site, job, reason, own=own, facts=facts)
            return self._not_withdrawn(job, tries, str(error), now)

    def _not_withdrawn(self, job: Job, tries: int, said: str, now: float) -> SentBack:
        """The forge keeps the commit in its merge queue: ask again later."""
        _log.warning("merge.not_withdrawn", tries=tries, reason=said)
        self.runs.note(
            job.id, withdraw_tries=tries, withdraw_at=now + FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1)
        )
        return SentBack.HELD

    def _escalate(
        self, site: ForgeSite, job: Job, reason: str, *, own: bool, facts: Sequence[Signal]
    ) -> SentBack:
        done = self.jobs.conclude(job, JobState.ESCALATED, reason=reason, signals=facts, own=own)
        return self._moved(site, job, done, own=own)

    def _moved(self, site: ForgeSite, job: Job, done: bool, *, own: bool) -> SentBack:  # noqa: FBT001 - an answer
        """What became of the job in its step; from then on the tick that merges asks for no merge of it."""
        if done and not own:
            self.merging.withdrawn(site, job)
        return SentBack.MOVED if done else SentBack.HELD
