"""What an issue shows of its run: one comment, edited in place, and a label. Redis holds the truth."""

import hashlib

from routing.forges.errors import ForgeGoneError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job
from routing.store.jobs.run_store import RunNotes, RunStore
from tasks.issues.checklist import RunProgress, checklist, marker
from tasks.issues.site import ForgeSite


class Projection:
    """Writes only what has changed. Every step may be repeated without being seen twice."""

    def __init__(self, runs: RunStore, *, in_progress_label: str, for_person_label: str) -> None:
        self._runs = runs
        self._label = in_progress_label
        self._for_person_label = for_person_label

    def label(self, site: ForgeSite, issue: IssueRef, job: str) -> None:
        """Show that the issue is in progress, unless it shows that already."""
        if not self._runs.read(job).labelled:
            site.forge.add_label(issue, self._label)
            self._runs.note(job, labelled="1")

    def unlabel(self, site: ForgeSite, issue: IssueRef, job: str) -> None:
        """Show that the issue is not in progress any more."""
        site.forge.remove_label(issue, self._label)
        self._runs.note(job, labelled="")

    def ask_person(self, site: ForgeSite, issue: IssueRef) -> None:
        """Ask a person to go on."""
        site.forge.add_label(issue, self._for_person_label)

    def show(self, site: ForgeSite, issue: IssueRef, told: RunProgress) -> None:
        """Bring the checklist up to date."""
        job, text = told.job, checklist(issue, told)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        notes = self._runs.read(job.id)
        if notes.shown == digest:
            return
        comment = self._write(site, issue, job, text, notes)
        self._runs.note(job.id, comment=comment, shown=digest)

    def _write(self, site: ForgeSite, issue: IssueRef, job: Job, text: str, notes: RunNotes) -> int:
        known = notes.comment if notes.comment is not None else self._find(site, issue, job.id)
        if known is not None:
            try:
                return site.forge.edit_comment(issue, known, text).id
            except ForgeGoneError:  # somebody deleted it: another one takes its place
                site.forge.read_issue(issue)
        return site.forge.comment(issue, text).id

    def _find(self, site: ForgeSite, issue: IssueRef, job: str) -> int | None:
        """Our own comment of this run that is there already: its number was not noted, for whatever reason.

        Anybody can write our marker, also into words that we repeat; nobody but us is our login, and ours
        stands at the end.
        """
        us, mark = site.forge.own_login().casefold(), marker(job)
        comments = site.forge.read_issue(issue).comments or ()
        ours = [
            one.id for one in comments if one.author.casefold() == us and one.body.rstrip().endswith(mark)
        ]
        return ours[-1] if ours else None
