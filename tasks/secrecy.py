"""Keeps what a process of ours knows from the agents on its machine, which run as the same user.

The kernel shows every process's first environment and arguments to all processes of its user, in
`/proc/PID/environ` and `/proc/PID/cmdline`, for as long as it lives. So at its start each process of ours

1. overwrites the values of all variables in that block that agents are not given anyway, and credentials in
   its arguments. This holds against root's processes, too, and a forked child inherits it;
2. makes itself undumpable (`PR_SET_DUMPABLE`, see prctl(2)): its environment, memory and descriptors then
   belong to root, and no process of its user may trace it. Nothing holds root back.

`os.environ`, getenv and what a child inherits stay as they were: the values move to other memory first.
A program that is run in our place is shown its environment anew. Hence nothing is started with all of ours
but our own programs, which begin with this too; between its start and that, a process can be read.
Linux only: elsewhere nothing is done.
"""

import ctypes
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from routing.process.table import MARKER
from tasks.agents.allowed_variables import reaches_agents

_SELF: Final = Path("/proc/self")
_PR_SET_DUMPABLE: Final = 4

#: Fields of /proc/PID/stat after the name, counted from the state: where arguments and environment begin
#: and end (fields 48 to 51 in proc(5)).
_BLOCK_FIELDS: Final = slice(45, 49)

#: Who logs in where: what stands between the scheme of a URL and its last @, and a password in its query.
_CREDENTIALS: Final = re.compile(rb"(?<=://)[^\0]*(?=@)|(?<=[?&]password=)[^\0&]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """What could be done in this process."""

    overwritten: bool  # values of its first environment, and credentials in its arguments
    undumpable: bool  # for processes of the same user, unless that is root


def hide_secrets() -> Hidden:
    """Keep this process's secrets from other processes; call it before it forks or starts anything."""
    if not sys.platform.startswith("linux"):
        return Hidden(overwritten=False, undumpable=False)
    overwritten = False
    with suppress(OSError, ValueError):  # a kernel or a sandbox that does not say where, or does not let us
        _overwrite()
        overwritten = True
    return Hidden(overwritten=overwritten, undumpable=_become_undumpable())


def stays_visible(name: str) -> bool:
    """Whether a variable's value may be seen: agents get it anyway, or it says whose turn we are part of."""
    return reaches_agents(name) or name == MARKER


def cover_environment(block: bytes, visible: Callable[[str], bool] = stays_visible) -> bytes:
    """A block of NAME=value, each ended by a zero, with zeros for the values that are not visible."""
    return b"\0".join(_cover_entry(entry, visible) for entry in block.split(b"\0"))


def cover_arguments(block: bytes) -> bytes:
    """The block of arguments with stars for the credentials in URLs."""
    return _CREDENTIALS.sub(lambda found: b"*" * len(found[0]), block)


def move_values(
    environment: MutableMapping[bytes, bytes], visible: Callable[[str], bool] = stays_visible
) -> None:
    """Set each variable that is to be covered anew, so that the C library keeps its value elsewhere."""
    for name, value in list(environment.items()):
        if name and not visible(os.fsdecode(name)):
            del environment[name]  # setting alone might keep a string that has the value already
            environment[name] = value


def _cover_entry(entry: bytes, visible: Callable[[str], bool]) -> bytes:
    name, equals, value = entry.partition(b"=")
    if not equals:  # no variable: somebody wrote into the block
        return bytes(len(entry))
    return entry if visible(os.fsdecode(name)) else name + equals + bytes(len(value))


def _overwrite() -> None:
    stat = (_SELF / "stat").read_bytes()
    # The name, in brackets, may itself hold brackets and blanks: fields count from the last bracket.
    numbers = stat[stat.rindex(b")") + 2 :].split()[_BLOCK_FIELDS]
    arguments, arguments_end, variables, variables_end = map(int, numbers)
    # Through the kernel, which refuses a wrong address where a pointer would end the process.
    memory = os.open(_SELF / "mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        move_values(os.environb)
        _rewrite(memory, variables, variables_end, cover_environment)
        _rewrite(memory, arguments, arguments_end, cover_arguments)
    finally:
        os.close(memory)


def _rewrite(memory: int, start: int, end: int, cover: Callable[[bytes], bytes]) -> None:
    """Write what `cover` makes of a block into its place, and nothing beyond it."""
    if not 0 < start < end:
        raise ValueError(start, end)
    block = os.pread(memory, end - start, start)
    covered = cover(block)
    if len(block) != end - start or len(covered) != len(block):
        raise ValueError(start, end)
    if covered != block and os.pwrite(memory, covered, start) != len(covered):
        raise OSError(start, end)


def _become_undumpable() -> bool:
    """Whether it was done. What an agent started stays readable, for the worker that must find and end it."""
    if MARKER in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
