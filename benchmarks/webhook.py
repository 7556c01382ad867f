"""How soon a delivery is answered, at the rate of a busy organisation, by the real process."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.fleet import measured_fleet
from benchmarks.results import Row, row
from routing.forges.github.kind import GITHUB

NAME = "webhook"

RATE = 200  # deliveries a second
SECRET = "of-the-benchmark"  # noqa: S105 - it opens nothing
PATH = "/webhook/github"

assert GITHUB.webhook is not None
_SIGNATURE = GITHUB.webhook

_local = threading.local()


def rows(*, quick: bool) -> list[Row]:
    """The 99th percentile from the moment a delivery was due, so that a door that lags cannot hide it."""
    with measured_fleet() as site, _door(site.url) as address:
        _replay(address, count=RATE, first=0)  # connections, scripts
        waits = _replay(address, count=RATE * (1 if quick else 5), first=RATE)
    return [
        row(f"webhook: accepted, p99 at {RATE}/s", _percentile(waits, 0.99) * 1000, unit="ms", target=50.0),
        row(f"webhook: accepted, p50 at {RATE}/s", _percentile(waits, 0.5) * 1000, unit="ms"),
    ]


@contextmanager
def _door(redis_url: str) -> Iterator[str]:
    """A console of its own process; its address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    given = {
        "COALMINE_REDIS_URL": redis_url,
        "COALMINE_FORGE__GITHUB__WEBHOOK_SECRET": SECRET,
        "COALMINE_FORGE__GITHUB__KILL_SWITCH": "off",
        "COALMINE_FORGE__GITHUB__LABEL": "",
        "COALMINE_FORGE__GITHUB__REPOSITORIES": "acme/shop",
    }
    program = str(Path(sys.executable).with_name("coalmine"))
    with subprocess.Popen(
        [program, "web", "--port", "0", "--json"], env=kept | given,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait(timeout=20)


def _replay(address: str, *, count: int, first: int) -> Sequence[float]:
    """Seconds that each delivery took, sent at its due time by one of some senders."""
    bodies = [_body(number) for number in range(first, first + count)]
    started = time.perf_counter() + 0.1
    with ThreadPoolExecutor(max_workers=16) as senders:
        sent = [
            senders.submit(_send, address, body, number, started + place / RATE)
            for place, (number, body) in enumerate(zip(range(first, first + count), bodies, strict=True))
        ]
        return [each.result() for each in sent]


def _send(address: str, body: bytes, number: int, due: float) -> float:
    threading.Event().wait(max(0.0, due - time.perf_counter()))
    connection = getattr(_local, "connection", None)
    if connection is None:
        parts = urlsplit(address)
        connection = _local.connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    headers = {
        "X-Hub-Signature-256": _SIGNATURE.sign(SECRET, body),
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": str(number),
        "Content-Type": "application/json",
    }
    connection.request("POST", PATH, body, headers)
    answer = json.loads(connection.getresponse().read())
    assert answer["status"] == "success", answer
    return time.perf_counter() - due


def _body(number: int) -> bytes:
    """As long as GitHub's are, about 12 KB."""
    return json.dumps({
        "action": "assigned",
        "issue": {"number": number + 1, "labels": [{"name": "agent"}], "body": "It fails. " * 1200},
        "repository": {"full_name": "acme/shop"},
        "sender": {"login": "ada"},
    }).encode()  # fmt: skip


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
