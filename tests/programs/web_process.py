"""`coalmine web` as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.fakes.deliveries import SECTION, WEBHOOK_KINDS, SentDelivery
from tests.waiting import communicated, slowdown

COALMINE = str(Path(sys.executable).with_name("coalmine"))

#: Longest that a test waits for one answer of the console, in seconds of an idle machine.
ANSWER_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """A running console."""

    address: str
    process: subprocess.Popen[str]
    client: httpx.Client

    def post(self, request: SentDelivery) -> httpx.Response:
        """Send a delivery."""
        return self.client.post(f"/webhook/{request.kind}", content=request.body, headers=request.headers)

    def connect(self) -> socket.socket:
        """A bare connection, for what no client would send."""
        parts = urlsplit(self.address)
        place = (parts.hostname or "", parts.port or 0)
        return socket.create_connection(place, timeout=ANSWER_SECONDS * slowdown())

    def stop(self) -> tuple[int, str]:
        """Ask it to end; its exit code and what it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, said = communicated(self.process)
        return self.process.returncode, said


def door_variables(**changes: str) -> dict[str, str]:
    """Variables that open the doors of all kinds, with the settings of `tests.fakes.deliveries`."""
    values = {
        "WEBHOOK_SECRET": str(SECTION["webhook_secret"]),
        "REPOSITORIES": ",".join(SECTION["repositories"]),
        "LOGIN": str(SECTION["login"]),
        "KILL_SWITCH": "off",
        "LABEL": "",
    } | changes
    return {
        f"COALMINE_FORGE__{kind.upper()}__{name}": value
        for kind in WEBHOOK_KINDS
        for name, value in values.items()
    }


@contextmanager
def console(
    redis_url: str, *options: str, variables: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[Console]:
    """A console on a free port of this machine, which ends with the block; `before` stands before `web`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    given = {
        **kept,
        "COALMINE_REDIS_URL": redis_url,
        **(door_variables() if variables is None else variables),
    }
    with subprocess.Popen(
        [COALMINE, *before, "web", "--port", "0", "--json", *options], env=given, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, communicated(process)[1]
            address = json.loads(line)["address"]
            with httpx.Client(
                base_url=address, timeout=ANSWER_SECONDS * slowdown(), trust_env=False
            ) as client:
                yield Console(address=address, process=process, client=client)
        finally:
            process.kill()
