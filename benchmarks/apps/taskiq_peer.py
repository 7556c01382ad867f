"""taskiq with a task that does nothing, on a stream, whose messages are acknowledged."""

import asyncio
import os

from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(url=os.environ["COALMINE_REDIS_URL"])
_runner = asyncio.Runner()

#: How its worker is started: one process, which works several jobs at once.
ARGUMENTS = (
    "-m", "taskiq", "worker", "benchmarks.apps.taskiq_peer:broker", "--workers", "1",
    "--log-level", "WARNING",
)  # fmt: skip


@broker.task
async def no_op(_job: str) -> None:
    """Do nothing."""


def send(jobs: int) -> None:
    """Enqueue that many, one after the other."""
    _runner.run(_send(jobs))


def left() -> int:
    """Jobs that are not done: those that nobody was given, and those that are not acknowledged."""
    return _runner.run(_left())


async def _send(jobs: int) -> None:
    for number in range(jobs):
        await no_op.kiq(f"{number:016x}")


async def _left() -> int:
    from redis.asyncio import Redis  # noqa: PLC0415 - of this peer alone

    async with Redis(connection_pool=broker.connection_pool) as redis:
        groups = await redis.xinfo_groups("taskiq")
    return sum(int(group["pending"]) + int(group["lag"] or 0) for group in groups)
