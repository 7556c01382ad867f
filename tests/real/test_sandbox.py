"""Attacks from inside a sandbox, each by a probe that succeeds without one.

One suite for bubblewrap and for containers. Those are run by a stand-in for an engine, which takes the same
command line and holds containers to it by bubblewrap: no engine runs where the suites do.
"""

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from routing.git.push_refusal import PushRefusedError
from routing.git.remote import Remote
from routing.jobs.ending import Ending
from routing.sandbox.mount import ProcessLimits
from routing.sandbox.profile import SandboxKind, SandboxProfile
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.real.sandbox_attacks import (
    CONNECT,
    HARMLESS,
    OF_ANOTHER_AGENT,
    OF_THE_MACHINE,
    READS,
    WRITES,
    is_open,
)
from tests.real.sandbox_bench import JOB, SandboxBench, long_sleep, sleepers, stand_in_engine
from tests.repositories import TemporaryRepository, new_repository
from tests.waiting import wait_until


@pytest.fixture(params=[SandboxKind.BUBBLEWRAP, SandboxKind.CONTAINER])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> SandboxBench:
    """A host with a worker's files on it: secrets, other trees, the socket of a store."""
    made = SandboxBench(folder=tmp_path, kind=request.param)
    if made.kind is SandboxKind.CONTAINER:
        made.sandboxes = AgentSandboxes(engine=stand_in_engine(tmp_path))
    (made.home / ".ssh").mkdir()
    (made.home / ".ssh" / "id").write_text("secret")
    (made.work_dir / "shop" / "fedcba9876543210").mkdir(parents=True)
    (made.work_dir / "shop" / ".coalmine" / f"{JOB}.git").mkdir(parents=True)
    return made


@pytest.mark.parametrize("is_confined", [False, True])
@pytest.mark.parametrize("what", READS)
def test_nothing_of_the_machine_is_read(bench: SandboxBench, what: str, *, is_confined: bool) -> None:
    """The same line, as the same user, reaches it without a sandbox, or would with rights."""
    kind = bench.kind if is_confined else SandboxKind.NONE
    path, memory = bench.folder / "s", ctypes.create_string_buffer(b"secret")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(5)
        line = READS[what].format(
            secret=bench.home / ".ssh" / "id", work=bench.work_dir, job=JOB, pid=os.getpid(), socket=path,
            at=ctypes.addressof(memory),
        )  # fmt: skip
        said = bench.run(f"{line} 2>&1; true", sandbox=kind).output_tail
    reached = "reached" in said
    if is_confined:
        assert not reached, said
    elif is_open(what):
        assert reached, f"the probe itself is broken: {said}"


@pytest.mark.parametrize("what", OF_THE_MACHINE)
def test_what_the_machine_shares_is_not_shared(bench: SandboxBench, what: str) -> None:
    """Sockets and memory that every process of this user reaches; each is reached without a sandbox."""
    name = f"coalmine-{os.getpid()}"
    shared, agent = Path("/dev/shm", name), bench.folder / "agent.sock"  # noqa: S108
    bench.environment = {"SSH_AUTH_SOCK": str(agent)}
    controlling, terminal = os.openpty()
    libc = ctypes.CDLL(None, use_errno=True)
    memory = libc.shmget(0, 4096, 0o1600)
    try:
        shared.touch()
        with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as keys:
            abstract.bind(f"\0{name}")
            abstract.listen(5)
            keys.bind(str(agent))
            line = OF_THE_MACHINE[what].format(
                abstract=name, folder=bench.folder, shared=name, memory=f"' {memory} '",
                terminal=os.ttyname(terminal),
            )  # fmt: skip
            without = bench.run(f"{line} 2>&1; true", sandbox=SandboxKind.NONE).output_tail
            bench.environment = {}
            within = bench.run(f"{line} 2>/dev/null; true").output_tail
    finally:
        shared.unlink()
        libc.shmctl(memory, 0, None)  # IPC_RMID
        os.close(controlling)
        os.close(terminal)
    assert "reached" in without, f"the probe itself is broken: {without}"
    assert "reached" not in within, within


#: Has a secret in its environment, a login in its home and in its sessions, and runs until a file is there.
OTHER = """
    for folder in ~ "$COALMINE_SESSIONS"; do echo own > $folder/login; done
    touch ready; until test -e over; do sleep 0.05; done
"""


def test_the_secrets_of_another_agent_are_out_of_reach(bench: SandboxBench) -> None:
    """Of one that runs on the same machine at that time, in a sandbox of its own: by whatever way."""
    tree = bench.folder / "others"
    other = replace(bench, job="fedcba9876543210", environment={"THE_KEY": "s3cr3t"})
    running = threading.Thread(target=partial(other.run, OTHER, tree=tree))
    running.start()
    try:
        wait_until((tree / "ready").exists, description="the other agent runs", timeout=30)
        for what, attack in OF_ANOTHER_AGENT.items():
            line = attack.format(work=bench.work_dir, other=other.job, tree=tree)
            without = bench.run(f"({line}) 2>/dev/null; true", sandbox=SandboxKind.NONE).output_tail
            within = bench.run(f"({line}) 2>/dev/null; true").output_tail
            assert "reached" in without, f"the probe itself is broken: {what}"
            assert "reached" not in within, what
    finally:
        (tree / "over").touch()
        running.join()


@pytest.mark.parametrize("what", WRITES)
def test_nothing_of_the_machine_is_changed(bench: SandboxBench, what: str) -> None:
    """Its tree, its home and its temporary files are all that an agent can write."""
    programs = bench.folder / "bin"
    programs.mkdir()
    bench.environment = {"PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}
    prompt = bench.work_dir / ".coalmine" / "turns" / JOB / "1" / "prompt.md"
    line = WRITES[what].format(bin=programs, prompt=prompt)
    control = HARMLESS.get(what, line)
    if is_open(what):
        without = bench.run(f"({control}) 2>&1; rm -f {programs}/mine", sandbox=SandboxKind.NONE).output_tail
        assert "reached" in without, f"the probe itself is broken: {without}"
    said = bench.run(
        f"({control}; {line}) 2>&1; echo mine > mine; echo own > ~/own; echo own > /tmp/own && echo done"
    )
    assert "reached" not in said.output_tail, said.output_tail
    assert "done" in said.output_tail
    assert (bench.folder / "tree" / "mine").read_text() == "mine\n"
    assert not (bench.home / "own").exists()
    assert not (bench.folder / "mine").exists()


def test_home_and_temporary_files_are_new_each_turn(bench: SandboxBench) -> None:
    """What one turn leaves there is not found by the next; its sessions are."""
    leave = 'echo 1 > ~/left; echo 1 > /tmp/left; echo 1 > "$COALMINE_SESSIONS/left"'
    assert bench.run(leave).clean
    said = bench.run('cat ~/left /tmp/left 2>&1; cat "$COALMINE_SESSIONS/left" && echo kept').output_tail
    assert said.splitlines()[-2:] == ["1", "kept"]
    assert said.count("No such file") == 2


def test_no_process_outlives_its_turn(bench: SandboxBench) -> None:
    """Detached in every way: another session, no environment, no parent, no name."""
    long = long_sleep()
    detach = f"setsid env -i sh -c 'sh -c \"sleep {long} & sleep {long}\" & exit' >/dev/null 2>&1 </dev/null"
    result = bench.run(f"{detach} & sleep 0.5; echo done")
    assert (result.clean, result.survivors) == (True, 0)
    assert not sleepers(long)


#: How an agent, a shell file, is run: as the program itself, or by shells that end as soon as they are asked.
SHELLS = {
    "none": "exec sh ./work.sh",
    "one": "sh ./work.sh; true",
    "two": "sh -c 'sh ./work.sh; true'; true",
    "three": "sh -c \"sh -c 'sh ./work.sh; true'; true\"; true",
    "detached": "setsid sh -c 'sh ./work.sh; true' & wait; true",
}


@pytest.mark.parametrize("shells", SHELLS)
def test_an_agent_that_is_stopped_has_time_to_end(bench: SandboxBench, shells: str) -> None:
    """It hears SIGTERM, as it does without a sandbox, and is not killed with what confines it."""
    ends = "sleep 0.3; echo ended > ended; exit 0"  # by then the shells that run it have ended
    stop, tree = StopSignal(), bench.folder / "tree"
    tree.mkdir()
    (tree / "work.sh").write_text(f'trap "{ends}" TERM; echo started > started; while :; do sleep 0.1; done')
    line = SHELLS[shells]

    def ask() -> None:
        wait_until((tree / "started").exists, description="the agent runs", timeout=30)
        stop.set(StopReason.CANCEL)

    asking = threading.Thread(target=ask)
    asking.start()
    limits = TurnLimits(time_limit_seconds=60, stall_seconds=60, kill_grace_seconds=10)
    result = bench.run(line, stop=stop, limits=limits)
    asking.join()
    assert (result.ended_by, result.survivors) == (Ending.CANCEL, 0)
    assert (tree / "ended").exists()


def test_a_profile_shows_more(bench: SandboxBench) -> None:
    """Read-only or writable, at the same place."""
    for name in ("shown", "open"):
        (bench.folder / name).mkdir()
        (bench.folder / name / "file").write_text(name)
    shown, opened = bench.folder / "shown", bench.folder / "open"
    line = (
        f"cat {shown}/file {opened}/file; echo new > {opened}/file; echo new > {shown}/file && echo reached"
    )
    said = bench.run(f"{line} 2>&1; true", read=[str(shown)], write=[str(opened)]).output_tail
    assert "shownopen" in said
    assert "reached" not in said
    assert (opened / "file").read_text() == "new\n"


def test_without_a_network_nothing_is_reached(bench: SandboxBench) -> None:
    """Not even what listens on the loopback of the machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        line = CONNECT.format(family=2, address=f'("127.0.0.1", {port})')
        assert "reached" in bench.run(f"{line} 2>&1; true", network="full").output_tail
        assert "reached" not in bench.run(f"{line} 2>/dev/null; true", network="none").output_tail


def test_what_is_allowed_is_reached_by_the_proxy_alone(bench: SandboxBench) -> None:
    """A server of this machine that the profile names; another is refused, and neither is there itself."""
    fetch = (
        "import sys, urllib.request; "
        "print(urllib.request.build_opener(*{handlers}).open(sys.argv[1], timeout=10).status)"
    )
    through, past = fetch.format(handlers="[]"), fetch.format(handlers="[urllib.request.ProxyHandler({})]")
    with served_folder(bench.folder) as allowed, served_folder(bench.folder) as other:
        said = bench.run(
            f"python3 -c '{through}' http://{allowed}/; "
            f"python3 -c '{through}' http://{other}/ 2>&1 | tail -1; "
            f"python3 -c '{past}' http://{allowed}/ 2>&1 | tail -1",
            allow=[allowed],
        ).output_tail
    first, second, third = said.splitlines()[-3:]
    assert first == "200", said
    assert "403" in second, said
    assert "refused" in third, said


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """A server of HTTP on this machine's loopback; yields its address."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_nothing_outlives_a_killed_worker(bench: SandboxBench) -> None:
    """Not even what an engine runs, which descends from no process of ours: its link has ended."""
    long, worker = long_sleep(), os.fork()
    if not worker:  # a worker that waits for its agent
        try:
            bench.run(f"echo $$ > started; setsid sleep {long} & exec sleep {long}")
        finally:
            os._exit(1)
    wait_until((bench.folder / "tree" / "started").exists, description="the agent runs", timeout=30)
    wait_until(lambda: len(sleepers(long)) == 2, description="both sleep", timeout=30)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    wait_until(lambda: not sleepers(long), description="nothing is left", timeout=2)


def test_the_programs_settings_are_there_and_its_folder_is_not_the_users(bench: SandboxBench) -> None:
    """What an agent writes into its folder of sessions stays there."""
    said = bench.run('echo hook > "$COALMINE_SESSIONS/settings.json"; ls -d ~/.ssh 2>/dev/null || echo bare')
    assert "bare" in said.output_tail
    assert [path.name for path in bench.home.iterdir()] == [".ssh"]


#: What breaks each limit, and what the turn ends by.
HUNGRY = {
    "memory": ("python3 -c 'x = bytearray(300 << 20); import time; time.sleep(60)'", Ending.MEMORY_LIMIT),
    "processes": ("for i in $(seq 60); do setsid sleep 600 & done; wait", Ending.PROCESS_LIMIT),
    "a file": ("exec head -c 30000000 /dev/zero > large", Ending.FILE_LIMIT),
    "the disk": (
        "for i in 1 2 3 4; do head -c 9000000 /dev/zero > ~/$i; done; sleep 600",
        Ending.DISK_LIMIT,
    ),
}


@pytest.mark.parametrize("what", HUNGRY)
def test_a_turn_that_takes_too_much_ends_by_that(bench: SandboxBench, what: str) -> None:
    """With all its processes, by the name of the limit; a small one under the same limits does its work."""
    line, ending = HUNGRY[what]
    limits: dict[str, Any] = {
        "memory_megabytes": 200,
        "processes": 40,
        "file_megabytes": 10,
        "disk_megabytes": 20,
    }
    given = ProcessLimits().with_profile(SandboxProfile.model_validate(limits))
    turn = TurnLimits(time_limit_seconds=60, stall_seconds=60, resources=given)
    small = bench.run("head -c 1000000 /dev/zero > small; echo done", limits=turn, **limits)
    assert (small.clean, small.ended_by) == (True, Ending.RESULT)
    result = bench.run(line, limits=turn, **limits)
    assert (result.ended_by, result.clean, result.survivors) == (ending, False, 0), result.output_tail


def test_memory_that_is_mapped_nowhere_counts(tmp_path: Path) -> None:
    """In a container the engine's control group counts it."""
    line = (
        'python3 -c \'import os, time; fs = [os.memfd_create("x") for _ in range(30)]; '
        "[os.write(f, bytes(9 << 20)) for f in fs]; time.sleep(60)'"
    )
    limits = TurnLimits(
        time_limit_seconds=60, stall_seconds=60, resources=ProcessLimits(memory_bytes=200 << 20)
    )
    result = SandboxBench(folder=tmp_path).run(line, limits=limits)
    assert (result.ended_by, result.survivors) == (Ending.MEMORY_LIMIT, 0), result.output_tail


@pytest.fixture
def shop(bench: SandboxBench) -> TemporaryRepository:
    """The repository that jobs push to."""
    return new_repository(bench.folder, bare=True)


@pytest.fixture
def tree(bench: SandboxBench, shop: TemporaryRepository) -> Worktree:
    """A job's work tree, as a worker hands it out; its agent may commit."""
    bench.environment = {
        f"GIT_{who}_{what}": "a@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    remote = Remote(address=str(shop.path))
    place = RepositoryPlace(work_dir=bench.work_dir, repository="local:bank")
    return open_worktree(place, remote=remote, job_id=JOB)


#: What agents have left in trees to have the worker's git do something for them.
TRICKS = {
    "a pipe in place of the repository": "rm -rf .git; mkfifo .git",
    "a pipe in place of the tree": "cd ..; mv {tree} away; mkfifo {tree}",
    "a program in the settings": 'git config core.fsmonitor "touch {mark}; false"; echo 1 > a; git add a',
    "an embedded repository with a program": (
        "git init -q sub; cd sub; echo x > f; git add f; git commit -qm s; "
        "cd ..; git add sub; git commit -qm sub; "
        'git -C sub config core.fsmonitor "touch {mark}; false"'
    ),
    "a link to a secret": "ln -s {secret} a; git add a; git commit -qm a",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_with_a_tree_reach_nothing_on_the_host(
    bench: SandboxBench, tree: Worktree, trick: str
) -> None:
    """The repository works inside, the worker takes over what is work, and nothing of the agent's is run."""
    mark = bench.folder / "mark"
    line = TRICKS[trick].format(mark=mark, secret=bench.home / ".ssh" / "id", tree=tree.path)
    result = bench.run(f"git log -1 >/dev/null && echo works; {line}", tree=tree.path, borrowed=tree.borrowed)
    assert "works" in result.output_tail
    tree.push()
    assert not mark.exists()


#: Commits, and says in the tree that a commit of the job's branch was pushed from it.
FORGERY = """
    echo 1 > a; git add a; git commit -qm a
    log=.git/logs/refs/remotes/origin/coalmine/{job}; mkdir -p $(dirname $log)
    printf "%040d %s a <a@x> 1 +0000\\tupdate by push\\n" 0 {theirs} > $log
"""


def test_a_forged_log_of_pushes_costs_no_person_a_commit(
    bench: SandboxBench, shop: TemporaryRepository, tree: Worktree
) -> None:
    """The same word in the job's own record, which no agent reaches, has the commit replaced."""
    theirs = shop.work(tree.branch, {"fix.txt": "by a person"})
    result = bench.run(FORGERY.format(job=JOB, theirs=theirs), tree=tree.path, borrowed=tree.borrowed)
    log = tree.path / ".git" / "logs" / "refs" / "remotes" / "origin" / tree.branch
    assert result.clean
    assert theirs in log.read_text()
    with pytest.raises(PushRefusedError, match="moved"):
        tree.push()
    assert shop.tip(tree.branch) == theirs
    assert replace(tree, pushed=frozenset({theirs})).push().commit == shop.tip(tree.branch) != theirs


@pytest.mark.parametrize("is_confined", [False, True])
def test_an_agent_pushes_nothing_by_itself(
    bench: SandboxBench, shop: TemporaryRepository, tree: Worktree, *, is_confined: bool
) -> None:
    """Neither over what a person pushed meanwhile nor beside it; without a sandbox the same line does."""
    theirs = shop.work("main", {"fix.txt": "by a person"})
    push = f"git push -qf {tree.remote.address} HEAD:refs/heads/main HEAD:refs/heads/own"
    kind = bench.kind if is_confined else SandboxKind.NONE
    line = f"git commit -q --allow-empty -m own && echo committed; {push} || true"
    result = bench.run(line, tree=tree.path, borrowed=tree.borrowed, sandbox=kind)
    assert "committed" in result.output_tail
    assert (shop.tip() == theirs) == is_confined
    assert shop.git("branch", "--list", "own").strip() == ("" if is_confined else "own")
