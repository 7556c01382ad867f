"""A real cluster for tests: three masters on this machine, which share the slots, without replicas."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from routing.embedded.server_program import find_server_program, server_environment
from tests.waiting import wait_until

#: Slots of a cluster.
SLOTS = 16_384

#: Masters.
NODES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateCluster:
    """Its nodes, in the order of their slots."""

    ports: list[int]

    def url_of(self, tag: str) -> str:
        """The address of the node that has the keys with this hash tag."""
        return self.urls[self._place(tag)]

    def other_url(self, tag: str) -> str:
        """The address of a node that has none of them."""
        return self.urls[self._place(tag) - 1]

    @property
    def urls(self) -> list[str]:
        """The addresses of all nodes."""
        return [f"redis://127.0.0.1:{port}/0" for port in self.ports]

    def _place(self, tag: str) -> int:
        slot: int = key_slot(f"{{{tag}}}".encode())
        return slot * NODES // SLOTS


@contextmanager
def private_cluster(folder: Path) -> Iterator[PrivateCluster]:
    """Three nodes that know each other and serve all slots; they end with the block."""
    with ExitStack() as stack:
        places = [stack.enter_context(_node(folder / f"node-{n}")) for n in range(NODES)]
        cluster = PrivateCluster(ports=[port for port, _ in places])
        nodes: list[Any] = [
            stack.enter_context(redis.Redis(port=port, decode_responses=True)) for port in cluster.ports
        ]
        for place, node in enumerate(nodes):
            wait_until(partial(_answers, node), description="a node answers")
            first, last = -(-place * SLOTS // NODES), -(-(place + 1) * SLOTS // NODES) - 1
            node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for port, bus in places[1:]:
            nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        wait_until(
            lambda: all(node.cluster("INFO")["cluster_state"] == "ok" for node in nodes),
            description="all nodes serve all slots", timeout=40,
        )  # fmt: skip
        yield cluster


def _answers(node: Any) -> bool:
    try:
        return bool(node.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def _node(folder: Path) -> Iterator[tuple[int, int]]:
    """One server in cluster mode: its port, and the one at which nodes speak to each other."""
    folder.mkdir(parents=True)
    port, bus = _free_port(), _free_port()
    options = {
        "port": port, "cluster-port": bus, "bind": "127.0.0.1", "dir": str(folder), "cluster-enabled": "yes",
        "appendonly": "yes", "save": "", "cluster-node-timeout": 5000, "maxmemory-policy": "noeviction",
    }  # fmt: skip
    argv = [str(find_server_program().path)]
    for name, value in options.items():
        argv += [f"--{name}", str(value)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=folder, env=server_environment(), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield port, bus
    finally:
        process.terminate()
        process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
