"""What a finished job takes of the server's memory: record, signals, and its share of indexes and events."""

from benchmarks.fleet import TEMPLATE, MeasuredFleet, measured_fleet
from benchmarks.results import Row, row
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal

NAME = "memory"

#: What issues say, at the length of a short report.
TASK = (
    "The total of an order with a voucher is off by one cent when the voucher is a percentage: 10 % of 0.05"
    " EUR is taken off as 0.00 in the cart and as 0.01 on the invoice."
)


def rows(*, quick: bool) -> list[Row]:
    """Bytes a job, between two counts of jobs, so that what any server takes is left out."""
    jobs = 500 if quick else 4000
    with measured_fleet() as site:
        _finish(site, jobs=200, first=0)  # scripts, buffers, the first tables
        before = _used(site)
        _finish(site, jobs=jobs, first=200)
        bytes_each = (_used(site) - before) / jobs
    return [row("memory: a finished job in Redis", bytes_each, unit="bytes", target=2048.0)]


def _finish(site: MeasuredFleet, *, jobs: int, first: int) -> None:
    """Take jobs on issues from request to score, as workers and ticks do, but for their messages."""
    parts = site.coalmine
    requests = [
        JobRequest(
            template=TEMPLATE, task=TASK, title=f"Wrong total {number}", repository="acme/shop",
            issue=f"local:shop#{number}", idempotency_key=f"local:shop#{number}:1",
        )
        for number in range(first, first + jobs)
    ]  # fmt: skip
    for done in parts.mailbox.enqueue_many(requests):
        claim = parts.jobs.claim(done.job, worker="w1@build-1", lease_seconds=30.0)
        assert isinstance(claim, Claim), claim
        result = JobResult(
            exit_code=0, ended_by=Ending.RESULT, commit="4be1c0ffee" * 4, branch=f"coalmine/{done.job}",
            duration_seconds=412.5, cost_usd=0.83, tail="All 214 tests pass; the change is committed.",
        )  # fmt: skip
        fact = signal(SignalKind.FINISHED, at=parts.now(), note="the agent ended cleanly")
        parts.jobs.end(claim, JobState.SUCCEEDED, reason="merged", result=result, signals=[fact])
        parts.job_store.effects_done(done.job, claim.job.request.issue)
    parts.redis.delete(parts.keys("champion"), f"{parts.keys('champion')}\x06\x166")
    parts.harvester.harvest()


def _used(site: MeasuredFleet) -> int:
    return int(site.coalmine.redis.info("memory")["used_memory_dataset"])
