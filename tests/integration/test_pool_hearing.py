"""A worker with processes that loses its connection: it knows what they do before it drops the rest."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import Hub

from tasks.pool_hearing import hear_pool
from tests.waiting import wait_until

#: Celery's way to give jobs to processes: to those that have none.
FAIR = 4


class Pool:
    """A pool of one process, with the loop of its worker, which turns when a test turns it."""

    def __init__(self) -> None:
        self.hub: Any = Hub()
        self.processes: Any = AsynPool(1, threads=False, sched_strategy=FAIR)
        self.processes.register_with_event_loop(self.hub)
        self.loop: Any = self.hub.create_loop()

    def until(self, condition: Any, description: str) -> None:
        """Turn the loop until something is so."""

        def turned() -> bool:
            self.hub.call_soon(bool)  # so that it does not wait for long
            next(self.loop)
            return bool(condition())

        wait_until(turned, description=description)

    def give(self, seconds: float) -> Any:
        """Give the process a job, and listen no more once it has it."""
        self.until(lambda: self.processes._all_inqueues, "the process is up")  # noqa: SLF001
        job = self.processes.apply_async(time.sleep, (seconds,))
        self.until(lambda: job._write_to and not self.processes._active_writes, "it has the job")  # noqa: SLF001
        return job

    @property
    def is_busy(self) -> bool:
        """Whether the worker thinks that its process has a job."""
        return bool(self.processes._busy_workers)  # noqa: SLF001


@pytest.fixture
def pool() -> Iterator[Pool]:
    """It is ended with the test."""
    made = Pool()
    yield made
    made.processes.terminate()
    made.processes.join()
    made.hub.close()


def test_a_job_that_a_process_has_begun_is_not_forgotten(pool: Pool) -> None:
    """The connection is lost before the worker heard that it has begun: the process counts as busy."""
    job = pool.give(60.0)
    assert not job._accepted  # noqa: SLF001
    pool.hub.reset()
    hear_pool(SimpleNamespace(_pool=pool.processes))
    pool.processes.flush()
    assert job._accepted  # noqa: SLF001
    assert pool.is_busy


def test_a_job_that_has_ended_meanwhile_is_done_with(pool: Pool) -> None:
    """Its process is free."""
    job = pool.give(0.0)
    pool.hub.reset()

    def is_heard() -> bool:
        hear_pool(SimpleNamespace(_pool=pool.processes))
        return bool(job.ready())

    wait_until(is_heard, description="the end of the job is heard")
    pool.processes.flush()
    assert not pool.is_busy


def test_a_pool_without_processes_says_nothing() -> None:
    """Threads tell the worker themselves."""
    hear_pool(SimpleNamespace(_pool=None))
    hear_pool(SimpleNamespace())
