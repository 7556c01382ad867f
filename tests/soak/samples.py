"""What is looked at: each process of the fleet with its pool, and the server."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.fleet import ChaosFleet
from tests.soak.series import Measure

#: A series: whose it is, and what is measured.
Name = tuple[str, Measure]

#: Kinds of keys that grow by design: what was decided is kept for ever, and so are the ledgers it rests on.
KEPT_FOR_EVER = ("trial:*", "template:*")

_PYTHON = Path(sys.executable).resolve()


def looked_at(fleet: ChaosFleet) -> dict[Name, float]:
    """One look at everything; a process that ends meanwhile is left out."""
    found: dict[Name, float] = {}
    for name, process in fleet.processes.items():
        with suppress(psutil.Error):
            found |= {(name, measure): value for measure, value in _of_process(process.pid)}
    found |= {("server", measure): value for measure, value in _of_process(fleet.server.pid)}
    found |= _of_data(fleet)
    return found


def _of_process(pid: int) -> Iterator[tuple[Measure, float]]:
    """A process with the Python processes of its pool: memory that is theirs alone, descriptors, threads."""
    first = psutil.Process(pid)
    all_ = [first, *(each for each in first.children(recursive=True) if _is_of_pool(each))]
    yield Measure.MEMORY, float(sum(each.memory_full_info().uss for each in all_))
    yield Measure.DESCRIPTORS, float(sum(each.num_fds() for each in all_))
    yield Measure.THREADS, float(sum(each.num_threads() for each in all_))


def _is_of_pool(process: psutil.Process) -> bool:
    """Whether it is one of ours, rather than an agent or a program that one of ours runs."""
    with suppress(psutil.Error, OSError):
        is_python = Path(f"/proc/{process.pid}/exe").resolve() == _PYTHON
        return is_python and "COALMINE_JOB_ID" not in process.environ()
    return False


def _of_data(fleet: ChaosFleet) -> dict[Name, float]:
    """What the server holds: all, and without what has a bound of its own or is kept for ever."""
    keys = fleet.parts.keys
    with fleet.admin() as client:
        admin: Any = client
        data = float(admin.info("memory")["used_memory_dataset"])
        events = float(admin.memory_usage(keys("events"), samples=0) or 0)
        lasting = [key for kind in KEPT_FOR_EVER for key in admin.scan_iter(keys(kind), count=1000)]
        pipeline = admin.pipeline(transaction=False)
        for key in lasting:
            pipeline.memory_usage(key, samples=0)
        kept = float(sum(size or 0 for size in pipeline.execute()))
        clients = float(admin.info("clients")["connected_clients"])
    return {
        ("data in the server", Measure.MEMORY): data - events - kept,
        ("events, up to 100,000", Measure.MEMORY): events,
        ("ledgers of trials, kept for ever", Measure.MEMORY): kept,
        ("server", Measure.CONNECTIONS): clients,
    }


#: Series that grow by design, up to a bound or with the number of trials; they are shown and not judged.
SHOWN_ALONE = frozenset({"events, up to 100,000", "ledgers of trials, kept for ever"})
