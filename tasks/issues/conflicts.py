"""Work that cannot be merged, as the branch that it goes to changed the same lines: one turn to settle that.

The forge is asked which files are in conflict; the agent merges or rebases, and CI judges the result. Nobody
is blamed for what others pushed meanwhile, so these turns are counted apart from those for red CI.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeDequeuedError,
    ForgeError,
    ForgeRefusedError,
    ForgeTakenOutError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.site import ForgeSite
from routing.jobs.correction import Correction
from routing.jobs.job import Job
from routing.jobs.signal import Signal, SignalKind, signal
from routing.jobs.turn import Repair, TurnKind
from routing.printable import printable
from tasks.issues.sending_back import SendingBack, SentBack
from tasks.issues.site import place_of

_log = structlog.get_logger(__name__)

#: Files that a reason names; the agent is given more of them.
NAMED = 3

#: Seconds for which CI says nothing before conflicts are looked for, and the longest pause between two looks.
SILENT_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 300.0

#: Refusals that have nothing to do with conflicts, or that a person made.
_NO_CONFLICTS: Final = (ForgeTokenError, ForgeBaseGoneError, ForgeTakenOutError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """What keeps work from being merged."""

    onto: Base  # the branch that it goes to, as it is now
    files: tuple[str, ...] = ()  # none where the forge's merge queue alone says no

    def __str__(self) -> str:
        more = f" and {len(self.files) - NAMED} more" if len(self.files) > NAMED else ""
        return printable(f"it has conflicts with {self.onto.branch} in {', '.join(self.files[:NAMED])}{more}")


def conflict_of(site: ForgeSite, job: Job, change: ChangeRequest) -> Conflict | None:
    """The conflict of an open change with the branch that the job's work goes to; None for none.

    None also when a person had the change go to another branch. Raises what the forge says.
    """
    onto = _target(site, job, change)
    files = site.forge.conflicts(change, onto=onto) if onto is not None else ()
    return Conflict(onto=onto, files=files) if onto is not None and files else None


def _target(site: ForgeSite, job: Job, change: ChangeRequest) -> Base | None:
    """The newest of the branch that the job's work goes to; None when its change goes to another."""
    onto = site.forge.newest(place_of(job)[1], job.base)
    return onto if onto.branch == change.base else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictTurns:
    """Sends work with conflicts back to its agent. Each step may be repeated."""

    back: SendingBack
    most_rounds: int  # turns that a job may have for conflicts; 0: none

    def look(self, site: ForgeSite, job: Job, change: ChangeRequest | None) -> SentBack:
        """Send work in review back that people could not merge, or that a merge queue took out.

        Work that has had its turns stays in review, for people to settle, and so does work of which its
        conflicts are not known. Raises what the forge says to whether the work is still wanted.
        """
        if change is None or change.state is not ChangeState.OPEN or change.head != job.result.commit:
            return SentBack.NOTHING
        if job.merge_rounds >= self.most_rounds:
            return SentBack.NOTHING
        said = ""
        try:
            conflict = conflict_of(site, job, change)
            if conflict is None and (said := site.forge.why_dequeued(change)):
                onto = _target(site, job, change)
                conflict = Conflict(onto=onto) if onto is not None else None
        except ForgeError as error:  # it is looked at again
            return _not_read(job, error)
        if conflict is None:
            return SentBack.NOTHING
        return self._send(site, job, conflict, said or str(conflict), said=said)

    def unjudged(
        self, site: ForgeSite, job: Job, change: ChangeRequest | None, *, silent_seconds: float, over: bool
    ) -> SentBack:
        """Send work back that CI does not judge, as it has conflicts: GitHub runs no workflows on such.

        Looked for when CI has said nothing for a while, with pauses, and before a person is asked (`over`).
        A CI of ours judges the commit alone. What the forge does not say is asked again.
        """
        if change is None or change.state is not ChangeState.OPEN or change.head != job.result.commit:
            return SentBack.NOTHING
        now, runs = self.back.jobs.now(), self.back.runs
        early = silent_seconds < SILENT_SECONDS or runs.read(job.id).conflicts_at > now
        if self.most_rounds == 0 or site.run_ci is not None or (early and not over):
            return SentBack.NOTHING
        pause = min(LONGEST_PAUSE_SECONDS, max(SILENT_SECONDS, silent_seconds / 10))
        runs.note(job.id, conflicts_at=now + pause)
        try:
            conflict = conflict_of(site, job, change)
            said = f"CI has not judged it, and {conflict}"
            return SentBack.NOTHING if conflict is None else self._send(site, job, conflict, said)
        except ForgeError as error:
            return _not_read(job, error)

    def resolve(
        self, site: ForgeSite, job: Job, refused: ForgeError, *, facts: Sequence[Signal] = ()
    ) -> SentBack:
        """What becomes of work whose merge, or whose update, was refused: NOTHING unless it has conflicts.

        Else it goes back, or a person settles it: with `facts`, and that it was a conflict, for which the
        version is not blamed. Raises what may pass: without an answer nothing is known of conflicts.
        """
        may_conflict = isinstance(refused, ForgeRefusedError) and not isinstance(refused, _NO_CONFLICTS)
        if not may_conflict or self.most_rounds == 0:
            return SentBack.NOTHING
        change = site.forge.change_of_branch(place_of(job)[1], job.branch)
        if change is None or change.state is not ChangeState.OPEN or change.head != job.result.commit:
            return SentBack.NOTHING
        try:
            onto = _target(site, job, change)
            conflict = conflict_of(site, job, change)
        except (ForgeTokenError, ForgeUnreachableError):
            raise
        except ForgeError as error:
            return _not_read(job, error)
        if conflict is not None:
            return self._send(site, job, conflict, f"it was not merged: {conflict}", facts=facts)
        if onto is not None and isinstance(refused, ForgeDequeuedError):
            said = str(refused)
            return self._send(site, job, Conflict(onto=onto), said, said=said, facts=facts)
        return SentBack.NOTHING

    def _send(
        self, site: ForgeSite, job: Job, conflict: Conflict, reason: str, *, said: str = "",
        facts: Sequence[Signal] = (),
    ) -> SentBack:  # fmt: skip
        repair = Repair(commit=job.result.commit, onto=conflict.onto.branch, files=conflict.files, log=said)
        correction = Correction(kind=TurnKind.CONFLICT, repair=repair, reason=reason, most=self.most_rounds)
        now, commit = self.back.jobs.now(), job.result.commit
        known = [*facts, signal(SignalKind.CONFLICT, at=now, commit=commit, note=reason)]
        return self.back.send(site, job, correction, facts=known)


def _not_read(job: Job, error: ForgeError) -> SentBack:
    _log.warning("conflicts.not_read", job=job.id, reason=str(error))
    return SentBack.NOTHING
