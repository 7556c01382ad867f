"""The owner of child processes, with real ones: what they say, how they end, and that nothing is left."""

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from routing.git.git import Git, GitError
from routing.process.bounded_command import capture, run_bounded
from routing.process.child import ChildProcess
from routing.process.command import Command, Ended, SpawnError
from routing.process.descendants import Descendants
from routing.process.line_reader import LineReader, OutputLine
from routing.process.poll_loop import PollLoop
from routing.process.table import ProcessTable, start_ticks
from tests.programs.descriptors import open_descriptors
from tests.servers.private_server import process_runs
from tests.waiting import wait_until

FAR = 600.0


def shell(line: str, *, stdin: bytes | None = None, cwd: Path | None = None) -> Command:
    """A shell that runs a line."""
    return Command(argv=["sh", "-c", line], stdin=stdin, cwd=cwd, environment=None)


def noted_pid(file: Path) -> int:
    """A process id that a shell has written."""
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"), description="the pid is noted")
    return int(file.read_text())


def test_what_a_command_is_given_and_what_it_prints() -> None:
    """More than any pipe holds goes in and comes out while it does; the two outputs stay apart."""
    given = bytes(range(256)) * 8192
    done = capture(shell("cat; echo oops >&2; exit 3", stdin=given), timeout_seconds=FAR)
    assert (done.output, done.error) == (given, b"oops\n")
    assert (done.ended.exit_code, done.ended.timed_out, done.ended.survivors) == (3, False, 0)


def test_a_command_that_does_not_read_is_not_an_error() -> None:
    """Its input is dropped when it has closed it."""
    done = capture(shell("exec <&-; echo done", stdin=b"x" * 1_000_000), timeout_seconds=FAR)
    assert done.output == b"done\n"


def test_without_an_output_nothing_is_read() -> None:
    """What it prints goes nowhere, and does not fill a pipe."""
    assert run_bounded(shell("yes | head -c 1000000"), timeout_seconds=FAR).exit_code == 0


def test_how_it_ended_is_said_in_words() -> None:
    """By itself, by a signal with or without a name, or not at all."""
    codes = (0, 3, -9, -64, None)
    assert [str(Ended(exit_code=code, seconds=0.0)) for code in codes] == [
        "exit code 0", "exit code 3", "killed by SIGKILL", "killed by SIGRTMAX", "it could not be ended",
    ]  # fmt: skip


def test_a_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    """SIGTERM first, so that it may clean up; what ignores that is killed."""
    stubborn, last = tmp_path / "stubborn", tmp_path / "last"
    line = f"trap '' TERM; (trap 'touch {last}; exit' TERM; sleep 600 & wait) & echo $$ > {stubborn}; wait"
    ended = run_bounded(shell(f"{line}; sleep 600"), timeout_seconds=2)
    assert (ended.timed_out, ended.exit_code) == (True, -9)
    assert last.exists()
    assert not process_runs(noted_pid(stubborn))


def test_what_left_the_group_does_not_hold_us_up(tmp_path: Path) -> None:
    """It keeps the output open, and is not waited for; what it had printed by then is there."""
    escaped = tmp_path / "escaped"
    line = (
        f"setsid sh -c 'echo $$ > {escaped}; echo said; exec sleep 600' & until [ -s {escaped} ]; do :; done"
    )
    done = capture(shell(line), timeout_seconds=FAR)
    pid = noted_pid(escaped)
    try:
        assert done.ended.seconds < FAR
        assert process_runs(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("line", ["echo said; sleep 600", "printf said"], ids=["a line", "the last line"])
def test_an_output_that_raises_ends_the_command(line: str) -> None:
    """It is passed on when the command is gone and everything is closed."""
    before = open_descriptors()

    def fail(_line: OutputLine) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run_bounded(shell(line), timeout_seconds=FAR, output=LineReader(fail, cap=100))
    assert open_descriptors() == before


@pytest.mark.parametrize("argv", [["no-such-program"], ["sh", "-c", "\0"]])
def test_a_command_that_cannot_be_started_leaves_nothing(argv: list[str], tmp_path: Path) -> None:
    """Neither for a program that is missing nor for arguments that no process can be given."""
    before = open_descriptors()
    with pytest.raises(SpawnError, match=f"{argv[0]} could not be started in {tmp_path}"):
        run_bounded(Command(argv=argv, cwd=tmp_path, environment=None), timeout_seconds=FAR)
    assert open_descriptors() == before


def test_children_share_a_loop() -> None:
    """One wait serves them all; ending one reads its output and none of the others' fate."""
    before = open_descriptors()
    said: list[OutputLine] = []
    with PollLoop() as loop:
        quick, slow = (
            ChildProcess.start(shell(line), loop=loop, output=LineReader(said.append, cap=100))
            for line in ("echo quick", "echo slow; sleep 600")
        )
        while not (quick.has_exited() and len(said) == 2):
            loop.pump(FAR)
        assert quick.end().exit_code == 0
        assert not slow.has_exited()
        slow.terminate()
        while not slow.has_exited():
            loop.pump(FAR)
        assert str(slow.end()) == "killed by SIGTERM"
    assert sorted(line.data for line in said) == [b"quick", b"slow"]
    assert open_descriptors() == before


def test_a_wait_is_ended_from_another_thread() -> None:
    """A thread that has news wakes the one that waits."""
    child = ChildProcess.start(shell("sleep 600"))
    waker = threading.Timer(0.05, child.wake)
    waker.start()
    child.pump(FAR)
    assert not child.has_exited()
    child.discard()
    waker.join()


def test_sigterm_is_the_programs_own_business_where_it_ends_its_children(tmp_path: Path) -> None:
    """A child of it hears nothing from us: it ends as the program asks it to, and not by our signal."""
    ready = tmp_path / "ready"
    inner = f"trap 'exit 7' TERM; trap 'exit 0' WINCH; echo > {ready}; while :; do sleep 0.05; done"
    outer = (
        f'sh -c "{inner}" & trap "kill -WINCH $!; wait $!; exit \\$?" TERM; '
        f"until [ -s {ready} ]; do :; done; echo $! > {ready}.pid; wait"
    )
    child = ChildProcess.start(Command(argv=["sh", "-c", outer], environment=None, ends_its_own=True))
    noted_pid(tmp_path / "ready.pid")
    assert child.end(grace_seconds=FAR).exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_dies_with_us(tmp_path: Path, number: signal.Signals) -> None:
    """A signal that ends the process that runs it ends it too, even SIGKILL: the kernel does that."""
    noted = tmp_path / "pid"
    program = (
        "import signal, sys\n"
        "from routing.process.bounded_command import run_bounded\n"
        "from routing.process.command import Command\n"
        "line = f'echo $$ > {sys.argv[1]}; exec sleep 600'\n"
        "command = Command(argv=['sh', '-c', line], environment=None, death_signal=signal.SIGKILL)\n"
        "run_bounded(command, timeout_seconds=600)\n"
    )
    owner = ChildProcess.start(
        Command(
            argv=[sys.executable, "-c", program, str(noted)],
            cwd=Path(__file__).parents[2],
            environment=None,
        )
    )
    pid = noted_pid(noted)
    os.kill(owner.pid, number)
    wait_until(lambda: not process_runs(pid), description="the command is gone")
    owner.discard()


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A repository whose git runs what we like: aliases stand for helpers."""
    Git(tmp_path)("init", "--quiet")
    return Git(tmp_path)


def test_a_git_whose_helper_hangs_keeps_no_slot(git: Git, tmp_path: Path) -> None:
    """At the time limit the helper is ended with git, and the caller gets an error."""
    noted = tmp_path / "pid"
    git("config", "alias.hang", f"!trap '' TERM; echo $$ > {noted}; sleep 600")
    with pytest.raises(GitError, match="git hang took over 3 s"):
        replace(git, timeout_seconds=3)("hang")
    assert not process_runs(noted_pid(noted))


def test_a_helper_that_git_leaves_running_ends_with_it(git: Git, tmp_path: Path) -> None:
    """It holds git's output open: git's answer does not wait for it."""
    noted = tmp_path / "pid"
    git("config", "alias.leave", f"!sleep 600 & echo $! > {noted}; echo said")
    assert git("leave") == "said"
    wait_until(lambda: not process_runs(noted_pid(noted)), description="the helper is gone")


class _NotedLate(Descendants):
    """Notes its child when that has exited already, as a busy worker may."""

    def begin(self, pid: int) -> None:
        """Wait until it is a zombie."""
        wait_until(lambda: start_ticks(pid) is None, description="the child has exited")
        super().begin(pid)


def test_what_a_program_leaves_is_ended_although_it_exits_at_once(tmp_path: Path) -> None:
    """It was gone before it could be looked at; what it has started in a session of its own dies, too."""
    left = tmp_path / "left"
    child = ChildProcess.start(
        shell(f"setsid sh -c 'echo $$ > {left}; exec sleep 600' & while [ ! -s {left} ]; do :; done"),
        descendants=_NotedLate(ProcessTable()),
    )
    assert child.end().survivors == 0
    assert not process_runs(noted_pid(left))


def test_command_that_gets_on_may_go_on() -> None:
    """It prints nothing for longer than it may be idle, and computes all the time."""
    done = capture(
        shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"), timeout_seconds=FAR, idle_seconds=0.2
    )

    assert not done.ended.timed_out


def test_command_that_hangs_is_ended_long_before_its_limit() -> None:
    """It neither prints, nor moves, nor computes anything."""
    done = capture(shell("echo begun; sleep 1000"), timeout_seconds=FAR, idle_seconds=0.3)

    assert (done.ended.timed_out, done.output) == (True, b"begun\n")
    assert done.ended.seconds < FAR
