"""The program that enters networks: whom bubblewrap's words mean, and what it does not take for an answer."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from routing.sandbox.network_entrance import Entrance, has_ended, is_first, listening, pid_in


@pytest.mark.parametrize(
    ("said", "pid"),
    [
        (b"", None),
        (b"{", None),
        (b'{\n    "child-pid": ', None),
        (b'{\n    "child-pid": 12', None),  # of more digits, it may be
        (b'{\n    "child-pid": 123\n}\n', 123),
        (b'{\n    "child-pid": 123,\n    "ipc-namespace": 40,', 123),
        (b'{"child-pid": -1}', None),
        (b'{"child-pid": none}', None),
    ],
)
def test_a_pid_is_read_when_it_is_whole(said: bytes, pid: int | None) -> None:
    """As old and new versions of bubblewrap write it."""
    assert pid_in(said) == pid


def test_a_process_of_this_machine_is_not_the_first_of_a_sandbox() -> None:
    """Its number would have been another's before."""
    assert not is_first(os.getpid())
    with pytest.raises(OSError, match="No such"):
        is_first(2**22 + 1)  # above all pids


def test_the_end_of_a_process_is_seen() -> None:
    """So that its number is not taken for its own any more."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(process.pid)
    assert not has_ended(pidfd)
    process.communicate()
    assert has_ended(pidfd)
    os.close(pidfd)


def test_what_listens_is_on_the_loopback_alone() -> None:
    """And answers at once."""
    with listening(0) as made, socket.create_connection(made.getsockname(), 20):
        assert made.getsockname()[0] == "127.0.0.1"


@pytest.fixture
def asking() -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    """The program, and where it is asked; it ends with that."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    module = sys.modules[Entrance.__module__]
    argv = [sys.executable, "-I", "-S", str(module.__file__), str(theirs.fileno())]
    process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env={})
    theirs.close()
    yield ours, process
    ours.close()
    assert process.wait(timeout=60) == 0


def asked(ours: socket.socket, said: bytes) -> bytes:
    """The answer when bubblewrap says this, and ends."""
    answer, other = socket.socketpair()
    read, write = os.pipe()
    with answer:
        socket.send_fds(ours, [b"3128"], [read, other.fileno()])
        other.close()
        os.close(read)
        os.write(write, said)
        os.close(write)
        return answer.recv(9)


def test_a_sandbox_that_never_began_has_no_network(
    asking: tuple[socket.socket, "subprocess.Popen[bytes]"],
) -> None:
    """The worker sees it, and the program goes on."""
    ours, _ = asking
    assert asked(ours, b"") == b""
    assert asked(ours, b"{") == b""


def test_no_process_but_the_first_of_a_sandbox_is_ended(
    asking: tuple[socket.socket, "subprocess.Popen[bytes]"],
) -> None:
    """The number that bubblewrap said may be another's by the time that it is read."""
    ours, process = asking
    bystander = subprocess.Popen(["sleep", "60"])
    assert asked(ours, b'{"child-pid": %d}' % bystander.pid) == b"%d" % errno.ESRCH
    ours.close()
    process.wait(timeout=60)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
