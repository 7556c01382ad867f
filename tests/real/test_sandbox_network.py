"""What listens in the network of a sandbox: it is made from outside, or the program never runs."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from console.doctor.sandbox import sandbox_probes
from routing.jobs.turn import HindranceKind
from routing.process.bounded_command import capture
from routing.process.command import Command
from routing.process.first_process import SandboxNetworkError
from routing.sandbox.bubblewrap_here import Bubblewrap, find_bubblewrap
from routing.sandbox.machine_files import system_mounts
from routing.sandbox.mount import Confinement, Mount, MountKind
from routing.sandbox.profile import NetworkMode
from routing.sandbox.sandbox import BubblewrapSandbox
from routing.sandbox.socket_maker import SocketMaker
from routing.store.redis.health import Status
from tasks.agents.faults import before_turn
from tasks.agents.proxy.hosts import HostRules
from tasks.agents.proxy.network_proxy import NetworkProxy
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tasks.settings.settings import AgentSettings, Settings
from tests.programs.descriptors import open_descriptors
from tests.real.sandbox_bench import SandboxBench
from tests.real.test_sandbox import served_folder
from tests.waiting import run, wait_until

ROOT = Path(__file__).parents[2]

#: The usual program of a `SocketMaker`, in the command line of its process.
ENTRANCE = "network_entrance.py"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A server of HTTP on this machine's loopback; its address."""
    with served_folder(tmp_path) as address:
        yield address


def processes_of(word: str, *, parent: int | None = None) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
        except OSError:
            continue
        if word.encode() in line and parent in {None, int(status.partition("PPid:\t")[2].split()[0])}:
            found.append(int(folder.name))
    return found


def descriptors_of(pid: int) -> int:
    """How many descriptors a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@dataclass(kw_only=True)
class Start:
    """Starts of a shell line in a sandbox with an allow-list."""

    tree: Path
    network: NetworkMode = NetworkMode.ALLOW_LIST
    bubblewrap: Bubblewrap = field(default_factory=find_bubblewrap)
    maker: SocketMaker = field(default_factory=SocketMaker)
    proxy: NetworkProxy = field(default_factory=NetworkProxy)

    def run(self, line: str) -> str:
        """What it prints."""
        made_gate = self.proxy.gate(HostRules(), secrets={}, say=lambda _: None)
        gate = made_gate if self.network is NetworkMode.ALLOW_LIST else None
        confined = Confinement(
            mounts=(*system_mounts(), Mount.same(MountKind.WRITE, self.tree)),
            network=self.network, home="/",
        )  # fmt: skip
        sandbox = BubblewrapSandbox(
            bubblewrap=self.bubblewrap, confined=confined, gate=gate, maker=self.maker
        )  # fmt: skip
        with (
            closing(made_gate),
            sandbox.command(["sh", "-c", line], {"PATH": os.defpath}, cwd=self.tree) as made,
        ):
            command = Command(
                argv=made.argv, cwd=self.tree, environment=made.environment, descriptors=made.descriptors,
                first_process=made.first_process,
            )  # fmt: skip
            return capture(command, timeout_seconds=60).output.decode()


def test_the_sockets_are_inside_and_nothing_of_ours(tmp_path: Path, served: str) -> None:
    """The program is the first that runs there; it reaches a named host by them, and nothing without."""
    fetch = (
        "import sys, urllib.request as r; "
        "print(r.build_opener(*[r.ProxyHandler({})][:int(sys.argv[2])]).open(sys.argv[1], timeout=9).status)"
    )
    line = f"""
        cat /proc/[0-9]*/comm | grep -c python
        cat /proc/net/tcp
        python3 -c '{fetch}' http://{served}/ 0
        python3 -c '{fetch}' http://127.0.0.2:1/ 0 2>&1 | tail -1
        python3 -c '{fetch}' http://{served}/ 1 2>&1 | tail -1
    """
    said = SandboxBench(folder=tmp_path).run(line, allow=[served]).output_tail.splitlines()
    assert said[0] == "0", said
    listening = [row.split()[1:4:2] for row in said[2:-3]]
    assert listening == [["0100007F:0C38", "0A"]], said
    reached, refused, direct = said[-3:]
    assert reached == "200"
    assert "403" in refused
    assert "Connection refused" in direct


def test_what_listens_is_made_before_there_is_an_address() -> None:
    """Bubblewrap gives it to the loopback meanwhile: neither waits for the other."""
    line = "from routing.sandbox.network_entrance import listening; print(listening(3128).getsockname()[1])"
    done = run(["unshare", "--user", "--net", sys.executable, "-c", line], cwd=ROOT)
    assert done.stdout == "3128\n", done.stderr


#: In place of bubblewrap, up to where it says its first process.
BEGIN = """#!/bin/sh
while [ "$1" != --info-fd ]; do shift; done
says=/proc/self/fd/$2
"""

#: What goes wrong with it, and a word of what is said then.
BROKEN_BUBBLEWRAPS = {
    "it ends": ("echo no room today >&2; exit 1", "no room today"),
    "it says nothing": ("sleep 300", "not made within 2 s"),
    "it says nonsense": ("echo '{\"child-pid\": none}' > $says; sleep 300", "not made within 2 s"),
    "what it names has ended": ('sleep 0 & wait; echo "{\\"child-pid\\": $!}" > $says; sleep 300', "No such"),
    "what it names is another process": ('echo "{\\"child-pid\\": $$}" > $says; sleep 300', "No such"),
    "its network is the machine's": (
        """unshare --pid --fork sleep 300 &
        until child=$(cat /proc/$!/task/$!/children) && [ "$child" ]; do :; done
        echo "{\\"child-pid\\": $child}" > $says; sleep 300""",
        "Invalid argument",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN_BUBBLEWRAPS)
def test_a_program_never_runs_whose_network_was_not_made(tmp_path: Path, what: str) -> None:
    """It is the machine's fault, in words; nothing is left of the start."""
    if "machine's" in what and os.geteuid() != 0:
        pytest.skip("only root makes a namespace of processes alone")
    broken, words = BROKEN_BUBBLEWRAPS[what]
    program = tmp_path / "broken-bwrap"
    program.write_text(BEGIN + broken)
    program.chmod(0o755)
    start = Start(tree=tmp_path, bubblewrap=Bubblewrap(program=str(program)))
    start.maker = SocketMaker(answer_seconds=2)
    refused(start, words)


#: Programs in place of what makes the sockets: each gets the number of the descriptor at which it is asked.
BROKEN_MAKERS = {
    "it does not start": ("sys.exit()", ""),
    "it is killed": (
        "asked.recv(99); os.kill(os.getpid(), 9)",
        "ended before there was one",
    ),
    "it does not answer": ("given = socket.recv_fds(asked, 99, 2); time.sleep(300)", "not made within 2 s"),
    "it may not enter": (
        "_, (_, answer), _, _ = socket.recv_fds(asked, 99, 2); os.write(answer, b'1'); time.sleep(300)",
        "could not be entered from outside: Operation not permitted",
    ),
    "it makes too little": (
        """_, (_, answer), _, _ = socket.recv_fds(asked, 99, 2)
socket.send_fds(socket.socket(fileno=answer), [b"!"], [answer])""",
        "ended before there was one",
    ),
}


def broken_maker(folder: Path, what: str) -> SocketMaker:
    """One that fails like this."""
    program = folder / f"{folder.name}-maker.py"
    head = "import os, socket, sys, time\nasked = socket.socket(fileno=int(sys.argv[1]))\n"
    program.write_text(head + BROKEN_MAKERS[what][0])
    return SocketMaker(program=str(program), answer_seconds=2)


@pytest.mark.parametrize("what", BROKEN_MAKERS)
def test_a_program_never_runs_without_what_makes_its_network(tmp_path: Path, what: str) -> None:
    """The same, when our own part fails."""
    refused(Start(tree=tmp_path, maker=broken_maker(tmp_path, what)), BROKEN_MAKERS[what][1])


class _Unanswering(SocketMaker):
    """Can ask nobody."""

    def ask(self, ports: Sequence[int], said: int) -> socket.socket:
        del ports, said
        message = "nobody is there"
        raise SandboxNetworkError(message)


def test_a_start_that_asks_nobody_leaves_nothing_open(tmp_path: Path) -> None:
    """Neither its pipes nor its filter of system calls."""
    refused(Start(tree=tmp_path, maker=_Unanswering()), "nobody is there")


def refused(start: Start, words: str) -> None:
    """See that a program is not run, for this reason, and that nothing is left; attempts are not charged."""
    before = open_descriptors()
    with pytest.raises(SandboxNetworkError) as found:
        start.run("touch ran")
    start.maker.close()
    assert words in str(found.value)
    assert not (start.tree / "ran").exists()
    assert processes_of(str(start.tree)) == []
    assert open_descriptors() == before
    meant = before_turn(found.value)
    assert meant is not None
    assert (meant.fault, meant.hindrance) in {(None, HindranceKind.MACHINE), (None, HindranceKind.UNABLE)}


def test_what_was_killed_is_started_again(tmp_path: Path) -> None:
    """The next sandbox has its network, and the one that runs meanwhile keeps its own."""
    start = Start(tree=tmp_path)
    kill = "touch ready; until test -e over; do sleep 0.05; done; cat /proc/net/tcp"
    said: list[str] = []
    running = threading.Thread(target=lambda: said.append(start.run(kill)))
    running.start()
    wait_until((tmp_path / "ready").exists, description="a program runs", timeout=30)
    (maker,) = processes_of(ENTRANCE, parent=os.getpid())
    os.kill(maker, signal.SIGKILL)
    wait_until(lambda: maker not in processes_of(ENTRANCE), description="it has ended")
    assert "0100007F:0C38" in start.run("cat /proc/net/tcp")
    (tmp_path / "over").touch()
    running.join()
    assert "0100007F:0C38" in said[0]
    start.maker.close()


def test_a_fork_of_a_worker_has_its_own(tmp_path: Path) -> None:
    """Else the end of one of the two would end what runs in the other's sandboxes, or would not."""
    start = Start(tree=tmp_path)
    start.run("true")
    child = os.fork()
    if not child:
        try:
            start.proxy = NetworkProxy()  # its thread is not in the fork
            said = start.run("echo ran")
            os._exit(0 if said == "ran\n" and processes_of(ENTRANCE, parent=os.getpid()) else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert start.run("echo ran") == "ran\n"
    start.maker.close()


def test_doctor_says_where_no_network_can_be_made(tmp_path: Path) -> None:
    """In plain words, with what to do; where it can, the probes say what held."""
    settings, here = Settings(agent=AgentSettings()), find_bubblewrap()
    (found,) = sandbox_probes(
        here, settings, AgentSandboxes(maker=broken_maker(tmp_path, "it may not enter"))
    )
    assert (found.status, found.check) == (Status.PROBLEM, "sandbox-network")
    assert "no agent with an allow-list of hosts starts here" in found.message
    assert "Operation not permitted" in found.message
    assert "let this user enter" in (found.remedy or "")
    (held,) = sandbox_probes(here, settings)
    assert held.check == "sandbox-probes"


def test_nothing_is_left_of_turns(tmp_path: Path) -> None:
    """No process, no descriptor here or in what makes sockets; the program has its three streams alone."""
    start = Start(tree=tmp_path)
    shown = "for one in /proc/$$/fd/*; do test -e $one && echo ${one##*/}; done; true"
    assert start.run(shown).split() == ["0", "1", "2"]
    (maker,) = processes_of(ENTRANCE, parent=os.getpid())
    held, ours = descriptors_of(maker), open_descriptors()
    for _ in range(5):
        start.run("true")
    wait_until(lambda: descriptors_of(maker) <= held, description="it holds no more than before")
    assert open_descriptors() == ours
    assert processes_of(str(tmp_path)) == []
    assert processes_of(ENTRANCE, parent=maker) == []
    start.maker.close()
    assert processes_of(ENTRANCE, parent=os.getpid()) == []


class _Stuck(NetworkProxy):
    """Never answers, so that its worker stays where the first process still waits."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self._mark = mark

    def gate(self, *_: object, **__: object) -> "_Stuck":  # type: ignore[override]
        return self

    @property
    def ports(self) -> list[int]:
        return [3128]

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        self._mark.touch()
        del sockets
        threading.Event().wait(300)

    def close(self) -> None:
        """Nothing is open."""


class _Unasked(SocketMaker):
    """Loses the answer, so that its worker stays where bubblewrap has just begun."""

    def ask(self, ports: Sequence[int], said: int) -> socket.socket:
        self.lost = super().ask(ports, said)
        ours, self.never = socket.socketpair()
        return ours


@pytest.mark.parametrize(
    ("stage", "network"),
    [
        *(("bubblewrap has begun", network) for network in NetworkMode),
        ("the program waits", NetworkMode.ALLOW_LIST),
        *(("the program runs", network) for network in NetworkMode),
    ],
)
def test_a_killed_worker_leaves_nothing(tmp_path: Path, stage: str, network: NetworkMode) -> None:
    """Wherever it was: neither the program, nor bubblewrap, nor what makes sockets."""
    worker = os.fork()
    if not worker:
        try:
            start = Start(tree=tmp_path, network=network)
            if stage == "the program waits":
                start.proxy = _Stuck(tmp_path / "there")
            if stage == "bubblewrap has begun":
                start.maker = _Unasked(answer_seconds=300)
            start.run("touch there ran; exec sleep 300")
        finally:
            os._exit(1)
    if stage == "bubblewrap has begun":
        wait_until(
            lambda: len(processes_of(str(tmp_path))) > 1, description="it has made a process", timeout=30
        )
    else:
        wait_until((tmp_path / "there").exists, description=stage, timeout=30)
    (maker,) = processes_of(ENTRANCE, parent=worker)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    wait_until(lambda: not processes_of(str(tmp_path)), description="the sandbox has ended", timeout=5)
    wait_until(
        lambda: maker not in processes_of(ENTRANCE), description="what makes sockets has ended", timeout=5
    )
    assert (tmp_path / "ran").exists() is (stage == "the program runs")
