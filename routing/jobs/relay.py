"""The relay: publishes jobs that were accepted and not published, and those whose message got lost.

A job stays listed until it is claimed, so a message that is lost costs a wait and never a job.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from routing.errors import STORE_AWAY, UnavailableError
from routing.jobs.job import Job, JobState
from routing.jobs.publisher import Publisher, shown
from routing.store.jobs.job_store import JobStore

_log = structlog.get_logger(__name__)

#: Seconds after which a message is repeated that no worker took, although others wait in its queue and the
#: broker does not show which of them is next.
OVERDUE_SECONDS = 100.0

#: Seconds by which the next message must have been sent after another one, for that to be gone. The time that
#: a job has of its message is written after it was sent.
SENT_APART_SECONDS = 1.0

#: Seconds after which the relay looks whether work that was cut short was claimed: it has waited for a lease.
SOON_SECONDS = 2.0

#: The most of them in one pass.
OVERDUE_AT_ONCE = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Relayed:
    """What one pass did."""

    published: int = 0
    found_lost: int = 0  # of them, messages that were published before and seem to be lost


class Relay:
    """Any number may run at once: a message too many is harmless, the second claim finds the job taken."""

    def __init__(self, jobs: JobStore, publisher: Publisher) -> None:
        self._jobs = jobs
        self._publisher = publisher

    def relay(self, *, most: int = 500) -> Relayed:
        """One pass over the outbox, then over the jobs that nobody has claimed for a while.

        Jobs that waited for an account that is open now, or for room, come to the outbox first.
        A message counts as lost when no message of its priority waits in the broker's queue, or when the
        next one was sent after it: workers take them in their order. A broker that does not show the next
        one may have the job wait while its queue is not empty; then its message is repeated after
        OVERDUE_SECONDS, as that queue may never be empty.

        A step that fails is logged and keeps no other from its turn; a server that does not answer ends the
        pass.
        """
        try:
            _alone("limited", lambda: self._jobs.release_limited(most))
            _alone("held", lambda: self._jobs.release_held(most))
            published = _alone("outbox", lambda: self._publish(self._jobs.take_outbox(most)))
            lost = _alone("unclaimed", lambda: self._publish_lost(most))
            return Relayed(published=published + lost, found_lost=lost)
        except UnavailableError as error:
            _log.warning("relay.broker_unavailable", reason=str(error))
            return Relayed()

    def _publish_lost(self, most: int) -> int:
        lost = self._lost(self._jobs.take_unclaimed(most))
        self._publish(lost)
        return len(lost)

    def _lost(self, unclaimed: list[str]) -> list[str]:
        if not unclaimed:
            return []
        depths = self._publisher.depths(["champion", "canary", "backtest"])
        jobs = sorted(self._queued(unclaimed), key=_sent_at)
        alone = [job.id for job in jobs if not depths[job.queue]]
        gone = self._gone([job for job in jobs if depths[job.queue]])
        room = 2 * self._jobs.depths()["queued"] - sum(depths.values()) if gone else 0
        return alone + gone[: max(0, min(room, OVERDUE_AT_ONCE))]

    def _gone(self, jobs: list[Job]) -> list[str]:
        """Those whose message is surely, or most likely, not among others that wait in its queue.

        A queue holds at most two messages a job, however long no worker runs: see the caller.
        """
        heads = {queue: self._publisher.heads(queue) for queue in {job.queue for job in jobs}}
        nexts = {job for shown in heads.values() if shown for job in shown.values() if job}
        sent = {job.id: _sent_at(job) for job in self._read(sorted(nexts))}
        before = self._jobs.now() - OVERDUE_SECONDS if jobs else 0.0

        def is_gone(job: Job) -> bool:
            shown = heads[job.queue]
            if shown is None:
                return _sent_at(job) <= before
            head = shown.get(job.message_priority)
            return head is None or sent.get(head, 0.0) > _sent_at(job) + SENT_APART_SECONDS

        return [job.id for job in jobs if is_gone(job)]

    def _publish(self, identifiers: list[str]) -> int:
        done: dict[bool, list[str]] = {False: [], True: []}  # by whether it was cut short
        for job in self._queued(identifiers):
            about = shown(issue=job.request.issue, version=job.version_id, arm=job.arm)
            self._publisher.publish(job.id, job.queue, job.message_priority, shown=about)
            done[job.is_cut_short].append(job.id)
        self._jobs.published(done[False])
        self._jobs.published(done[True], look_seconds=SOON_SECONDS)
        return sum(map(len, done.values()))

    def _queued(self, identifiers: list[str]) -> list[Job]:
        return [job for job in self._read(identifiers) if job.state is JobState.QUEUED]

    def _read(self, identifiers: list[str]) -> list[Job]:
        found = self._jobs.read_many(identifiers) if identifiers else []
        return [job for job in found if job is not None]


def _sent_at(job: Job) -> float:
    """When its message was sent last."""
    return job.published_at or job.created_at


def _alone(step: str, do: Callable[[], int]) -> int:
    """What a step answers; 0 when it failed by a mistake of ours, which must not stop the relay for good."""
    try:
        return do()
    except (UnavailableError, *STORE_AWAY):
        raise
    except Exception as error:  # noqa: BLE001 - one step's boundary: it is logged
        _log.error("relay.step_failed", step=step, exc_info=error)
        return 0
