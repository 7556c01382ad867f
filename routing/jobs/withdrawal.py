"""Cancelling the running jobs of versions that were rejected, where the settings say so."""

import structlog

from routing.errors import CoalmineError
from routing.jobs.job import Job
from routing.jobs.lifecycle import Jobs
from routing.store.jobs.job_store import JobStore
from routing.store.trials.version_store import VersionStore

_log = structlog.get_logger(__name__)

#: Jobs that are read in one round trip.
BATCH = 200


class Withdrawal:
    """Cancels what rejected versions are at work on; it may be repeated, and run by several processes.

    A rejection comes before it, so a job that is claimed meanwhile goes to the champion: what is found here
    was claimed before. Children that run the rejected version are its jobs too, whether their parent has
    ended or not; other children of a cancelled job end with their parent. Jobs that are queued are rerouted
    when claimed.
    """

    def __init__(self, jobs: Jobs, store: JobStore, versions: VersionStore, *, cancels: bool) -> None:
        self._jobs = jobs
        self._store = store
        self._versions = versions
        self._cancels = cancels  # False: running jobs finish, although their version was rejected

    def withdraw(self) -> list[str]:
        """Ask for the end of every such job and return them; what fails is logged, and left to the tick."""
        if not self._cancels:
            return []
        try:
            found = self._running_of_rejected()
        except CoalmineError as error:
            _log.warning("withdrawal.failed", reason=str(error))
            return []
        return [job.id for job in found if self._cancel(job)]

    def _running_of_rejected(self) -> list[Job]:
        rejected: dict[str, bool] = {}
        found: list[Job] = []
        ids = self._store.running()
        for start in range(0, len(ids), BATCH):
            for job in self._store.read_many(ids[start : start + BATCH]):
                if job is None or job.cancel:
                    continue
                if job.version_id not in rejected:
                    rejected[job.version_id] = self._versions.is_rejected(job.version_id)
                if rejected[job.version_id]:
                    found.append(job)
        return found

    def _cancel(self, job: Job) -> bool:
        try:
            self._jobs.cancel(job.id, by=f"the rejection of {job.version_id}", at=self._store.now())
        except CoalmineError as error:
            _log.warning("withdrawal.failed", job=job.id, reason=str(error))
            return False
        return True
