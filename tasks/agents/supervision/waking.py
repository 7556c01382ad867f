"""Waking: when mail arrives for an agent that awaits it, the agent's job is published.

A job that awaits mail is queued without a message. Two callers wake it: the post office, at once, and the
sweep, for mail that came while the turn was still ending. Waking twice is harmless: the store publishes a
job once.
"""

from collections.abc import Sequence

import structlog

from routing.errors import CoalmineError
from routing.jobs.lifecycle import Jobs
from routing.store.sessions.session_store import SessionStore
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState

_log = structlog.get_logger(__name__)


class Waking:
    """Stateless; any thread of any process may call it."""

    def __init__(self, sessions: SessionStore, jobs: Jobs) -> None:
        self._sessions = sessions
        self._jobs = jobs

    def wake(self, names: Sequence[str]) -> list[str]:
        """Publish the jobs of these agents, for whom mail waits, if they await it; returns the jobs."""
        if not names:
            return []
        found = zip(names, self._sessions.read_many(names), strict=True)
        jobs = [awaited_job(name, fields) for name, fields in found if fields]
        return [job for job in jobs if job and self._jobs.wake(job)]


def awaited_job(name: str, fields: dict[str, str]) -> str:
    """The job that goes on when mail arrives for an agent; "" when the agent awaits none, or is in a turn."""
    try:
        record = SessionRecord.parse(fields)
    except CoalmineError as error:  # one unreadable session keeps no other agent waiting
        _log.error("session.unreadable", agent=name, reason=str(error))
        return ""
    waits = record.awaiting and record.state is SessionState.BETWEEN_TURNS
    return record.job if waits else ""
