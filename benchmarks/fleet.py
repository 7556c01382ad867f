"""The fleet on which Coalmine and plain Celery are measured: one private server, synced as in earnest."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from routing.embedded.private_server import PrivateServer, ServerOptions
from routing.jobs.job import JobRequest
from routing.templates.version import Snapshot
from tasks.broker import broker
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings

#: The template whose jobs are measured.
TEMPLATE = "worker"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredFleet:
    """A server with an append-only file that is synced every second, and our parts on it."""

    folder: Path  # for logs; gone afterwards
    url: str
    coalmine: Coalmine


@contextmanager
def measured_fleet(**settings: Any) -> Iterator[MeasuredFleet]:
    """A server with one template; both end with the block. `settings` are parts that are not the default.

    They are not checked as those of people are: days do not fit into a benchmark.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        # Over TCP, as the processes of a fleet reach their server.
        options = ServerOptions(transport="tcp", appendfsync="everysec")
        with PrivateServer(folder / "redis", options=options) as server:
            parts = compose(
                Settings(redis_url=server.url).model_copy(update=settings), generator=random.Random(1)
            )
            parts.templates.add(TEMPLATE, Snapshot(command="true"))
            yield MeasuredFleet(folder=folder, url=server.url, coalmine=parts)
            parts.redis.close()


def plain_app(redis_url: str) -> Celery:
    """Celery as its documentation sets it up, without results."""
    broker_url, _ = broker(Settings(redis_url=redis_url))
    app = Celery("plain", broker=broker_url)
    app.conf.task_ignore_result = True
    return app


def request(number: int = 0) -> JobRequest:
    """A small request."""
    return JobRequest(template=TEMPLATE, task="do nothing", title=f"job {number}")


def seconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """How many times as fast we are: the median of what was measured side by side."""
    return statistics.median(other / our for our, other in zip(ours, others, strict=True))
