"""What an issue shows of its run: one comment, edited in place, and a label. Redis holds the truth.

What was written is noted in the run's notes, so that an unchanged checklist costs no call. Losing the notes
costs a look at the issue and never a second comment: ours is found by its author and its last line.
"""

import hashlib
from dataclasses import replace
from enum import StrEnum

from routing.forges.errors import ForgeGoneError
from routing.forges.site import ForgeSite
from routing.issues.issue import IssueRef
from routing.jobs.job import Job
from routing.store.jobs.run_store import RunNotes, RunStore
from tasks.issues.checklist import RunProgress, checklist, marker


class RunLabel(StrEnum):
    """Which label of its run an issue carries; the values are in the run's notes."""

    IN_PROGRESS = "1"
    IN_REVIEW = "review"


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
        if known != shows:
            site.forge.add_label(issue, self._labels[shows])
            if known:
                site.forge.remove_label(issue, self._labels[RunLabel(known)])
            self._runs.note(job, labelled=shows.value)

    def note_before(self, job: str, before: str) -> None:
        """Have the checklist of a job say which job worked on the issue before it."""
        self._runs.note(job, before=before)

    def unlabel(self, site: ForgeSite, issue: IssueRef, job: str) -> None:
        """Show that the issue is no longer in progress. Always asked of the forge: notes may be lost."""
        site.forge.remove_label(issue, self._labels[RunLabel.IN_PROGRESS])
        if site.config.leaves_merging or self._runs.read(job).labelled == RunLabel.IN_REVIEW:
            site.forge.remove_label(issue, self._labels[RunLabel.IN_REVIEW])
        self._runs.note(job, labelled="")

    def ask_person(self, site: ForgeSite, issue: IssueRef) -> None:
        """Add the label by which a person is asked to go on; while it is there, the issue is left alone."""
        site.forge.add_label(issue, self._escalation_label)

    def show(self, site: ForgeSite, issue: IssueRef, progress: RunProgress) -> None:
        """Bring the checklist up to date; no call is made if the text is the one that was written last."""
        job = progress.job
        notes = self._runs.read(job.id)
        text = checklist(issue, replace(progress, before=notes.before))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        if notes.shown == digest:
            return
        comment = self._write(site, issue, job, text, notes)
        self._runs.note(job.id, comment=comment, shown=digest)

    def _write(self, site: ForgeSite, issue: IssueRef, job: Job, text: str, notes: RunNotes) -> int:
        """Edit our comment, or write one; returns its id, for the notes."""
        known = notes.comment if notes.comment is not None else self._find(site, issue, job.id)
        if known is not None:
            try:
                return site.forge.edit_comment(issue, known, text).id
            except ForgeGoneError:  # somebody deleted it: write another, if the issue is still there
                site.forge.read_issue(issue)
        return site.forge.comment(issue, text).id

    def _find(self, site: ForgeSite, issue: IssueRef, job: str) -> int | None:
        """The id of our comment of this run whose id was not noted; None when there is none.

        Anybody can write the marker, also into text that we repeat. Only our login is ours, and only our own
        marker ends the comment.
        """
        us, mark = site.forge.own_login().casefold(), marker(job)
        comments = site.forge.read_issue(issue).comments or ()
        ours = [
            one.id for one in comments if one.author.casefold() == us and one.body.rstrip().endswith(mark)
        ]
        return ours[-1] if ours else None
