"""Finished jobs: a few that are really worked, but for their messages, and as many copies as are needed."""

from benchmarks.fleet import MeasuredFleet, request
from routing.jobs.ending import Ending
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal

#: Copies of a record that are written in one round trip.
CHUNK = 2_000


def finish(site: MeasuredFleet, *, jobs: int) -> None:
    """Take jobs to their end, as workers do, but for messages."""
    parts = site.coalmine
    for done in parts.mailbox.enqueue_many([request(number) for number in range(jobs)]):
        claim = parts.jobs.claim(done.job, worker="w1@bench", lease_seconds=60.0)
        assert isinstance(claim, Claim), claim
        facts = [signal(SignalKind.FINISHED, at=parts.now())]
        result = JobResult(exit_code=0, ended_by=Ending.RESULT)
        parts.jobs.end(claim, JobState.SUCCEEDED, reason="done", result=result, signals=facts)


def copy_newest(site: MeasuredFleet, *, first: int, last: int, age_seconds: float) -> None:
    """Store the newest job, with its score, once more under each number from `first` to before `last`."""
    parts, keys = site.coalmine, site.coalmine.keys
    worked = parts.job_store.newest(1)[0]
    created_at = parts.now() - age_seconds
    for start in range(first, last, CHUNK):
        ids = [f"{number:016x}" for number in range(start, min(last, start + CHUNK))]
        pipeline = parts.redis.pipeline(transaction=False)
        for job in ids:
            pipeline.copy(keys.job(worked), keys.job(job))
            pipeline.copy(keys.signals(worked), keys.signals(job))
        pipeline.zadd(keys("jobs"), dict.fromkeys(ids, created_at))
        pipeline.execute()
