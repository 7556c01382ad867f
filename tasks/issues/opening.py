"""The change request of a pushed branch: asked for until it is there.

A forge that has just taken a push may not know the branch yet, and says that the request is invalid; so no
single refusal is final. It is asked for again with pauses that grow, and the run's notes hold how often: a
process that dies in between loses nothing. Without the request a run is never done, because nobody would find
its work; who is asked instead, and after how long, is decided in `watch.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from routing.forges.errors import (
    ForgeBaseGoneError,
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeTokenError,
)
from routing.forges.site import ForgeSite
from routing.forges.stage import ShowsWork
from routing.jobs.job import Job
from routing.printable import printable
from routing.store.jobs.run_store import RunNotes, RunStore
from tasks.issues.request_text import change_text
from tasks.issues.site import issue_of, place_of
from tasks.issues.watch import Finding

_log = structlog.get_logger(__name__)

#: Seconds between two tries: doubled from the first to the longest.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0

#: Characters of a refusal that are noted.
SAID_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingChange:
    """Why a run has no change request."""

    finding: Finding
    said: str  # the forge's words


class JobOverError(Exception):
    """The job was ended after the tick had read it: nothing more is done for it."""


class ChangeRequests:
    """Opens change requests, one for a run. Two watchers may try at once: the forge has one in the end."""

    def __init__(
        self, runs: RunStore, *, now: Callable[[], float], goes_on: Callable[[ForgeSite, Job], bool]
    ) -> None:
        self._runs = runs
        self._now = now  # the server's time, seconds since the epoch
        self._goes_on = goes_on  # whether a job that was read before is still wanted; it is ended if not

    def missing(self, site: ForgeSite, job: Job, notes: RunNotes) -> "MissingChange | None":
        """Why the job's change request is not there, after a try if it is time for one; None when it is.

        ForgeBaseGoneError: there must be none. JobOverError: people ended the job meanwhile.
        """
        if not site.config.opens_changes or notes.change:
            return None
        if notes.change_at > self._now():
            return MissingChange(finding=Finding(notes.change_finding), said=notes.change_said)
        title, body = change_text(job, closes=site.config.leaves_merging)
        try:
            if not self._goes_on(site, job):
                raise JobOverError
            made = site.forge.open_change(place_of(job)[1], job.branch, title=title, body=body, base=job.base)
            _link(site, job, url=made.url, title=title)
        except ForgeBaseGoneError:
            raise
        except ForgeError as error:
            _log.warning("change.not_opened", reason=str(error), tries=notes.change_tries + 1)
            if not (isinstance(error, ForgeInvalidError) and _has_landed(site, job)):
                return self._refused(job, notes, error)
        self._runs.note(job.id, change="1", change_said="")
        return None

    def _refused(self, job: Job, notes: RunNotes, error: ForgeError) -> "MissingChange":
        missing = MissingChange(finding=finding_of(error), said=printable(str(error))[:SAID_CHARACTERS])
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**notes.change_tries)
        self._runs.note(
            job.id,
            change_tries=notes.change_tries + 1,
            change_at=self._now() + pause,
            change_finding=missing.finding.value,
            change_said=missing.said,
        )
        return missing


def _link(site: ForgeSite, job: Job, *, url: str, title: str) -> None:
    """Have an issue of a tracker link to the request. Without the link the work goes on all the same."""
    issue = issue_of(job)
    place = site.of(issue) if issue is not None else None
    if issue is None or place is None or not isinstance(place.forge, ShowsWork) or not url:
        return
    try:
        place.forge.link_work(issue, url=url, title=title)
    except ForgeError as error:
        _log.warning("issue.not_linked", issue=str(issue), reason=str(error))


def finding_of(error: ForgeError) -> Finding:
    """What a forge's answer to the request means: a token, the request itself, or nothing that is certain."""
    if isinstance(error, ForgeTokenError):
        return Finding.TOKEN_REFUSED
    if isinstance(error, (ForgeInvalidError, ForgeGoneError)):
        return Finding.INVALID_REQUEST
    refused = isinstance(error, ForgeRefusedError)
    return Finding.REQUEST_REFUSED if refused else Finding.NO_CHANGE_REQUEST


def _has_landed(site: ForgeSite, job: Job) -> bool:
    """Whether the work is on the branch that it goes to already: then there is nothing to request."""
    try:
        return site.forge.contains(place_of(job)[1], job.result.commit, base=job.base)
    except ForgeError:
        return False
