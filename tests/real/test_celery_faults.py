"""Faults of Celery and kombu that we go around, with their own code alone: a test fails when one is repaired.

What each is, and what of ours goes around it, stands in docs/operations.md, "Faults of Celery and kombu".
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from tests.servers.private_server import plain_client, private_server
from tests.waiting import run, until_ended, wait_until

#: A project of plain Celery: one task, which waits for a file.
PROJECT = """
import os, time
from celery import Celery

app = Celery("plain", broker=os.environ["PLAIN_BROKER"], broker_transport_options={"socket_timeout": 10})

@app.task(name="plain.wait")
def wait():
    while not os.path.exists("gate"):
        time.sleep(0.05)
"""


@contextmanager
def plain_worker(folder: Path, server: PrivateServer, pool: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of plain Celery with one place, in its own process group."""
    (folder / "plain.py").write_text(PROJECT, encoding="utf-8")
    environment = {**os.environ, "PLAIN_BROKER": server.url.replace("unix://", "redis+socket://")}
    arguments = ["-A", "plain", "worker", "-P", pool, "-c", "1", "--without-gossip", "--without-mingle"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", *arguments], cwd=folder, env=environment, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        (folder / "gate").touch()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        until_ended(process, timeout=10)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_lost_server_ends_a_plain_worker_that_holds_a_message(tmp_path: Path, pool: str) -> None:
    """Its consumer closes the connection twice, and kombu restores without a client the second time.

    Now and then a prefork worker stands still instead, with its messages: that repairs nothing.
    """
    with private_server(tmp_path) as server, plain_worker(tmp_path, server, pool) as worker:
        send = "import plain; [plain.wait.delay() for _ in range(3)]"
        environment = {**os.environ, "PLAIN_BROKER": server.url.replace("unix://", "redis+socket://")}
        run([sys.executable, "-c", send], cwd=tmp_path, env=environment)
        with plain_client(server.url) as client:
            wait_until(lambda: client.hlen("unacked") >= 2, description="it holds a message", timeout=60)
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.alive, description="the server is dead")
        server.stop()
        server.start()
        (tmp_path / "gate").touch()

        def is_done() -> bool:
            with plain_client(server.url) as client:
                return client.llen("celery") + client.hlen("unacked") == 0

        with suppress(AssertionError):  # it stands still
            wait_until(
                lambda: worker.poll() is not None or is_done(),
                description="the worker has ended, or done all its tasks",
                timeout=60,
            )
        said = (tmp_path / "log").read_text(errors="replace")
        assert worker.poll() is not None or not is_done(), (
            f"Celery {version('celery')} with kombu {version('kombu')} has repaired the worker that ended "
            f"with its server: HintQoS and `ack_emulation = False` in tasks/broker_connection.py can "
            f"go: {said}"
        )
        assert "object has no attribute" in said
