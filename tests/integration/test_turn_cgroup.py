"""Processes that hide whose they are, where turns have cgroups and where they have none.

Whether they may is the machine's to say. Where they may not, the same tests hold what is documented for that.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.ending import Ending
from routing.jobs.job import JobRequest, JobState
from routing.process.cgroup import CgroupHome
from routing.process.cgroup_probe import usable_cgroup_home
from routing.process.child import ChildProcess
from routing.process.command import Command, SpawnError
from routing.process.descendants import Descendants
from routing.process.line_reader import LineReader, OutputLine
from routing.process.table import ProcessTable
from tasks.agents.supervision.orphans import end_left_turn, end_ownerless_turns, end_turns_of
from tests.fleets.worker_fleet import ROOT, WorkerFleet, fleet, until_state
from tests.programs.agent_book import Book, until_gone
from tests.programs.agent_programs import AgentBench
from tests.programs.escape import escape_line, escaping, until_escaped
from tests.servers.private_server import process_runs

#: One at a time: what is ended by a job's id would be ended in another process of the suite too.
pytestmark = pytest.mark.xdist_group("orphans")

#: This process's, None on a machine where it may not make any.
HOME = usable_cgroup_home()


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    """Where the process that escapes writes its pid; it is ended after the test."""
    file = tmp_path / "escaped"
    with escaping(file):
        yield file


def groups() -> int:
    """How many groups of turns of this process there are; other processes of the suite make some, too."""
    return sum(marker.owner == os.getpid() for marker, _ in HOME.turns()) if HOME is not None else 0


def started(
    argv: list[str], cwd: Path, *, environment: dict[str, str], stdin: bytes | None = None,
    lines: list[OutputLine] | None = None, descendants: Descendants | None = None,
) -> ChildProcess:  # fmt: skip
    """An agent, started as a turn does; without `lines` its output is thrown away."""
    return ChildProcess.start(
        Command(argv=argv, cwd=cwd, environment=environment, stdin=stdin),
        output=None if lines is None else LineReader(lines.append, cap=10_000),
        descendants=descendants or Descendants(ProcessTable(), HOME),
    )


@pytest.mark.parametrize("home", [HOME, None], ids=["as the machine allows", "without"])
def test_what_hides_whose_it_is_dies_where_there_are_cgroups(
    tmp_path: Path, pid_file: Path, home: CgroupHome | None
) -> None:
    """Without them it escapes, as is documented: nothing shows any longer whose it was."""
    bench = AgentBench(folder=tmp_path, home=home, stop_at="ready")
    before = groups()
    result = bench.shell(f"{escape_line(pid_file)}; echo ready; sleep 600")
    assert (result.ended_by, result.survivors) == (Ending.CANCEL, 0)
    assert process_runs(until_escaped(pid_file)) is (home is None)
    assert groups() == before


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill -9 $$"])
def test_it_dies_with_an_agent_that_ends_by_itself(tmp_path: Path, pid_file: Path, end: str) -> None:
    """However the agent ended; and its group is gone."""
    before = groups()
    AgentBench(folder=tmp_path, home=HOME).shell(f"{escape_line(pid_file)}; {end}")
    assert process_runs(until_escaped(pid_file)) is (HOME is None)
    assert groups() == before


def test_it_has_the_grace_period_too(tmp_path: Path, pid_file: Path) -> None:
    """SIGTERM first, like all that an agent started: where it is known at all."""
    bench = AgentBench(folder=tmp_path, home=HOME, stop_at="ready")
    last = tmp_path / "last"
    trap = f"trap 'touch {last}; exit' TERM; "
    line = escape_line(pid_file, prefix=trap).replace("exec sleep 300", "while :; do sleep 0.05; done")
    bench.shell(f"{line}; echo ready; sleep 600")
    assert last.exists() is (HOME is not None)


def test_agent_is_what_it_would_be_without(tmp_path: Path) -> None:
    """The same process, arguments and environment, although a shell lets it into its group."""
    program = "import os, sys; print(os.getpid(), sys.argv[1:], sorted(os.environb.items()), os.getcwd())"
    said = []
    for home in (HOME, None):
        lines: list[OutputLine] = []
        descendants = Descendants(ProcessTable(), home)
        child = started(
            ["python", "-c", program, "$0 'x'", "a b", "*", "", "-n"], tmp_path,
            descendants=descendants, lines=lines,
            environment={"PATH": str(Path(sys.executable).parent), "X": "\u00e9'\n", "LC_CTYPE": "C.UTF-8"},
        )  # fmt: skip
        while not child.has_exited():
            child.pump(1)
        child.end()
        words = "\n".join(line.data.decode() for line in lines)
        said.append(words.replace(descendants.identity.marker, "MARKER").replace(f"{child.pid} ", "PID ", 1))
    assert said[0] == said[1]
    assert said[0].startswith("PID ")


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        lambda file: file.write_bytes(b"\x00\x01 no program"),
        lambda file: file.write_text("#!/no/such/interpreter\n"),
    ],
    ids=["missing", "no program", "no interpreter"],
)
def test_program_that_cannot_be_started_is_a_spawn_error(tmp_path: Path, make: object) -> None:
    """As without a cgroup, and no group is left; it does not look like an agent's exit code."""
    program = tmp_path / "program"
    assert callable(make)
    make(program)
    if program.exists():
        program.chmod(0o755)
    before = groups()
    with pytest.raises(SpawnError, match="could not be started"):
        started([str(program)], tmp_path, environment={})
    assert groups() == before


def test_environment_that_no_shell_hands_on_arrives(tmp_path: Path, pid_file: Path) -> None:
    """Such an agent is moved into its group after its start."""
    line = f"read go; env; {escape_line(pid_file)}; sleep 600"
    child = started(
        ["sh", "-c", line], tmp_path, environment={"PATH": "/usr/bin:/bin", "a.b": "1"}, stdin=b"go\n"
    )
    child.pump(10)
    escaped = until_escaped(pid_file)
    child.discard()
    assert process_runs(escaped) is (HOME is None)


@pytest.mark.parametrize("whose", ["job", "turn"])
def test_turn_that_another_worker_left_is_ended_with_all_that_hides(
    tmp_path: Path, pid_file: Path, whose: str
) -> None:
    """By the worker that has won its job or its session; its own worker only finds that it is over."""
    descendants = Descendants(ProcessTable(), HOME)
    child = started(
        ["sh", "-c", f"{escape_line(pid_file)}; sleep 600"], tmp_path,
        environment={"PATH": "/usr/bin:/bin", "COALMINE_JOB_ID": "c0ffee00c0ffee00"},
        descendants=descendants,
    )  # fmt: skip
    escaped = until_escaped(pid_file)
    if whose == "job":
        end_turns_of("c0ffee00c0ffee00", ProcessTable(), HOME)
    else:
        end_left_turn(descendants.identity.marker, ProcessTable(), HOME)
    assert process_runs(escaped) is (HOME is None)
    child.discard()


def test_groups_within_a_group_end_with_it(pid_file: Path) -> None:
    """An agent that runs a fleet of its own: its agents' groups are within its own."""
    before = groups()
    program = (
        "import sys, pathlib\n"
        "from routing.process.cgroup_probe import usable_cgroup_home\n"
        "from routing.process.child import ChildProcess\n"
        "from routing.process.command import Command\n"
        "from routing.process.descendants import Descendants\n"
        "from routing.process.table import ProcessTable\n"
        "child = ChildProcess.start(Command(argv=['sh', '-c', sys.argv[1]], cwd=pathlib.Path.cwd(),\n"
        "    environment={'PATH': '/usr/bin:/bin'}),\n"
        "    descendants=Descendants(ProcessTable(), usable_cgroup_home()))\n"
        "while True: child.pump(60)\n"
    )
    child = started(
        [sys.executable, "-c", program, f"{escape_line(pid_file)}; sleep 600"], ROOT,
        environment={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    escaped = until_escaped(pid_file)
    child.discard()
    assert process_runs(escaped) is (HOME is None)
    assert groups() == before


@pytest.fixture
def made(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[WorkerFleet]:
    """A fleet without processes."""
    assert redis_client.ping()
    settings = {"COALMINE_AGENT__KILL_GRACE_SECONDS": "0.5", "COALMINE_TIMES__LEASE_SECONDS": "2"}
    with fleet(tmp_path, redis_server.url, **settings) as processes:
        yield processes


@pytest.mark.parametrize("fate", ["cancelled", "its worker killed"])
def test_in_a_fleet(made: WorkerFleet, pid_file: Path, fate: str) -> None:
    """A real worker ends it, and after a worker's SIGKILL the next one of the host does."""
    parts, book = made.coalmine(), Book(made.folder / "book")
    parts.templates.add("implementer", book.snapshot(f"{escape_line(pid_file)}; sleep 600"))
    made.worker("w1")
    job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
    escaped = until_escaped(pid_file)
    agent = book.pids("start", job)[0]
    if fate == "cancelled":
        parts.jobs.cancel(job, by="ada", at=parts.job_store.now())
        until_state(parts, job, JobState.CANCELLED)
    else:
        made.kill("w1")
        made.worker("w2")
    until_gone(agent, timeout=20)
    if HOME is not None:
        until_gone(escaped, timeout=10)
    assert process_runs(escaped) is (HOME is None)


def test_group_of_a_dead_worker_is_removed(tmp_path: Path, pid_file: Path) -> None:
    """With what is in it; those of living workers are left alone, and so are those of other namespaces."""
    program = (
        "import sys, pathlib, time\n"
        "from routing.process.cgroup_probe import usable_cgroup_home\n"
        "from routing.process.child import ChildProcess\n"
        "from routing.process.command import Command\n"
        "from routing.process.descendants import Descendants\n"
        "from routing.process.table import ProcessTable\n"
        "ChildProcess.start(Command(argv=['sh', '-c', sys.argv[1]], cwd=pathlib.Path(sys.argv[2]),\n"
        "    environment={'PATH': '/usr/bin:/bin'}),\n"
        "    descendants=Descendants(ProcessTable(), usable_cgroup_home()))\n"
        "time.sleep(60)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, f"{escape_line(pid_file)}; sleep 600", str(tmp_path)], cwd=ROOT
    )
    escaped = until_escaped(pid_file)
    end_ownerless_turns(ProcessTable(), HOME)
    assert process_runs(escaped), "its worker lives"
    worker.kill()
    worker.wait()
    end_ownerless_turns(ProcessTable(), HOME)
    assert process_runs(escaped) is (HOME is None)
    if HOME is not None:
        assert all(marker.owner != worker.pid for marker, _ in HOME.turns())


def test_spawn_goes_on_where_no_group_can_be_made(tmp_path: Path) -> None:
    """The home was taken away, or is full: the agent runs without a group."""
    gone = CgroupHome(tmp_path / "nowhere")
    assert AgentBench(folder=tmp_path, home=gone).shell("echo here").output_tail == "here"
    assert list(gone.turns()) == []
