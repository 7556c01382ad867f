"""What every page and answer of a large fleet takes of the server, and what many open pages cost it.

Server time is processor time, of all threads of the web process and of Redis: what else runs on the machine
does not change it. What a client waits is shown beside it.
"""

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.finished_jobs import copy_newest
from benchmarks.fleet import TEMPLATE, MeasuredFleet, measured_fleet
from benchmarks.results import Row, row
from harvest.evidence.policy import TrialPolicy
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import SignalKind, signal
from routing.templates.version import Snapshot

NAME = "pages"

#: Finished jobs that are stored, jobs of the open trial among them, and how often each page is asked for.
STORED, TRIED, ASKED = 100_000, 5_000, 40
STORED_QUICKLY, TRIED_QUICKLY, ASKED_QUICKLY = 5_000, 500, 5

#: Event streams that are open at once.
STREAMS = 200

#: Milliseconds of the server, and bytes, that a page takes at most.
MOST_MS, MOST_BYTES = 100.0, 300 * 1024.0

#: Megabytes that all open streams together take at most.
MOST_MB = 20.0


def rows(*, quick: bool) -> list[Row]:
    """The slowest page's and the slowest answer's p95, the largest page, and the memory of open streams."""
    stored, tried, asked = (STORED_QUICKLY, TRIED_QUICKLY, ASKED_QUICKLY) if quick else (STORED, TRIED, ASKED)
    with measured_fleet() as site:
        job = _fill(site, stored=stored, tried=tried)
        with _web(site) as web:
            pages = {path: web.asked(path, asked) for path in _pages(job)}
            answers = {path: web.asked(path, asked) for path in _answers(job)}
            streams = _streams(web)
    name = f"with {stored:,} finished jobs and a trial of {tried:,}"
    largest = max(found.size for found in pages.values())
    return [
        *_slowest("page", name, pages),
        row(f"largest page {name}", largest, unit="bytes", target=MOST_BYTES),
        *_slowest("answer of the API", name, answers),
        *streams,
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One path that was asked for several times."""

    worked: Sequence[float]  # seconds of processor of the server, a request
    waited: Sequence[float]  # seconds that the client waited
    size: int  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Web:
    """A web process, with the server of its store."""

    address: str
    process: psutil.Process
    store: psutil.Process

    def asked(self, path: str, times: int) -> Asked:
        """Ask so often, after a first time that is not counted."""
        parts = urlsplit(self.address)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        worked, waited, size = [], [], 0
        for _ in range(times + 1):
            started, before = time.perf_counter(), self._worked()
            connection.request("GET", path, headers={"Accept": "text/html"})
            answer = connection.getresponse()
            size = len(answer.read())
            worked.append(self._worked() - before)
            waited.append(time.perf_counter() - started)
            assert answer.status == 200, f"{path}: {answer.status}"
        connection.close()
        return Asked(worked=worked[1:], waited=waited[1:], size=size)

    def _worked(self) -> float:
        """Seconds of processor so far, of all threads of both, as Linux counts them."""
        found = 0
        for each in (self.process.pid, self.store.pid):
            for file in Path(f"/proc/{each}/task").iterdir():
                with suppress(FileNotFoundError):  # a thread that has ended
                    found += int((file / "schedstat").read_text().split()[0])
        return found / 1e9


def _pages(job: str) -> list[str]:
    return [
        "/", "/trials", f"/trials/{TEMPLATE}", "/jobs", "/jobs?state=failed", f"/jobs/{job}", "/issues",
        "/templates", f"/templates/{TEMPLATE}", f"/versions/{TEMPLATE}@v2", f"/versions/{TEMPLATE}@v2/diff",
        "/accounts", "/events", "/audit", "/workers", "/mail", "/settings", "/health", "/search?q=total",
    ]  # fmt: skip


def _answers(job: str) -> list[str]:
    things = [
        "status", "templates", f"templates/{TEMPLATE}", f"versions/{TEMPLATE}@v2", "trials",
        f"trials/{TEMPLATE}", "jobs", "jobs?state=failed", f"jobs/{job}", f"jobs/{job}/log", "issues",
        "accounts", "events", "decisions", "workers", "gates", "mail", "search?q=total", "settings", "health",
    ]  # fmt: skip
    return [f"/api/v1/{each}" for each in things]


def _slowest(what: str, name: str, found: Mapping[str, Asked]) -> list[Row]:
    """The slowest path's p95, and what clients wait at the median of all."""
    p95 = {path: _percentile(each.worked, 0.95) * 1000 for path, each in found.items()}
    for path, value in sorted(p95.items(), key=lambda each: -each[1]):
        print(f"{value:8.1f} ms  {found[path].size / 1024:7.1f} KB  {path}")
    waited = [second for each in found.values() for second in each.waited]
    return [
        row(f"slowest {what} {name}: p95 of the server's time", max(p95.values()), unit="ms", target=MOST_MS),
        row(f"every {what} {name}: median of the wait", _percentile(waited, 0.5) * 1000, unit="ms"),
    ]


def _streams(web: Web) -> list[Row]:
    """What the process takes more for many open pages, and what a page takes beside them."""
    before = web.process.memory_info().rss
    with ExitStack() as stack:
        for number in range(STREAMS):
            stack.enter_context(_stream(web.address, client=f"127.0.0.{1 + number % 4}"))
        held = (web.process.memory_info().rss - before) / 2**20
        beside = _percentile(web.asked("/jobs", 10).worked, 0.95) * 1000
    name = f"{STREAMS} open event streams"
    return [
        row(f"{name}: memory of the web process above its own", held, unit="MB", target=MOST_MB),
        row(f"a page beside {name}: p95 of the server's time", beside, unit="ms", target=MOST_MS),
    ]


@contextmanager
def _stream(address: str, *, client: str) -> Iterator[None]:
    """An open stream that has had its first event, from an address of this machine."""
    parts = urlsplit(address)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=60, source_address=(client, 0)
    ) as connection:
        connection.sendall(f"GET /live HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        heard = b""
        while b"data:" not in heard:
            piece = connection.recv(4096)
            assert piece, heard
            heard += piece
        yield


def _fill(site: MeasuredFleet, *, stored: int, tried: int) -> str:
    """Finished jobs with signals and scores, the newest of them in an open trial; one of them."""
    parts = site.coalmine
    _finish(site, count=1)
    parts.harvester.harvest()
    copy_newest(site, first=0, last=stored - tried - 1, age_seconds=36_000.0)
    policy = TrialPolicy(alpha=1e-200, beta=1e-200, max_canary_jobs=1_000_000, share=0.5)
    canary = parts.templates.propose(TEMPLATE, Snapshot(command="true", prompt="better")).version
    parts.proposals.open(canary, policy, by="the benchmark")
    _finish(site, count=tried)
    parts.harvester.harvest()
    return parts.job_store.newest(1)[0]


def _finish(site: MeasuredFleet, *, count: int) -> None:
    """Take jobs to their end, but for messages; one of seven fails."""
    parts = site.coalmine
    requests = [
        JobRequest(template=TEMPLATE, task="The total is wrong. " * 20, title=f"Wrong total {number}",
                   repository=f"acme/shop-{number % 5}", difficulty="easy" if number % 3 else "hard")
        for number in range(count)
    ]  # fmt: skip
    for number, done in enumerate(parts.mailbox.enqueue_many(requests)):
        claim = parts.jobs.claim(done.job, worker="w1@bench", lease_seconds=60.0)
        assert isinstance(claim, Claim), claim
        kind = SignalKind.FINISHED if number % 7 else SignalKind.AGENT_ERRORED
        state = JobState.SUCCEEDED if number % 7 else JobState.FAILED
        result = JobResult(exit_code=0, ended_by=Ending.RESULT, cost_usd=0.5, duration_seconds=400.0)
        facts = [signal(kind, at=parts.now())]
        parts.jobs.end(claim, state, reason="done", result=result, signals=facts)


@contextmanager
def _web(site: MeasuredFleet) -> Iterator[Web]:
    """A console as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    program = str(Path(sys.executable).with_name("coalmine"))
    store = psutil.Process(int(site.coalmine.redis.info("server")["process_id"]))
    with subprocess.Popen(
        [program, "web", "--port", "0", "--json"], env=kept | {"COALMINE_REDIS_URL": site.url},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())["address"]
            yield Web(address=address, process=psutil.Process(process.pid), store=store)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
