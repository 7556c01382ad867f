"""What something takes: time of the processor, so that a busy machine counts less, and of the clock."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.fleet import MeasuredFleet

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkDone:
    """Seconds of processor time, and of the clock on the wall."""

    ours: float  # of this process
    servers: float  # of Redis
    waited: float

    @property
    def both(self) -> float:
        """Of this process and of Redis."""
        return self.ours + self.servers


def work_done(site: MeasuredFleet, action: Callable[[], T]) -> tuple[T, WorkDone]:
    """Do something once; its answer, and what it took."""
    server, ours, begun = server_seconds(site), time.process_time(), time.perf_counter()
    answer = action()
    waited, ours = time.perf_counter() - begun, time.process_time() - ours
    return answer, WorkDone(ours=ours, servers=server_seconds(site) - server, waited=waited)


def server_seconds(site: MeasuredFleet) -> float:
    """Seconds of processor that Redis has taken, in all its threads."""
    said: Mapping[str, float] = site.coalmine.redis.info("cpu")
    return said["used_cpu_user"] + said["used_cpu_sys"]


def used_bytes(site: MeasuredFleet) -> int:
    """Bytes that the data in Redis takes."""
    return int(site.coalmine.redis.info("memory")["used_memory_dataset"])
