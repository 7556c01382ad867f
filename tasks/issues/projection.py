"""What an issue shows of its run: one comment, edited in place, and a label. Redis holds the truth.

What was written is noted in the run's notes, so that an unchanged checklist costs no call. Losing the notes
costs a look at the issue and never a second comment: ours is found by its author and its last line.
"""

import hashlib
from dataclasses import replace
from enum import StrEnum

import structlog

from routing.forges.errors import ForgeError, ForgeGoneError, ForgeTokenError, ForgeUnreachableError
from routing.forges.forge import IssueTracker
from routing.forges.site import ForgeSite, IssueSite
from routing.forges.stage import ShowsWork, Stage
from routing.issues.issue import IssueRef
from routing.jobs.job import Job
from routing.store.jobs.run_store import RunNotes, RunStore
from tasks.issues.checklist import RunProgress, checklist, marker

_log = structlog.get_logger(__name__)


class RunLabel(StrEnum):
    """Which label of its run an issue carries; the values are in the run's notes."""

    IN_PROGRESS = "1"
    IN_REVIEW = "review"


_STAGES = {RunLabel.IN_PROGRESS: Stage.IN_PROGRESS, RunLabel.IN_REVIEW: Stage.IN_REVIEW}


def show_stage(place: IssueSite, issue: IssueRef, stage: Stage) -> None:
    """Show the stage where issues have states for it. A workflow that does not allow it keeps nothing up."""
    if not isinstance(place.forge, ShowsWork):
        return
    try:
        place.forge.show_stage(issue, stage)
    except (ForgeUnreachableError, ForgeTokenError):
        raise
    except ForgeError as error:
        _log.warning("issue.not_moved", issue=str(issue), stage=stage.value, reason=str(error))


class Projection:
    """Writes only what has changed. Every step may be repeated; each raises ForgeError when it fails.

    Each writes to the forge first and then into the notes: a process that dies in between repeats the write,
    and never leaves one out.
    """

    def __init__(
        self, runs: RunStore, *, in_progress_label: str, in_review_label: str, escalation_label: str
    ) -> None:
        self._runs = runs
        self._labels = {RunLabel.IN_PROGRESS: in_progress_label, RunLabel.IN_REVIEW: in_review_label}
        self._escalation_label = escalation_label

    def label(
        self, site: ForgeSite, issue: IssueRef, job: str, shows: RunLabel = RunLabel.IN_PROGRESS
    ) -> None:
        """Show that the issue is in progress, or in review, unless it shows that already."""
        known = self._runs.read(job).labelled
        place = site.of(issue)
        if known != shows and place is not None:
            place.forge.add_label(issue, self._labels[shows])
            if known:
                place.forge.remove_label(issue, self._labels[RunLabel(known)])
            show_stage(place, issue, _STAGES[shows])
            self._runs.note(job, labelled=shows.value)

    def note_before(self, job: str, before: str) -> None:
        """Have the checklist of a job say which job worked on the issue before it."""
        self._runs.note(job, before=before)

    def unlabel(self, site: ForgeSite, issue: IssueRef, job: str) -> None:
        """Show that the issue is no longer in progress. Always asked of the forge: notes may be lost."""
        place = site.of(issue)
        if place is None:
            return
        place.forge.remove_label(issue, self._labels[RunLabel.IN_PROGRESS])
        if site.config.leaves_merging or self._runs.read(job).labelled == RunLabel.IN_REVIEW:
            place.forge.remove_label(issue, self._labels[RunLabel.IN_REVIEW])
        self._runs.note(job, labelled="")

    def ask_person(self, place: IssueSite, issue: IssueRef) -> None:
        """Add the label by which a person is asked to go on; while it is there, the issue is left alone."""
        place.forge.add_label(issue, self._escalation_label)
        show_stage(place, issue, Stage.HANDED_BACK)

    def show(self, site: ForgeSite, issue: IssueRef, progress: RunProgress) -> None:
        """Bring the checklist up to date; no call is made if the text is the one that was written last."""
        job = progress.job
        notes = self._runs.read(job.id)
        text = checklist(issue, replace(progress, before=notes.before))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        place = site.of(issue)
        if notes.shown == digest or place is None:
            return
        comment = self._write(place.forge, issue, job, text, notes)
        self._runs.note(job.id, comment=comment, shown=digest)

    def _write(self, tracker: IssueTracker, issue: IssueRef, job: Job, text: str, notes: RunNotes) -> int:
        """Edit our comment, or write one; returns its id, for the notes."""
        known = notes.comment if notes.comment is not None else self._find(tracker, issue, job.id)
        if known is not None:
            try:
                return tracker.edit_comment(issue, known, text).id
            except ForgeGoneError:  # somebody deleted it: write another, if the issue is still there
                tracker.read_issue(issue)
        return tracker.comment(issue, text).id

    def _find(self, tracker: IssueTracker, issue: IssueRef, job: str) -> int | None:
        """The id of our comment of this run whose id was not noted; None when there is none.

        Anybody can write the marker, also into text that we repeat. Only our login is ours, and only our own
        marker ends the comment.
        """
        us, mark = tracker.own_login().casefold(), marker(job)
        comments = tracker.read_issue(issue).comments or ()
        ours = [
            one.id for one in comments if one.author.casefold() == us and one.body.rstrip().endswith(mark)
        ]
        return ours[-1] if ours else None
