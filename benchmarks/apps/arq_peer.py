"""arq with a task that does nothing and keeps no result."""

import asyncio
import os
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

_SETTINGS = RedisSettings.from_dsn(os.environ["COALMINE_REDIS_URL"])
_runner = asyncio.Runner()
_pools: list[Any] = []

#: How its worker is started: it works several jobs at once, in one thread.
ARGUMENTS = ("-m", "arq", "benchmarks.apps.arq_peer.WorkerSettings")


async def no_op(_ctx: Any, _job: str) -> None:
    """Do nothing."""


class WorkerSettings:
    """What `arq` reads."""

    functions: ClassVar = [no_op]
    redis_settings = _SETTINGS
    keep_result = 0


def send(jobs: int) -> None:
    """Enqueue that many, one after the other."""
    _runner.run(_send(jobs))


def left() -> int:
    """Jobs that are not done."""
    return int(_runner.run(_left()))


async def _pool() -> Any:
    if not _pools:
        _pools.append(await create_pool(_SETTINGS))
    return _pools[0]


async def _send(jobs: int) -> None:
    pool = await _pool()
    for number in range(jobs):
        await pool.enqueue_job("no_op", f"{number:016x}")


async def _left() -> int:
    return int(await (await _pool()).zcard("arq:queue"))
