"""The probes of `coalmine doctor`: all held in a real sandbox, and each reaches its aim without one."""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from routing.sandbox.sandbox import SandboxCommand
from tasks.agents.proxy.hosts import HostRules
from tasks.agents.proxy.network_proxy import NetworkGate, NetworkProxy
from tasks.agents.sandbox.probes import probe
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, SandboxTurn


class _Open:
    """A sandbox that confines nothing."""

    def command(self, argv: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> SandboxCommand:
        del cwd
        return SandboxCommand(argv=list(argv), environment=dict(environment))

    def close(self) -> None:
        """Nothing is open."""


class _OpenSandboxes(AgentSandboxes):
    def sandbox(self, turn: SandboxTurn) -> _Open:  # type: ignore[override]
        del turn
        return _Open()


class _EveryHost(HostRules):
    """Refuses nothing."""

    def match(self, host: str, port: int) -> str:
        return f"{host}:{port}"


class _LeakySandboxes(AgentSandboxes):
    """Sandboxes of bubblewrap, with a proxy that refuses nothing."""

    def _gate(self, turn: SandboxTurn) -> NetworkGate:
        del turn
        return NetworkProxy().gate(_EveryHost(), secrets={}, say=lambda _: None)


def test_all_of_them_hold_in_a_sandbox() -> None:
    """The store listens, and is out of reach."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        done = probe(AgentSandboxes(), store=store.getsockname(), environment=os.environ)
    assert (done.fault, list(done.reached)) == ("", [])
    assert len(done.held) == 9


def test_they_reach_their_aims_without_one() -> None:
    """Else they would prove nothing. A kernel may keep a worker's memory from its children, except root's."""
    kept = [] if os.geteuid() == 0 else ["the memory of the worker"]
    with socket.create_server(("127.0.0.1", 0)) as store:
        done = probe(_OpenSandboxes(), store=store.getsockname(), environment=os.environ)
    assert done.fault == ""
    assert set(done.held) <= set(kept)


def test_a_proxy_that_lets_every_host_through_is_found() -> None:
    """All else holds: the host is reached through the proxy, not directly."""
    with socket.create_server(("127.0.0.1", 0)) as store:
        done = probe(_LeakySandboxes(), store=store.getsockname(), environment=os.environ)
    assert (done.fault, list(done.reached)) == ("", ["a host that is not named"])
