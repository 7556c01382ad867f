"""Real servers for tests, free of pytest: a private server's options, and a client that hides nothing."""

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from routing.embedded.private_server import PrivateServer, ServerOptions

_numbers = itertools.count()


@contextmanager
def private_server(folder: Path, options: ServerOptions | None = None) -> Iterator[PrivateServer]:
    """A running server in its own new directory under `folder`."""
    with PrivateServer(folder / f"redis-{next(_numbers)}", options=options) as server:
        yield server


@contextmanager
def plain_client(url: str) -> Iterator[redis.Redis]:
    """A client of the driver's own, without our retries and translations."""
    with redis.Redis.from_url(url, decode_responses=True, protocol=2, retry=Retry(NoBackoff(), 0)) as client:
        yield client


def process_runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie that nobody has collected."""
    return _ask_ps(pid, "state")[:1] not in {"", "Z"}


def process_arguments(pid: int) -> str:
    """What every user of the machine may see of how the process was called."""
    return _ask_ps(pid, "args")


def _ask_ps(pid: int, column: str) -> str:
    """`ps`, or on Linux, where a small installation may lack it, what `ps` would read."""
    process = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            if column == "args":
                return (process / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    asked = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
