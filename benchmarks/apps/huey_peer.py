"""huey with a task that does nothing and keeps no result."""

import os

from huey import RedisHuey

huey = RedisHuey("peer", url=os.environ["COALMINE_REDIS_URL"], results=False)

#: How its worker is started: one process.
ARGUMENTS = (
    "-m",
    "huey.bin.huey_consumer",
    "benchmarks.apps.huey_peer.huey",
    "-w",
    "1",
    "-k",
    "process",
    "-q",
)


@huey.task()
def no_op(_job: str) -> None:
    """Do nothing."""


def send(jobs: int) -> None:
    """Enqueue that many, one after the other."""
    for number in range(jobs):
        no_op(f"{number:016x}")


def left() -> int:
    """Jobs that nobody has taken."""
    return int(huey.pending_count())
