"""What a notification says that its event does not: looked up, one round trip for all jobs of a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing import events
from routing.backlog.item import BacklogState
from routing.errors import CoalmineError, UnavailableError
from routing.events import Event
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.jobs.signal import SignalKind
from routing.store.backlog.backlog_store import BacklogStore
from routing.store.jobs.job_store import JobStore
from routing.store.signals.signal_store import SignalStore

#: Events for which the job's record is worth reading, and those for which the issue's is.
ABOUT_JOBS = frozenset({events.JOB_FINISHED, events.JOB_IN_REVIEW, events.JOB_LEASE_EXPIRED})
ABOUT_ISSUES = frozenset({events.BACKLOG_STATE})

_OUT_OF_THE_QUEUE = frozenset({BacklogState.ESCALATED, BacklogState.FROZEN})


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFacts:
    """What is known of an event's subject when the event is read; it may have changed since the event."""

    job: Job | None = None  # that the event is about
    frozen: bool = False  # whether CI stayed red after all repairs of that job
    issue_has_job: bool = False  # whether a job was at work on the issue that the event is about


#: For events that say everything themselves.
NOTHING = EventFacts()


@dataclass(frozen=True, kw_only=True, slots=True)
class FactReader:
    """Reads what is known about the subjects of events.

    A record that is gone, or cannot be read, leaves its facts out: the event alone is sent then. A store that
    does not answer raises UnavailableError, and the events are read again.
    """

    jobs: JobStore
    signals: SignalStore
    backlog: BacklogStore

    def read(self, events: Sequence[Event]) -> list[EventFacts]:
        """The facts for each event, in their order."""
        wanted = sorted({event.subject for event in events if event.kind in ABOUT_JOBS})
        found = dict(zip(wanted, self.jobs.read_many(wanted), strict=True)) if wanted else {}
        return [self._of(event, found.get(event.subject)) for event in events]

    def _of(self, event: Event, job: Job | None) -> EventFacts:
        if event.kind in ABOUT_JOBS:
            escalated = event.data.get("state") == JobState.ESCALATED
            return EventFacts(job=job, frozen=escalated and self._is_frozen(event.subject))
        if event.kind in ABOUT_ISSUES and event.data.get("to") in _OUT_OF_THE_QUEUE:
            return EventFacts(issue_has_job=self._has_job(event.subject))
        return NOTHING

    def _is_frozen(self, job: str) -> bool:
        """Whether CI stayed red: a signal of the job says so, as its state does not."""
        try:
            return any(fact.kind is SignalKind.FROZEN for fact in self.signals.read(job))
        except UnavailableError:
            raise
        except CoalmineError:
            return False

    def _has_job(self, issue: str) -> bool:
        """Whether a job is at work on the issue, or was: then the job's own end is reported."""
        try:
            item = self.backlog.read([IssueRef.parse(issue)])[0]
        except UnavailableError:
            raise
        except CoalmineError:
            return False
        return item is not None and bool(item.job)
