"""A process that leaves no trace of whose it is: another session, no environment, and no parent."""

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.private_server import process_runs
from tests.waiting import wait_until


def escape_line(file: Path, *, prefix: str = "") -> str:
    """A shell line that starts one, which writes its pid into a file, and waits until it has."""
    name = shlex.quote(str(file))
    inner = shlex.quote(f"{prefix}echo $$ > {name}.new; mv {name}.new {name}; exec sleep 300")
    return f"(setsid env -i PATH=/usr/bin:/bin sh -c {inner} &); while [ ! -s {name} ]; do sleep 0.02; done"


@contextmanager
def escaping(file: Path) -> Iterator[None]:
    """End what has escaped, when the test is over."""
    try:
        yield
    finally:
        if file.exists() and process_runs(pid := int(file.read_text())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def until_escaped(file: Path) -> int:
    """Wait until it runs; returns its pid."""
    wait_until(file.exists, description="a process has escaped")
    return int(file.read_text())
