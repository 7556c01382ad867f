"""What is known of an event's subject beside the event itself."""

from dataclasses import dataclass

from routing.jobs.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFacts:
    """Looked up when the event is read; the record may be gone by then, or have moved on."""

    job: Job | None = None  # that the event is about
    frozen: bool = False  # whether CI stayed red behind all repairs of that job
    issue_has_job: bool = False  # whether a job was at work on the issue that the event is about


#: For events that say everything themselves.
NOTHING = EventFacts()
