"""The supervisor with real processes: starts, restarts, output, signals, and no survivors."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.local.program import Program, RestartPolicy
from console.local.supervisor import OWN_NAME, ProgramFailedError, Supervisor
from routing.errors import ConflictError, InvalidInputError, NotFoundError
from tests.servers.private_server import process_runs
from tests.waiting import communicated, wait_until

QUICK = RestartPolicy(first_pause_seconds=0.01, longest_pause_seconds=0.05, quick_deaths_allowed=3)

# Says that it is ready, then waits; on SIGTERM says so and ends.
POLITE = """
import os, signal, sys
def end(*_):
    os.write(1, b"ending\\n")  # not print, which the signal may have interrupted
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""

# Ignores SIGTERM.
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""

# Starts a child of its own in the same group, says its process id, and waits.
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.DEVNULL)
print("child", child.pid, flush=True)
child.wait()
"""

# A supervisor in the foreground, printing what its programs say.
FOREGROUND = """
import sys
from console.local.program import Program
from console.local.supervisor import Supervisor
programs = [
    Program(name=f"p{number}", argv=(sys.executable, "-c", source))
    for number, source in enumerate(sys.argv[2:])
]
def show(name, line):
    print(name, line, flush=True)
Supervisor(programs, on_line=show, grace_seconds=float(sys.argv[1])).run()
print("done", flush=True)
"""


class Lines:
    """Collects what programs say."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        """Take a line."""
        self.all.append((name, line))

    def of(self, name: str) -> list[str]:
        """The lines of one program."""
        return [line for who, line in self.all if who == name]

    def wait_for(self, name: str, line: str, *, times: int = 1) -> None:
        """Wait until a program has said a line so many times."""
        wait_until(
            lambda: self.of(name).count(line) >= times, description=f"{name} has said {line!r} {times} times"
        )


def program(name: str, source: str, *arguments: str) -> Program:
    """A program that runs Python source."""
    return Program(name=name, argv=(sys.executable, "-c", source, *arguments))


@contextmanager
def foreground(
    *sources: str, grace_seconds: float = 20.0
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A supervisor in a process of its own, once all programs are ready; and their process ids."""
    command = [sys.executable, "-c", FOREGROUND, str(grace_seconds), *sources]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            pids: list[int] = []
            ready = 0
            while ready < len(sources):
                words = process.stdout.readline().split()
                assert words, "the supervisor ended early"
                if "started" in words:
                    pids.append(int(words[-1].rstrip(")")))
                ready += "ready" in words
            yield process, pids
        finally:
            process.kill()


def test_programs_start_in_order_speak_and_end_when_asked() -> None:
    """Each starts in its place, its lines arrive under its name, and SIGTERM ends it in an orderly way."""
    lines = Lines()
    with Supervisor([program("first", POLITE), program("second", POLITE)], on_line=lines) as supervisor:
        pids = [supervisor.pid("first"), supervisor.pid("second")]
        lines.wait_for("first", "ready")
        lines.wait_for("second", "ready")
    for name in ("first", "second"):
        assert lines.of(name) == ["ready", "ending"]
    started = [line.split()[0] for line in lines.of(OWN_NAME) if "started" in line]
    assert started == ["first", "second"]
    assert not any(process_runs(pid) for pid in pids if pid is not None)
    assert supervisor.failure is None


def test_a_program_that_dies_is_started_again_and_the_others_run_on() -> None:
    """A killed program comes back as a new process; its neighbour does not notice."""
    lines = Lines()
    programs = [program("dies", POLITE), program("lives", POLITE)]
    with Supervisor(programs, on_line=lines, policy=QUICK) as supervisor:
        lines.wait_for("dies", "ready")
        neighbour, victim = supervisor.pid("lives"), supervisor.pid("dies")
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        lines.wait_for("dies", "ready", times=2)
        assert supervisor.pid("dies") not in {None, victim}
        assert supervisor.starts("dies") == 2
        assert supervisor.pid("lives") == neighbour
    assert "dies ended (killed by SIGKILL)" in lines.of(OWN_NAME)


def test_a_program_that_cannot_live_ends_everything_with_its_last_words() -> None:
    """After too many quick deaths all is ended; the error says which program, how, and what it said."""
    lines = Lines()
    broken = program("broken", "import sys; sys.exit('no such setting: COLOUR')")
    with Supervisor([program("fine", POLITE), broken], on_line=lines, policy=QUICK) as supervisor:
        wait_until(lambda: not supervisor.running, description="the supervisor has given up")
        assert supervisor.pid("fine") is None
        with pytest.raises(ProgramFailedError, match=r"(?s)broken died 3 times.*exit code 1.*COLOUR"):
            supervisor.raise_for_failure()
    assert supervisor.starts("broken") == 3


def test_a_folder_that_is_missing_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    """A program that the system refuses to start counts as dying at once."""
    lost = Program(name="lost", argv=(sys.executable, "-c", ""), cwd=tmp_path / "nowhere")
    with Supervisor([lost], on_line=Lines(), policy=QUICK) as supervisor:
        wait_until(lambda: not supervisor.running, description="the supervisor has given up")
    with pytest.raises(ProgramFailedError, match="No such file"):
        supervisor.raise_for_failure()


def test_a_program_that_ignores_sigterm_is_killed_in_the_end() -> None:
    """The grace period is an upper bound of how long stopping takes."""
    lines = Lines()
    with Supervisor([program("stubborn", STUBBORN)], on_line=lines, grace_seconds=0.1):
        lines.wait_for("stubborn", "ready")
    assert "stubborn ended (killed by SIGKILL)" in lines.of(OWN_NAME)


def test_children_of_a_program_end_with_it() -> None:
    """What a program leaves in its group is ended when it dies, and again when it is stopped."""
    lines = Lines()

    def children() -> list[int]:
        return [int(line.split()[1]) for line in lines.of("parent")]

    with Supervisor([program("parent", PARENT)], on_line=lines, policy=QUICK) as supervisor:
        wait_until(children, description="the first child is there")
        parent = supervisor.pid("parent")
        assert parent is not None
        os.kill(parent, signal.SIGKILL)
        wait_until(lambda: len(children()) == 2, description="the second child is there")
        wait_until(lambda: not process_runs(children()[0]), description="the first child is gone")
    wait_until(lambda: not process_runs(children()[1]), description="the second child is gone")


def test_output_is_cut_into_bounded_printable_lines() -> None:
    """Long lines are shortened, control characters go, what is not text is replaced, no line is lost."""
    source = r"""
import sys
out = sys.stdout.buffer
out.write(b"a" * 100_000 + b"\n")
out.write(b"\x1b[31mred\x1b[0m \xff\n")
out.write(b"".join(b"%d\n" % number for number in range(4999)))
out.flush()
out.write(b"4999\nno newline")  # so short that it arrives in one piece
out.flush()
import signal
signal.pause()
"""
    lines = Lines()
    with Supervisor([program("talker", source)], on_line=lines):
        lines.wait_for("talker", "4999")
    long, red, *numbers, last = lines.of("talker")
    assert long == "a" * 8192 + f" … ({100_000 - 8192} bytes more)"
    assert red == "red \N{REPLACEMENT CHARACTER}"
    assert numbers == [str(number) for number in range(5000)]
    assert last == "no newline"


def test_a_stuck_sink_does_not_hold_up_the_programs() -> None:
    """Programs write on, and their deaths are noticed, while the reader of their lines is stuck."""
    release = threading.Event()
    chatty = program("chatty", "print('line\\n' * 200_000); print('end', flush=True)")

    def stuck(_name: str, _line: str) -> None:
        release.wait()

    with Supervisor([chatty], on_line=stuck, policy=QUICK) as supervisor:
        wait_until(lambda: supervisor.starts("chatty") >= 2, description="chatty has run twice")
        release.set()


def test_environment_and_folder_are_those_that_were_asked_for(tmp_path: Path) -> None:
    """A program sees the given environment and no other, and starts in its folder."""
    source = "import os; print(os.getcwd(), sorted(set(os.environ) - {'LC_CTYPE'}), flush=True)"
    asked = Program(
        name="nosy", argv=(sys.executable, "-c", source), env={"COALMINE_COLOUR": "red"}, cwd=tmp_path
    )
    lines = Lines()
    with Supervisor([asked], on_line=lines, policy=QUICK):
        lines.wait_for("nosy", f"{tmp_path} ['COALMINE_COLOUR']")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_first_signal_in_the_foreground_ends_all_in_an_orderly_way(number: signal.Signals) -> None:
    """The programs get to say goodbye, and the supervisor ends without an error."""
    with foreground(POLITE, POLITE) as (process, pids):
        process.send_signal(number)
        rest, _ = communicated(process)
        assert rest.count("ending") == 2
        assert rest.endswith("done\n")
        assert process.returncode == 0
        assert not any(process_runs(pid) for pid in pids)


def test_second_signal_in_the_foreground_kills() -> None:
    """A second Ctrl-C cuts the grace period short."""
    with foreground(STUBBORN, POLITE, grace_seconds=600) as (process, pids):
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        while "p1 ended" not in (line := process.stdout.readline()):
            assert line, "the supervisor ended early"
        process.send_signal(signal.SIGINT)
        rest, _ = communicated(process)
        assert "p0 ended (killed by SIGKILL)" in rest
        assert not any(process_runs(pid) for pid in pids)


def test_programs_die_with_a_killed_supervisor() -> None:
    """SIGKILL of the supervisor leaves no program running, not even one that ignores SIGTERM."""
    with foreground(STUBBORN, POLITE) as (process, pids):
        assert all(process_runs(pid) for pid in pids)
        process.kill()
        wait_until(lambda: not any(process_runs(pid) for pid in pids), description="all programs are gone")


def test_programs_get_default_signals() -> None:
    """Signals that Python ignores for itself, SIGPIPE among them, are not ignored in a program."""
    shell = Program(
        name="shell", argv=("sh", "-c", 'kill -s PIPE $$; echo "SIGPIPE was ignored"; exec sleep 100')
    )
    lines = Lines()
    with Supervisor([shell], on_line=lines, policy=QUICK):
        wait_until(
            lambda: "shell ended (killed by SIGPIPE)" in lines.of(OWN_NAME),
            description="SIGPIPE has ended the shell",
        )
    assert lines.of("shell") == []


def test_misuse_is_refused() -> None:
    """Names must differ, programs must exist, a supervisor is used once, and only its programs are known."""
    with pytest.raises(InvalidInputError, match="same name"):
        Supervisor([program("a", POLITE), program("a", POLITE)], on_line=Lines())
    with pytest.raises(InvalidInputError, match="no-such-program"):
        Supervisor([Program(name="a", argv=("no-such-program",))], on_line=Lines())
    with Supervisor([program("a", POLITE)], on_line=Lines()) as supervisor:
        with pytest.raises(ConflictError, match="started already"):
            supervisor.start()
        with pytest.raises(NotFoundError, match="there are a"):
            supervisor.pid("b")
    supervisor.stop()
