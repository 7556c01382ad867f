"""One owner of child processes: nothing outside of routing/process starts one, or signals one."""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.source import nodes, product, tree

#: One process reads and parses the source for all of them.
pytestmark = pytest.mark.xdist_group("source")

OWNER = "routing/process/"

#: Modules whose purpose it is to start processes.
STARTERS = {"subprocess", "multiprocessing", "pty", "popen2"}

#: And the functions of `os` and `asyncio` that do.
CALLS = {"fork", "forkpty", "popen", "system", "create_subprocess_exec", "create_subprocess_shell"}
PREFIXES = ("posix_spawn", "spawn", "exec")

#: Those that may, each with its reason.
ALLOWED = {
    "console/demo/agent.py": "no part of Coalmine: the program that stands for a model in the demo",
    "routing/sandbox/network_entrance.py": "a program of its own, which has one thread, and forks",
    "tasks/work/drain.py": "shares a flag with the processes of Celery's own pool, and starts none",
}


#: The functions that signal a process by its id.
SIGNALS = {("os", "kill"), ("os", "killpg"), ("os", "pidfd_open"), ("signal", "pidfd_send_signal")}

#: Those that may, each with its reason.
ALLOWED_SIGNALS = {
    "routing/sandbox/network_entrance.py": "ends the sandboxes of a worker that has ended",
    "tasks/work/drain.py": "a process of a worker ends itself, by the signal that Celery's pool expects",
}


def signals(module: ast.Module) -> set[str]:
    """The ways in which a module signals processes."""
    found = {
        name.name
        for node in nodes(module, ast.ImportFrom)
        for name in node.names
        if (node.module, name.name) in SIGNALS
    }
    return found | {attribute for owner, attribute in _attributes(module) if (owner, attribute) in SIGNALS}


def starts(module: ast.Module) -> set[str]:
    """The ways in which a module starts processes."""
    plain = [name.name for node in nodes(module, ast.Import) for name in node.names]
    found = {name for name in plain if name.split(".")[0] in STARTERS}
    for node in nodes(module, ast.ImportFrom):
        found |= {str(node.module)} & STARTERS
        if node.module in {"os", "asyncio"}:
            found |= {name.name for name in node.names if is_start(name.name)}
    used = {attribute for owner, attribute in _attributes(module) if owner in {"os", "asyncio"}}
    return found | {attribute for attribute in used if is_start(attribute)}


def _attributes(module: ast.Module) -> Iterator[tuple[str, str]]:
    """What is read of plain names: ("os", "kill") for `os.kill`."""
    for node in nodes(module, ast.Attribute):
        if isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def is_start(name: str) -> bool:
    """Whether a function of that name starts a process."""
    return name in CALLS or name.startswith(PREFIXES)


def files_that(look: Callable[[ast.Module], set[str]]) -> dict[str, set[str]]:
    """The files of the product in which something is found, with what it is."""
    return {path.as_posix(): ways for path in product() if (ways := look(tree(path)))}


def test_nobody_else_starts_a_process() -> None:
    """Environment, pipes, time limits and the end of the whole group are decided in one room."""
    found = files_that(starts)
    outside = {path: ways for path, ways in found.items() if not path.startswith(OWNER)}
    assert set(outside) == set(ALLOWED), outside
    assert [path for path in found if path.startswith(OWNER)] == ["routing/process/child.py"]


def test_nobody_else_signals_a_process() -> None:
    """Whose process an id is, and that it has not become another's, is known in that room alone."""
    outside = {path: ways for path, ways in files_that(signals).items() if not path.startswith(OWNER)}
    assert set(outside) == set(ALLOWED_SIGNALS), outside


@pytest.mark.parametrize(
    "source", ["import os\nos.kill(1, 9)", "from os import killpg", "import os\nos.pidfd_open(1)"]
)
def test_each_signal_is_seen(source: str) -> None:
    """The test would notice."""
    assert signals(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "from subprocess import run",
        "from os import posix_spawn",
        "import os\nos.fork()",
        "import os\nos.execvp('sh', [])",
        "import asyncio\nasyncio.create_subprocess_exec('sh')",
    ],
)
def test_each_way_is_seen(source: str) -> None:
    """The test would notice."""
    assert starts(ast.parse(source))
