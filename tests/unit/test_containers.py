"""Containers as sandboxes: the engine's command line, whether one works here, and the link they live by."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from queue import Queue

import pytest
from pydantic import ValidationError

from routing.forges.local.config import LocalConfig
from routing.process.command import SpawnError
from routing.sandbox.containers.container_argv import LINK_AT, Container, container_argv, inherited
from routing.sandbox.containers.container_sandbox import ContainerSandbox
from routing.sandbox.containers.engine import ContainerEngine, find_engine
from routing.sandbox.containers.first_process import first_process
from routing.sandbox.containers.link import ContainerLink
from routing.sandbox.mount import Confinement, LimitBroken, Mount, MountKind, ProcessLimits
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
from tasks.agents.runtimes.runtime import RuntimeRefusedError, RuntimeSpec
from tasks.agents.sandbox.choice import SandboxMissingError, choose
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tests.waiting import wait_until

WORKS = ContainerEngine(program="/usr/bin/podman")
IN_CONTAINER = RuntimeSpec(sandbox=SandboxKind.CONTAINER, profile=SandboxProfile(image="agents:1"))


def line(
    *mounts: Mount, network: NetworkMode = NetworkMode.NONE, limits: ProcessLimits | None = None,
    environment: dict[str, str] | None = None, keeps_user: bool = False,
) -> list[str]:  # fmt: skip
    """The command line that runs `first agent --now` in /tree."""
    confined = Confinement(mounts=mounts, network=network, home="/home/a", limits=limits or ProcessLimits())
    container = Container(image="agents:1", name="c-0", user=1000, group=1001, keeps_user=keeps_user)
    return container_argv(
        "/usr/bin/docker", container, confined, ["first", "agent", "--now"], cwd="/tree",
        environment=environment or {}, link="/run/l/s",
    )  # fmt: skip


def test_a_container_has_no_rights_and_a_root_that_is_read_only() -> None:
    """The worker's own numbers of user and group, whose files the mounts are; no image is fetched."""
    said = line()
    assert said[:2] == ["/usr/bin/docker", "run"]
    for pair in (
        ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", "1000:1001"),
        ("--pull", "never"), ("--ipc", "private"), ("--log-driver", "none"), ("--workdir", "/tree"),
    ):  # fmt: skip
        assert pair in pairwise(said)
    assert {"--read-only", "--rm", "--interactive", "--init=false"} <= set(said)
    assert said[-5:] == ["--entrypoint", "first", "agents:1", "agent", "--now"]


def test_podman_is_asked_to_keep_the_user() -> None:
    """It runs as a user, who is root in its containers unless it is said."""
    assert "--userns=keep-id" in line(keeps_user=True)
    assert "--userns=keep-id" not in line()
    assert WORKS.keeps_user
    assert not ContainerEngine(program="/usr/bin/docker").keeps_user


@pytest.mark.parametrize(
    ("network", "said"),
    [(NetworkMode.NONE, "none"), (NetworkMode.ALLOW_LIST, "none"), (NetworkMode.FULL, "host")],
)
def test_only_the_full_network_is_the_machines(network: NetworkMode, said: str) -> None:
    """With an allow-list there is none but the worker's proxy."""
    assert ("--network", said) in pairwise(line(network=network))


def test_no_value_of_a_variable_is_an_argument() -> None:
    """Arguments can be read by every process of the user; only what the engine reads itself is said there."""
    given = {"KEY": "s3cr3t", "HOME": "/home/a", "PATH": "/opt/bin"}
    said = line(environment=given)
    assert ("--env", "KEY") in pairwise(said)
    assert ("--env", "HOME=/home/a") in pairwise(said)
    assert "s3cr3t" not in " ".join(said)
    assert inherited(given) == {"KEY": "s3cr3t"}


def test_limits_are_the_engines() -> None:
    """Memory without swap; one process more, which is the first."""
    limits = ProcessLimits(memory_bytes=1024, processes=40, file_bytes=7)
    said = line(limits=limits)
    for pair in (
        ("--memory", "1024"), ("--memory-swap", "1024"), ("--pids-limit", "41"), ("--ulimit", "fsize=7:7"),
    ):  # fmt: skip
        assert pair in pairwise(said)
    assert not {"--memory", "--pids-limit", "--ulimit"} & set(line())


def test_mounts_are_rows_of_values() -> None:
    """In the order of their places, each place once, the later one counts; commas and quotes are kept."""
    said = line(
        Mount(kind=MountKind.READ, at="/home/a/tools", source='/srv/a,"b"'),
        Mount(kind=MountKind.READ, at="/home/a", source="/other"),
        Mount(kind=MountKind.WRITE, at="/home/a", source="/own/home"),
        Mount(kind=MountKind.EMPTY, at="/empty"),
    )
    rows = [value for option, value in pairwise(said) if option == "--mount"]
    assert rows == [
        "type=tmpfs,destination=/empty,tmpfs-size=67108864",
        "type=bind,source=/own/home,destination=/home/a",
        f"type=bind,source=/run/l/s,destination={LINK_AT}",
        'type=bind,"source=/srv/a,""b""",destination=/home/a/tools,readonly',
    ]


@pytest.mark.parametrize("required", list(SandboxKind))
def test_a_container_is_at_least_what_is_required(required: SandboxKind) -> None:
    """It is the strongest kind; bubblewrap is less."""
    choice = choose(IN_CONTAINER, required=required, bubblewrap=AgentSandboxes().bubblewrap, engine=WORKS)
    assert choice.kind is SandboxKind.CONTAINER
    assert choice.note == "sandbox: container of agents:1, network: allow-list"


def test_without_an_engine_or_an_image_nothing_runs() -> None:
    """Another machine may have an engine; a version without an image has nothing to run in anywhere."""
    fails = ContainerEngine(why_not="docker runs no containers here: no daemon", remedy="start the engine")
    bubblewrap = AgentSandboxes().bubblewrap
    with pytest.raises(SandboxMissingError, match="no daemon; nothing was started: start the engine"):
        choose(IN_CONTAINER, required=SandboxKind.NONE, bubblewrap=bubblewrap, engine=fails)
    with pytest.raises(RuntimeRefusedError, match="names no image"):
        choose(
            RuntimeSpec(sandbox=SandboxKind.CONTAINER), required=SandboxKind.NONE, bubblewrap=bubblewrap,
            engine=WORKS,
        )  # fmt: skip
    with pytest.raises(RuntimeRefusedError, match="require_sandbox is container"):
        choose(
            RuntimeSpec(sandbox=SandboxKind.BUBBLEWRAP), required=SandboxKind.CONTAINER, bubblewrap=bubblewrap
        )


def engine_that(folder: Path, line: str, name: str = "docker") -> Path:
    """An engine that is a shell line."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o700)
    return program


def test_ci_in_a_container_is_refused(tmp_path: Path) -> None:
    """It would run in less than was asked for."""
    with pytest.raises(ValidationError, match="CI runs in no container"):
        LocalConfig(
            repository=tmp_path, issues=tmp_path / "issues", ci="true", ci_sandbox=SandboxKind.CONTAINER
        )


def test_an_engine_is_looked_for_and_asked(tmp_path: Path) -> None:
    """The first that runs containers; why not, in its own words, and what to do."""
    assert "podman and docker are not installed" in find_engine(search_path=str(tmp_path)).why_not
    assert "nerdctl is not installed" in find_engine("nerdctl", search_path=str(tmp_path)).why_not
    engine_that(tmp_path, "echo no daemon >&2; exit 1")
    found = find_engine(search_path=f"{tmp_path}:/usr/bin:/bin", environment=os.environ)
    if "podman" not in found.program:  # this machine may have one that works
        assert "docker runs no containers here: no daemon" in found.why_not
        assert "docker ps" in found.remedy or "podman ps" in found.remedy
    program = engine_that(tmp_path, '[ "$*" = "ps --quiet" ]', name="nerdctl")
    assert find_engine(str(program)).program == str(program)
    assert find_engine(str(program)).works


def test_an_image_that_is_not_here_is_said_before_a_turn(tmp_path: Path) -> None:
    """With the command that fetches it; found once, it is not asked for again."""
    asked = tmp_path / "asked"
    engine = engine_that(
        tmp_path, f'[ "$1" = ps ] || echo "$*" >> {asked}; [ "$1" = ps ] || [ -e {tmp_path}/here ]'
    )
    sandboxes = AgentSandboxes(engine=str(engine))
    with pytest.raises(SandboxMissingError, match="docker pull agents:1"):
        sandboxes.announce(IN_CONTAINER, "0" * 16)
    (tmp_path / "here").touch()
    sandboxes.announce(IN_CONTAINER, "0" * 16)
    sandboxes.announce(IN_CONTAINER, "0" * 16)
    assert asked.read_text().splitlines() == ["image inspect --format {{.Id}} agents:1"] * 2


class _Gate:
    """The way out of a network, which keeps what it gets."""

    def __init__(self) -> None:
        self.got: Queue[Sequence[socket.socket]] = Queue()
        self.is_closed = False

    @property
    def ports(self) -> list[int]:
        return [3128]

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        self.got.put(sockets)

    def close(self) -> None:
        self.is_closed = True


@contextmanager
def container_at(link: ContainerLink) -> Iterator[socket.socket]:
    """A container's first process, as its worker sees it."""
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(link.path))
        yield made


def test_what_listens_in_a_container_reaches_the_gate() -> None:
    """It answers there; what is not a socket, or is sent where there is no gate, is closed."""
    gate = _Gate()
    link = ContainerLink(gate)
    with closing(gate), container_at(link) as first:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            with Path(os.devnull).open() as other:
                socket.send_fds(first, [b"!"], [other.fileno(), listening.fileno()])
            address = listening.getsockname()
        (there,) = gate.got.get(timeout=20)
        with there:
            assert there.getsockname() == address
    assert link.close()


def test_a_container_says_which_limit_it_broke() -> None:
    """At its end; what it says beyond that is nothing."""
    link = ContainerLink(None)
    with container_at(link) as first:
        first.send(b"!")
        first.send(b"noise processes ")
    assert link.broken_limit() is LimitBroken.PROCESSES
    assert link.close()


def test_a_container_that_never_began_is_not_waited_for() -> None:
    """Its engine had no such image, say; and one that begins too late finds nobody."""
    link = ContainerLink(None)
    assert link.broken_limit() is None
    assert link.close()
    assert not link.path.exists()
    with pytest.raises(OSError), container_at(link):  # noqa: PT011 - of several kinds
        pass


def test_the_end_of_a_link_ends_its_container(tmp_path: Path) -> None:
    """The container hears it; one that does not end is removed by its engine."""
    removed = tmp_path / "removed"
    engine = ContainerEngine(program=str(engine_that(tmp_path, f'echo "$*" >> {removed}')))
    sandbox = ContainerSandbox(
        engine=engine, image="agents:1", name="c", end_seconds=0.1,
        confined=Confinement(mounts=(), network=NetworkMode.NONE, home="/home/a"),
    )  # fmt: skip
    made = sandbox.command(["agent"], {"KEY": "v", "PATH": "/of/the/worker"}, cwd=Path("/tree"))
    assert (made.is_wrapper, made.environment["KEY"]) == (False, "v")
    assert "PATH=/of/the/worker" not in made.argv
    with container_at(sandbox.links[0]) as first:
        first.send(b"!")
        wait_until(lambda: sandbox.links[0].has_begun, description="it is connected")
        sandbox.close()
        assert first.recv(1) == b"", "it hears the end"
    assert removed.read_text() == "rm --force c-0\n"


def test_no_agent_tells_the_engine_what_to_do() -> None:
    """A variable of the engine's would have its command line speak to another one."""
    sandbox = ContainerSandbox(
        engine=WORKS, image="agents:1", name="c",
        confined=Confinement(mounts=(), network=NetworkMode.NONE, home="/home/a"),
    )  # fmt: skip
    with pytest.raises(SpawnError, match="DOCKER_HOST is for the container engine"):
        sandbox.command(["agent"], {"DOCKER_HOST": "tcp://there"}, cwd=Path("/tree"))
    assert not sandbox.links


def test_the_first_process_runs_nowhere_else() -> None:
    """It ends all processes that it sees: outside of a container those would be ours."""
    argv = first_process(["true"])
    done = subprocess.run([sys.executable, *argv[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not the first process of a container" in done.stderr
