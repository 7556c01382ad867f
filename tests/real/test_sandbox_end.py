"""The end of a sandbox: nothing that was inside goes on when it is reported."""

import fcntl
import os
import shlex
import sys
from pathlib import Path

import pytest

from routing.process.bounded_command import capture
from routing.process.child import ChildProcess
from routing.process.command import Command
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.machine_files import system_mounts
from routing.sandbox.mount import Confinement, Mount, MountKind
from routing.sandbox.profile import NetworkMode
from routing.sandbox.sandbox import BubblewrapSandbox, SandboxCommand
from tests.waiting import wait_until

#: Holds a lock, which the kernel opens when it has taken the memory back: that is some time after the kill.
HOLDER = """\
import fcntl, pathlib, time
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
memory = bytearray(b"x") * (200 << 20)
pathlib.Path("ready").touch()
time.sleep(300)
"""

#: As a sandbox has it: the folders of an environment of Python are not there.
PYTHON = os.path.realpath(sys.executable)

#: Starts it without a parent, in a session of its own, and without a variable that marks it.
DETACHED = f"setsid env -i {shlex.quote(PYTHON)} holder.py >said 2>&1 </dev/null &"


def confined(tree: Path, line: str) -> SandboxCommand:
    """Shell lines in a sandbox that can write this folder."""
    (tree / "holder.py").write_text(HOLDER)
    written = Mount.same(MountKind.WRITE, tree)
    mounts = (*system_mounts(), written)
    confinement = Confinement(mounts=mounts, network=NetworkMode.NONE, home="/", written=(tree,))
    sandbox = BubblewrapSandbox(bubblewrap=find_bubblewrap(), confined=confinement, programs=(PYTHON,))
    return sandbox.command(["sh", "-c", line], {"PATH": os.environ["PATH"]}, cwd=tree)


def command(made: SandboxCommand, tree: Path) -> Command:
    """How it is started, by those who look for no descendants."""
    return Command(
        argv=made.argv, cwd=tree, environment=made.environment, descriptors=made.descriptors,
        first_process=made.first_process,
    )  # fmt: skip


def is_free(lock: Path) -> bool:
    """Whether nobody holds a lock."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_program_that_exits_leaves_nothing(tmp_path: Path) -> None:
    """Its end is that of what it left, which bubblewrap does not wait for."""
    line = f"{DETACHED} until test -e ready; do sleep 0.05; done"
    with confined(tmp_path, line) as made:
        done = capture(command(made, tmp_path), timeout_seconds=60)
        assert is_free(tmp_path / "lock")
    assert (done.ended.exit_code, done.ended.survivors) == (0, 0), done.error


@pytest.mark.parametrize("grace_seconds", [0.0, 1.0])
def test_a_program_that_is_ended_leaves_nothing(tmp_path: Path, grace_seconds: float) -> None:
    """By the kill of bubblewrap, which takes all that is inside with it, a moment later."""
    with confined(tmp_path, f"{DETACHED} sleep 300") as made:
        child = ChildProcess.start(command(made, tmp_path))
        wait_until((tmp_path / "ready").exists, description="the lock is held", timeout=60)
        ended = child.end(grace_seconds=grace_seconds)
        assert is_free(tmp_path / "lock")
    assert ended.survivors == 0


def test_a_program_has_none_of_the_descriptors_of_its_start(tmp_path: Path) -> None:
    """Else it could say another first process than its own."""
    with confined(tmp_path, "for f in /proc/$$/fd/*; do test -e $f && echo ${f##*/}; done; true") as made:
        done = capture(command(made, tmp_path), timeout_seconds=60)
    assert done.output.split() == [b"0", b"1", b"2"], done
