"""The relay: publishes what was accepted and not published, and what was published and got lost."""

from dataclasses import dataclass

import structlog

from routing.errors import UnavailableError
from routing.job import Job, JobState
from routing.publisher import Publisher
from routing.store.job_store import JobStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Relayed:
    """What one pass did."""

    published: int = 0
    found_lost: int = 0  # of them, messages that were published before and are no longer in the broker


class Relay:
    """Any number may run at once: a message too many is harmless, the second claim finds the job taken."""

    def __init__(self, jobs: JobStore, publisher: Publisher) -> None:
        self._jobs = jobs
        self._publisher = publisher

    def relay(self, *, most: int = 500) -> Relayed:
        """One pass over the outbox, then over the jobs that nobody has claimed for a while.

        Jobs that waited for room come to the outbox first, as many as there is room for now.
        A message counts as lost only when the broker's queue is empty: while others wait in front, a job
        may wait too, and repeating it would only make the queue longer.
        """
        try:
            self._jobs.release_held(most)
            published = self._publish(self._jobs.take_outbox(most))
            lost = self._lost(self._jobs.take_unclaimed(most))
            return Relayed(published=published + self._publish(lost), found_lost=len(lost))
        except UnavailableError as error:
            _log.warning("relay.broker_unavailable", reason=str(error))
            return Relayed()

    def _lost(self, unclaimed: list[str]) -> list[str]:
        if not unclaimed:
            return []
        empty = {queue for queue in ("champion", "canary") if self._publisher.depth(queue) == 0}
        return [job.id for job in self._queued(unclaimed) if job.queue in empty]

    def _publish(self, identifiers: list[str]) -> int:
        done = []
        for job in self._queued(identifiers):
            self._publisher.publish(job.id, job.queue, job.request.priority)
            done.append(job.id)
        self._jobs.published(done)
        return len(done)

    def _queued(self, identifiers: list[str]) -> list[Job]:
        found = self._jobs.read_many(identifiers) if identifiers else []
        return [job for job in found if job is not None and job.state is JobState.QUEUED]
