"""The name of the server cannot be resolved for a while: the fleet waits, and is at work when it can be."""

from functools import partial
from pathlib import Path

import pytest

from routing.jobs.job import JobRequest, JobState
from tasks.composition.composition import Coalmine
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.programs.agent_book import Book
from tests.servers.faulty_proxy import faulty_proxy
from tests.servers.private_server import private_server
from tests.waiting import wait_until

#: Seconds without a sweep, and some more, after which holders may still renew leases that ran out meanwhile.
PAUSE_SECONDS = 6

#: Python runs it at the start of each process that finds it: a name is known while a file is there.
RESOLVER = """
import os, socket

real = socket.getaddrinfo

def resolve(host, *arguments, **options):
    if host in ("store.test", b"store.test"):
        if not os.path.exists({known!r}):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return real(host, *arguments, **options)

socket.getaddrinfo = resolve
"""


def has_said(made: WorkerFleet, name: str) -> bool:
    """Whether a process has said that its server is away."""
    return "broker.away" in made.log(name)


def has_stood_still(parts: Coalmine, *, since: float) -> bool:
    """Whether a lease has run out in a pause of the sweeps that gives its holder time to renew it."""
    return parts.now() > max(since, (parts.clocks.swept_at() or 0.0) + PAUSE_SECONDS)


@pytest.mark.long
def test_a_name_that_is_unknown_for_a_while_costs_no_work(tmp_path: Path) -> None:
    """All connections are lost as well: the agent goes on, and is paid once; the loss is said in one line."""
    known, hook = tmp_path / "known", tmp_path / "hook"
    known.touch()
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(RESOLVER.format(known=str(known)), encoding="utf-8")
    book, gate = Book(tmp_path / "book"), tmp_path / "gate"
    with private_server(tmp_path) as server, faulty_proxy(server.url) as proxy:
        url = proxy.url.replace("127.0.0.1", "store.test")
        with fleet(tmp_path, server.url, COALMINE_TIMES__LEASE_SECONDS="3") as made:
            parts = made.coalmine()  # not by the name
            made.variables |= {"COALMINE_REDIS_URL": url, "PYTHONPATH": str(hook)}
            made.by_command = True
            made.worker()
            made.beat()
            parts.templates.add("implementer", book.snapshot(f"while [ ! -e {gate} ]; do sleep 0.05; done"))
            parts.templates.add("quick", Book(tmp_path / "others").snapshot())
            job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
            book.until_started(job)
            known.unlink()
            proxy.drop()
            for name in ("w1", "beat"):
                wait_until(partial(has_said, made, name), description=f"{name} says it")
            ends = parts.jobs.find(job).lease_until or 0.0
            wait_until(
                partial(has_stood_still, parts, since=ends), description="the lease ran out in a long pause"
            )
            known.touch()
            quick = parts.mailbox.enqueue(JobRequest(template="quick", task="work")).job
            assert until_state(parts, quick, JobState.SUCCEEDED, timeout=5).attempts == 1
            gate.touch()
            assert until_state(parts, job, JobState.SUCCEEDED).attempts == 1
            assert len(book.pids("start")) == 1
            for name in made.processes:
                assert made.log(name).count("broker.away") == 1
                assert "Traceback" not in made.log(name)
            made.stop()  # while the proxy is there
