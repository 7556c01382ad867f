"""A text that changes while an agent works on it: the agent gets the new one before anything is judged.

A text is what a person who may write has asked for, so an edit by somebody else is not passed on: forges let
the author of an issue change it after it was requested, and do not say who did. Then a person is asked.
"""

import re
from dataclasses import dataclass

import structlog

from routing.backlog.backlog import Backlog
from routing.forges.errors import ForgeError, ForgeGoneError, ForgeTokenError, ForgeUnreachableError
from routing.forges.site import ForgeSite, IssueSite
from routing.issues.issue import Issue, IssueRef
from routing.jobs.correction import Correction
from routing.jobs.job import Job, JobState, NewTask
from routing.jobs.turn import Repair, TurnKind
from routing.store.jobs.run_store import RunStore
from tasks.issues.request_text import BEGINS_ANEW
from tasks.issues.sending_back import SendingBack, SentBack
from tasks.issues.site import issue_of

_log = structlog.get_logger(__name__)

#: Seconds between two looks at a text that was changed while a turn runs, and that the turn goes on with.
PAUSE_SECONDS = 60.0

#: The mark of a task in a list, which people and programs tick while it is worked on.
_TICKED = re.compile(r"^(\s*[-*+] )\[[xX]\]", re.MULTILINE)


def says_the_same(job: Job, issue: Issue) -> bool:
    """Whether an issue asks for what the job was last given: ticks in lists, and blanks, change nothing.

    The task of a job that begins anew has a line more than the issue, which says so.
    """
    title, text = _plain(issue.title[:500]), _plain(issue.body.strip() or issue.title)
    if title != _plain(job.title):
        return False
    begun, line, _ = job.task.rpartition(f"\n\n{BEGINS_ANEW} Job ")
    return text in {_plain(job.task), _plain(begun if line else job.task)}


def _plain(text: str) -> str:
    return " ".join(_TICKED.sub(r"\1[ ]", text).split())


def _may_write(site: IssueSite, issue: Issue) -> bool:
    """Whether an issue's author may; where the forge refuses to say, a person decides."""
    try:
        return site.forge.permission(issue.ref.repo, issue.author).can_write
    except (ForgeTokenError, ForgeUnreachableError):  # asked again
        raise
    except ForgeError as error:
        _log.warning("permission.unknown", repository=issue.ref.repo, reason=str(error))
        return False


def _live(place: IssueSite, issue: IssueRef, *, must: bool) -> Issue | None:
    """The issue as it is; None when it is gone, which ends the work on it, and when it need not be read."""
    try:
        return place.forge.read_issue(issue)
    except ForgeGoneError:
        return None
    except ForgeError:
        if must:
            raise
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class EditedIssues:
    """Looks whether the issue of one waiting job was edited; while it was not, only the last costs a call."""

    backlog: Backlog
    runs: RunStore
    back: SendingBack
    most_rounds: int  # turns that a job may have for what people say; 0: an edit is left to a person
    begins_anew: bool = False  # an edit ends the job, also in the middle of a turn, and another one begins

    def look(self, site: ForgeSite, job: Job, *, last: bool = False) -> SentBack:
        """Send the job back with the new text, or hand it to a person.

        The backlog knows what webhooks and polls have seen; the issue itself decides. Raises what the forge
        says: an edit that cannot be read now is not passed over. `last`: the job is about to end, or to be
        merged, so its issue is read in any case; what cannot be read then is met by that step itself.
        """
        issue, known = issue_of(job), job.revision
        item = self.backlog.known(issue) if issue is not None and known else None
        if issue is None or item is None or item.job != job.id:
            return SentBack.NOTHING
        notes = self.runs.read(job.id)
        last = last and not notes.asked_to_merge(job.result.commit)
        seen = item.revision not in {known, notes.same_text}
        if not seen and not last:
            return SentBack.NOTHING
        place = site.of(issue)
        live = _live(place, issue, must=seen) if place is not None else None
        if place is None or live is None or (live.revision == known and not seen):
            return SentBack.NOTHING
        if says_the_same(job, live):
            self.runs.note(job.id, same_text=live.revision)
            return SentBack.NOTHING
        return self._take_up(site, place, job, live)

    def interrupt(self, site: ForgeSite, job: Job) -> None:
        """End a turn that runs on an old text, where work begins anew; else it is looked at after the turn.

        A text that its author may not change is a person's then: until then it is looked at with pauses.
        """
        issue = issue_of(job) if self.begins_anew else None
        item = self.backlog.known(issue) if issue is not None else None
        now = self.back.jobs.now()
        if item is None or item.revision == job.revision or self.runs.read(job.id).edit_at > now:
            return
        self.runs.note(job.id, edit_at=now + PAUSE_SECONDS)
        self.look(site, job)

    def _take_up(self, site: ForgeSite, place: IssueSite, job: Job, issue: Issue) -> SentBack:
        """One turn with the new text, or another job, unless that is nobody's who may ask for work.

        The item of a job that is ended leaves the queue with it, and the next look brings it back.
        """
        what = f"the text of its issue was changed to revision {issue.revision[:12]}"
        waits = job.state is JobState.WAITING
        if not _may_write(place, issue):
            reason = f"{what}, perhaps by its author, who may not write; request it again if it is right"
            return self.back.hand_over(site, job, reason) if waits else SentBack.NOTHING
        if self.begins_anew:
            ended = self.back.people.end_work(issue.ref, what, fence=job.fence if waits else None)
            return SentBack.MOVED if ended else SentBack.HELD
        task = NewTask(
            title=issue.title[:500], text=issue.body.strip() or issue.title, revision=issue.revision
        )
        return self.back.send(site, job, Correction(
            kind=TurnKind.EDITED, repair=Repair(commit=job.result.commit), reason=what,
            most=self.most_rounds, task=task,
        ))  # fmt: skip
