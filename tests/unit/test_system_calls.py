"""Which system calls a confined program is refused, by the kernel itself."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.system_calls import (
    REFUSED,
    REFUSED_MOUNTS,
    SystemCallFilters,
    as_descriptor,
    system_call_filters,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the calls are Linux's")

#: Reads a filter, has the kernel keep to it, makes calls by their numbers, and prints what they answered.
CALLS = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
code = sys.stdin.buffer.read()
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
said = {}
if code:
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code))) == 0
for name, number in json.loads(sys.argv[1]).items():
    said[name] = ctypes.get_errno() if libc.syscall(number, -1, -1, -1, -1, -1) < 0 else 0
print(json.dumps(said))
"""

#: Calls that do nothing with these arguments, filtered or not.
HARMLESS = (
    "add_key",
    "bpf",
    "io_uring_setup",
    "keyctl",
    "mount",
    "setns",
    "shmget",
    "unshare",
    "userfaultfd",
    "getpid",
)
EPERM = 1


def number(name: str) -> int:
    """Of a system call here."""
    return int(ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(name.encode()))


def answers(content: bytes) -> dict[str, int]:
    """The error of each harmless call under a filter; 0 for none."""
    asked = json.dumps({name: number(name) for name in HARMLESS})
    done = subprocess.run(
        [sys.executable, "-c", CALLS, asked], input=content, capture_output=True, check=True
    )
    return {str(name): int(error) for name, error in json.loads(done.stdout).items()}


def test_the_kernel_refuses_what_no_agent_needs() -> None:
    """And nothing else; mounts and namespaces are left to programs that make sandboxes of their own."""
    made = system_call_filters()
    alone, nesting, free = map(answers, (made.alone, made.nesting, b""))
    assert {name for name, error in alone.items() if error != EPERM} == {"getpid"}
    for name in ("mount", "setns", "unshare", "getpid"):
        assert nesting[name] == free[name]
    assert {nesting[name] for name in HARMLESS if name in REFUSED} == {EPERM}


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_MOUNTS])
def test_every_call_has_a_name_that_the_library_knows(name: str) -> None:
    """One that it does not know would be allowed."""
    assert number(name) != -1


#: Asks for shared segments of these sizes under a filter, and prints which it got.
SEGMENTS = (
    CALLS.partition("said = {}")[0]
    + """
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code))) == 0
for size in json.loads(sys.argv[1]):
    segment = libc.shmget(0, ctypes.c_size_t(size), 0o600)
    print(ctypes.get_errno() if segment < 0 else libc.shmctl(segment, 0, None))
"""
)


def test_a_shared_segment_of_more_than_a_page_is_refused() -> None:
    """A database has its lock; memory that no process maps would be beside every limit."""
    made, sizes = system_call_filters(), json.dumps([56, 4096, 4097, 300 << 20])
    for content in (made.alone, made.nesting):
        done = subprocess.run(
            [sys.executable, "-c", SEGMENTS, sizes], input=content, capture_output=True, check=True
        )
        assert done.stdout.split() == [b"0", b"0", b"1", b"1"]


def test_a_machine_without_the_library_filters_nothing() -> None:
    """Bubblewrap confines all the same."""
    assert system_call_filters("no-such-library.so.9") == SystemCallFilters()


@pytest.mark.parametrize("takes_filters", [True, False])
def test_a_bubblewrap_that_takes_no_filter_is_used_without(tmp_path: Path, *, takes_filters: bool) -> None:
    """The kernel may have none; what it said decides."""
    program = tmp_path / "bwrap"
    refused = 'case "$*" in *--seccomp*) echo "bwrap: prctl(PR_SET_SECCOMP): no" >&2; exit 1;; esac'
    program.write_text(f"#!/bin/sh\n{'' if takes_filters else refused}\n")
    program.chmod(0o700)
    found = find_bubblewrap(f"{tmp_path}:/usr/bin:/bin")
    assert found.works
    assert bool(found.filters.alone) is takes_filters


def test_a_filter_is_read_from_its_beginning() -> None:
    """By the program that inherits the descriptor."""
    with os.fdopen(as_descriptor(b"12345678"), "rb") as file:
        assert file.read() == b"12345678"
