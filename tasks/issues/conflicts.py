"""Work that cannot be merged, as the branch that it goes to changed the same lines: one turn to settle that.

The forge is asked which files are in conflict; the agent merges or rebases, and CI judges the result. Nobody
is blamed for what others pushed meanwhile, so these turns are counted apart from those for red CI.
"""

from dataclasses import dataclass

import structlog

from routing.base import Base
from routing.forges.change_request import ChangeRequest, ChangeState
from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeDequeuedError,
    ForgeError,
    ForgeRefusedError,
    ForgeTokenError,
)
from routing.forges.site import ForgeSite
from routing.jobs.correction import Correction
from routing.jobs.job import Job
from routing.jobs.turn import Repair, TurnKind
from routing.printable import printable
from tasks.issues.sending_back import SendingBack, SentBack
from tasks.issues.site import place_of

_log = structlog.get_logger(__name__)

#: Files that a reason names; the agent is given more of them.
NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """What keeps work from being merged."""

    onto: Base  # the branch that it goes to, as it is now
    files: tuple[str, ...] = ()  # none where the forge's merge queue alone says no

    def __str__(self) -> str:
        more = f" and {len(self.files) - NAMED} more" if len(self.files) > NAMED else ""
        return printable(f"it has conflicts with {self.onto.branch} in {', '.join(self.files[:NAMED])}{more}")


def conflict_of(site: ForgeSite, job: Job, change: ChangeRequest) -> Conflict | None:
    """The conflict of an open change with the branch that it goes to; None for none, and for no answer."""
    try:
        onto = site.forge.newest(place_of(job)[1], job.base)
        files = site.forge.conflicts(change, onto=onto)
    except ForgeError as error:
        _log.warning("conflicts.not_read", job=job.id, reason=str(error))
        return None
    return Conflict(onto=onto, files=files) if files else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictTurns:
    """Sends work with conflicts back to its agent. Each step may be repeated."""

    back: SendingBack
    most_rounds: int  # turns that a job may have for conflicts; 0: none

    def look(self, site: ForgeSite, job: Job, change: ChangeRequest | None) -> SentBack:
        """Send work in review back that people could not merge.

        Work that has had its turns stays in review, for people to settle. Raises what the forge says to
        whether the work is still wanted.
        """
        if change is None or change.state is not ChangeState.OPEN or change.head != job.result.commit:
            return SentBack.NOTHING
        if job.merge_rounds >= self.most_rounds:
            return SentBack.NOTHING
        conflict = conflict_of(site, job, change)
        return SentBack.NOTHING if conflict is None else self._send(site, job, conflict, str(conflict))

    def resolve(self, site: ForgeSite, job: Job, refused: ForgeError) -> SentBack:
        """What becomes of work whose merge, or whose update, was refused: NOTHING unless it has conflicts.

        Else it goes back, or a person settles it.
        """
        may_conflict = isinstance(refused, ForgeRefusedError)
        if not may_conflict or isinstance(refused, (ForgeTokenError, ForgeBaseGoneError)):
            return SentBack.NOTHING
        if self.most_rounds == 0:
            return SentBack.NOTHING
        change = site.forge.change_of_branch(place_of(job)[1], job.branch)
        if change is None or change.state is not ChangeState.OPEN or change.head != job.result.commit:
            return SentBack.NOTHING
        conflict = conflict_of(site, job, change)
        if conflict is None and isinstance(refused, ForgeDequeuedError):
            onto = site.forge.newest(place_of(job)[1], job.base)
            return self._send(site, job, Conflict(onto=onto), str(refused), said=str(refused))
        if conflict is None:
            return SentBack.NOTHING
        return self._send(site, job, conflict, f"it was not merged: {conflict}")

    def _send(
        self, site: ForgeSite, job: Job, conflict: Conflict, reason: str, *, said: str = ""
    ) -> SentBack:
        repair = Repair(commit=job.result.commit, onto=conflict.onto.branch, files=conflict.files, log=said)
        return self.back.send(site, job, Correction(
            kind=TurnKind.CONFLICT, repair=repair, reason=reason, most=self.most_rounds
        ))  # fmt: skip
