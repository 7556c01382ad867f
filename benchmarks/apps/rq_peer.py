"""rq with a task that does nothing and keeps no result."""

import os

from redis import Redis
from rq import Queue

_queue = Queue("no_op_rq", connection=Redis.from_url(os.environ["COALMINE_REDIS_URL"]))

#: How its worker is started: it forks for each job, as is its way.
ARGUMENTS = (
    "-m", "rq.cli", "worker", "no_op_rq", "--url", os.environ["COALMINE_REDIS_URL"], "-q",
)  # fmt: skip


def no_op(_job: str) -> None:
    """Do nothing."""


def send(jobs: int) -> None:
    """Enqueue that many, one after the other."""
    for number in range(jobs):
        _queue.enqueue("benchmarks.apps.rq_peer.no_op", f"{number:016x}", result_ttl=0)


def left() -> int:
    """Jobs that are not done."""
    return int(_queue.count) + int(_queue.started_job_registry.count)
