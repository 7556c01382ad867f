"""An agent that looks around: it writes down what every process that it can see shows of itself."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen

from tests.waiting import wait_until

#: Reads environment and arguments of all processes but those of its own turn, and says who its forebears are.
_PROGRAM = r"""
import json, os, sys
from pathlib import Path

def read(pid, name):
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""

def parent(pid):
    return int(read(pid, "stat").rpartition(b")")[2].split()[1])

turn = ("COALMINE_TURN=" + os.environ.get("COALMINE_TURN", "none")).encode()
seen = {}
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) != os.getpid():
        shown = read(name, "environ"), read(name, "cmdline")
        if turn not in shown[0]:
            seen[name] = b"\0".join(shown).decode("latin-1")
forebears, pid = [], os.getppid()
while pid:
    forebears.append(pid)
    pid = parent(pid)
report = Path(sys.argv[1])
found = {"seen": seen, "forebears": forebears, "own": dict(os.environ)}
part = report.with_suffix(f".{os.getpid()}")
part.write_text(json.dumps(found))
part.replace(report)
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one look brought."""

    seen: dict[str, str]  # environment and arguments by pid
    forebears: list[int]  # pids, the nearest first
    own: dict[str, str]  # the environment that the spy was given

    def showing(self, text: str) -> list[str]:
        """The processes in which a text can be read, as they show themselves."""
        return [shown for shown in self.seen.values() if text in shown]


@dataclass(frozen=True, slots=True)
class Spy:
    """The program, in a folder outside all work trees."""

    folder: Path

    def line(self, name: str) -> str:
        """The shell line that looks around and leaves a report of that name."""
        program = self.folder / "spy.py"
        program.write_text(_PROGRAM)
        return shlex.join([sys.executable, "-I", "-S", str(program), str(self._file(name))])

    def report(self, name: str) -> Report:
        """Wait for a report."""
        file = self._file(name)
        wait_until(file.exists, description=f"the spy has left the report {name}", timeout=60)
        return Report(**json.loads(file.read_text()))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"


@contextmanager
def bystander(**variables: str) -> Iterator[int]:
    """A process that hides nothing, so that a spy that sees nothing at all is found out; its pid."""
    waits = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    with Popen(waits, env=variables, stdin=DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.kill()
