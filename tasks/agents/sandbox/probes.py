"""Attacks on this machine from inside a sandbox, to prove what holds here: `coalmine doctor` runs them.

Each looks for something that this process has put there for it, or that the fleet has. All of them run in one
sandbox as a turn's agent would, with the usual profile. Nothing is changed, and no byte is read of anything
that is not ours.
"""

import ctypes
import json
import os
import platform
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from routing.process.bounded_command import capture
from routing.process.child import ChildProcess
from routing.process.command import Command
from routing.sandbox.profile import SandboxKind
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, SandboxTurn

#: Seconds that all attacks together may take.
PROBE_SECONDS = 30.0

#: The number of the call `keyctl`, by the machine's kind.
_KEYCTL = {"x86_64": 250, "aarch64": 219}

# Runs inside. Prints one line of JSON: each attack, and whether it reached its aim.
_ATTACKS = """\
import glob, json, os, socket, sys, urllib.parse
aims = json.loads(sys.argv[1])
def tried(attack):
    try:
        return bool(attack())
    except Exception:
        return False
def connected(address):
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind) as one:
        one.settimeout(3)
        one.connect(address if kind == socket.AF_UNIX else tuple(address))
    return True
def asked():
    place = "%s:%d" % tuple(aims["unnamed"])
    way = urllib.parse.urlsplit(os.environ.get("HTTP_PROXY", "http://" + place))  # without a proxy, directly
    with socket.create_connection((way.hostname, way.port), 3) as one:
        one.sendall(("GET http://%s/ HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (place, place)).encode())
        one.recv(1)  # by then the proxy has refused, or has connected to the host, which never answers
    return False
def spied():
    mine = aims["nonce"].encode()
    for file in glob.glob("/proc/[0-9]*/environ"):
        if "/%d/" % os.getpid() not in file and tried(lambda: mine in open(file, "rb").read()):
            return True
    return False
def peeked():
    with open("/proc/%d/mem" % aims["worker"], "rb", 0) as memory:
        memory.seek(aims["at"])
        return memory.read(len(aims["nonce"])) == aims["nonce"].encode()
def held_keys():
    import ctypes
    return ctypes.CDLL(None).syscall(aims["keyctl"], 0, -3, 0) > 0  # the keyring of the worker's session
def left():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            os.execve("/bin/sh", ["sh", "-c", "sleep 60; : " + aims["left"]], {})
        os._exit(0)
    return False
reached = {
    "the store": tried(lambda: connected(aims["store"])),
    "another work tree": tried(lambda: open(aims["tree"]).read()),
    "a secret in the home": tried(lambda: open(aims["secret"]).read()),
    "the environment of other processes": tried(spied),
    "the memory of the worker": tried(peeked),
    "this machine's network": tried(lambda: connected(aims["listening"])),
    "a host that is not named": tried(asked),
    "a process that stays": tried(left),
}
if aims["keyctl"]:
    reached["the keys of this session"] = tried(held_keys)
print(json.dumps(reached))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What the attacks reached."""

    held: Sequence[str]  # what was out of reach
    reached: Sequence[str]
    fault: str = ""  # why they could not be run


def probe(
    sandboxes: AgentSandboxes, *, store: str | tuple[str, int], environment: Mapping[str, str],
    filters_calls: bool = True,
) -> Probed:  # fmt: skip
    """Run all attacks. `store` is the path of the server's socket, or its host and port.

    `filters_calls`: whether system calls are filtered here; else that is said elsewhere, and not attacked.
    """
    nonce, mark = secrets.token_hex(16), secrets.token_hex(16)
    with ExitStack() as held:
        base = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="coalmine-probe-"))).resolve()
        tree, home = base / "work" / "tree", base / "home"
        for folder in (tree, home, base / "work" / "other"):
            folder.mkdir(parents=True)
        (base / "work" / "other" / "file").write_text(nonce)
        (home / "key").write_text(nonce)
        listening = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        # Of this machine, so that it is certain to be there: the proxy has the network of the worker.
        unnamed = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        memory = ctypes.create_string_buffer(nonce.encode())  # of this process, which stands for a worker
        bystander = Command(argv=["sleep", "60"], environment={"SECRET": nonce, "PATH": os.defpath})
        held.callback(ChildProcess.start(bystander).discard)
        aims = {
            "nonce": nonce, "left": mark, "store": store, "secret": str(home / "key"),
            "unnamed": unnamed.getsockname(), "worker": os.getpid(), "at": ctypes.addressof(memory),
            "tree": str(base / "work" / "other" / "file"), "listening": listening.getsockname(),
            "keyctl": _KEYCTL.get(platform.machine(), 0) if filters_calls else 0,
        }  # fmt: skip
        given = {"PATH": environment.get("PATH", os.defpath), "HOME": str(home)}
        said = _run(sandboxes, base / "work", tree, given, json.dumps(aims))
        if isinstance(said, str):
            return Probed(held=(), reached=(), fault=said)
        said["a host that is not named"] = _was_asked(unnamed)
    said["a process that stays"] = _is_left(mark)
    reached = [what for what, was in said.items() if was]
    return Probed(held=[what for what in said if what not in reached], reached=reached)


def _run(
    sandboxes: AgentSandboxes, work_dir: Path, tree: Path, environment: Mapping[str, str], aims: str
) -> dict[str, bool] | str:
    """What the attacks printed, or why they printed nothing."""
    spec = RuntimeSpec(command="true", sandbox=SandboxKind.BUBBLEWRAP)
    turn = SandboxTurn(
        work_dir=work_dir, job_id="0" * 16, fence=1, agent="", spec=spec, prompt_file=tree / "prompt.md",
        tree=tree, borrowed=(), environment=environment, worker={},
    )  # fmt: skip
    (tree / "prompt.md").touch()
    sandbox = sandboxes.sandbox(turn)
    if sandbox is None:
        return "there is no sandbox here"
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", _ATTACKS, aims]
    try:
        with sandbox.command(python, environment, cwd=tree) as made:
            done = capture(
                Command(
                    argv=made.argv, cwd=tree, environment=made.environment, descriptors=made.descriptors,
                    first_process=made.first_process,
                ),
                timeout_seconds=PROBE_SECONDS,
            )  # fmt: skip
    finally:
        sandbox.close()
    with suppress(ValueError):
        found = json.loads(done.output)
        return {str(what): bool(was) for what, was in found.items()}
    words = " ".join(done.error.decode(errors="replace").split())
    return f"the attacks could not be run: {words[-300:] or done.ended}"


def _is_left(mark: str) -> bool:
    """Whether a process with this mark on its command line still runs."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark.encode() in file.read_bytes():
                return True
    return False


def _was_asked(listening: socket.socket) -> bool:
    """Whether somebody has connected to a server that answers nobody."""
    listening.setblocking(False)
    with suppress(BlockingIOError):
        connection, _ = listening.accept()
        connection.close()
        return True
    return False
