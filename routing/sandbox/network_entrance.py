"""The program that makes what listens in the networks of sandboxes; a worker's `SocketMaker` runs it.

It has one thread and nothing of ours, so that a fork of it is sound: one for each sandbox enters the network
there, makes sockets, sends them and ends. When its worker ends it kills the first processes of the sandboxes
that it was asked about, with all that is in them, and ends: until bubblewrap has tied a first process to its
own end, nothing else would.

A message is the ports, or `-` for none, with descriptors of a pipe, in which bubblewrap says its first
process, and of a socket. That gets `!` with descriptors of the first process and of what listens, in the
order of the ports; or the number of an error. Without ports nothing is entered.
"""

import os
import select
import signal
import socket
import sys
from errno import ESRCH
from fcntl import ioctl

_NEW_USER, _NEW_NET = 0x1000_0000, 0x4000_0000  # of setns(2)
_GET_USERNS = 0xB701  # of ioctl_ns(2)
_FREEBIND = 15  # of ip(7)

#: Seconds that a fork may take.
_FORK_SECONDS = 20

_READ_BYTES, _STATUS_BYTES, _MOST_PORTS = 4096, 65536, 4096

if sys.version_info >= (3, 12):
    _setns = os.setns
else:
    import ctypes

    _LIBC = ctypes.CDLL(None, use_errno=True)

    def _setns(descriptor: int, kind: int) -> None:
        if _LIBC.setns(descriptor, kind):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class Asked:
    """A sandbox that starts. No dataclass: what that imports takes as much memory as all else."""

    def __init__(self, ports: list[int], answer: int) -> None:
        self.ports = ports
        self.answer: int | None = answer  # where sockets are sent; None: that is done
        self.text = b""  # that bubblewrap has said so far


class Entrance:
    """Serves a worker, until that ends."""

    def __init__(self, asking: socket.socket) -> None:
        self._asking = asking
        self._lives = True  # the worker
        self._asked: dict[int, Asked] = {}  # by the pipe in which bubblewrap speaks
        self._first: set[int] = set()  # pidfds of first processes
        self._ready = select.poll()
        self._ready.register(asking, select.POLLIN)

    def serve(self) -> None:
        """Return when the worker has ended, and no sandbox can begin any more."""
        while self._lives or self._asked:
            for descriptor, _ in self._ready.poll():
                if descriptor in self._first:  # it has ended
                    self._first.remove(descriptor)
                    self._let_go(descriptor)
                elif descriptor in self._asked:
                    self._hear(descriptor)
                else:
                    self._take()

    def _take(self) -> None:
        """Take a message of the worker's, or its end."""
        ports, descriptors, _, _ = socket.recv_fds(self._asking, _MOST_PORTS, 2)
        if not ports:
            self._lives = False
            self._ready.unregister(self._asking)
            for first in self._first:
                kill(first)
            return
        said, answer = descriptors
        self._asked[said] = Asked([int(port) for port in ports.split(b",") if port != b"-"], answer)
        self._ready.register(said, select.POLLIN)

    def _hear(self, said: int) -> None:
        """Read what bubblewrap says, to its end: without a reader it would be killed."""
        asked = self._asked[said]
        part = os.read(said, _READ_BYTES)
        asked.text += part
        pid = pid_in(asked.text)
        if asked.answer is not None and (pid or not part):
            answer, asked.answer = asked.answer, None
            try:
                if pid is not None:
                    self._begin(pid, asked.ports, answer)
            except OSError as error:
                answered(answer, error)
            finally:
                os.close(answer)
        if not part:
            del self._asked[said]
            self._let_go(said)

    def _begin(self, pid: int, ports: list[int], answer: int) -> None:
        """Have a fork make the sockets; keep hold of the first process. OSError: that could not be."""
        first = held(pid)
        self._first.add(first)
        self._ready.register(first, select.POLLIN)
        if not self._lives:
            kill(first)
            return
        if not ports:
            with socket.socket(fileno=os.dup(answer)) as channel:
                socket.send_fds(channel, [b"!"], [first])
            return
        network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if has_ended(first):  # its number may have been another's by then
                raise ProcessLookupError(ESRCH, os.strerror(ESRCH))
            if os.fork() == 0:
                enter_and_send(network, ports, first, answer)
        finally:
            os.close(network)

    def _let_go(self, descriptor: int) -> None:
        self._ready.unregister(descriptor)
        os.close(descriptor)


def pid_in(text: bytes) -> int | None:
    """The first process, when bubblewrap has said it."""
    said = text.partition(b'"child-pid":')[2].lstrip()
    number = said[: len(said) - len(said.lstrip(b"0123456789"))]
    return int(number) if number and number != said else None  # else more may come


def held(pid: int) -> int:
    """A pidfd of a first process. OSError: it has ended, or its number is another's."""
    pidfd = os.pidfd_open(pid)
    try:
        if is_first(pid):
            return pidfd
    except OSError:
        os.close(pidfd)
        raise
    os.close(pidfd)
    raise ProcessLookupError(ESRCH, os.strerror(ESRCH))


def kill(pidfd: int) -> None:
    """End a first process, unless it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_first(pid: int) -> bool:
    """Whether a process is the first of a namespace within ours. OSError: it has gone."""
    status = os.open(f"/proc/{pid}/status", os.O_RDONLY)
    try:
        text = os.read(status, _STATUS_BYTES)
    finally:
        os.close(status)
    return text.partition(b"NSpid:")[2].split(b"\n")[0].split()[1:][-1:] == [b"1"]


def has_ended(pidfd: int) -> bool:
    """Whether a process has."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    return bool(ended.poll(0))


def answered(answer: int, error: OSError) -> None:
    """Say the number of an error, unless the worker has given up."""
    try:
        os.write(answer, b"%d" % (error.errno or 0))
    except OSError:
        return


def enter_and_send(network: int, ports: list[int], first: int, answer: int) -> None:
    """In a fork: enter the network, listen there, send that, and end."""
    try:
        signal.alarm(_FORK_SECONDS)
        with socket.socket(fileno=answer) as channel:
            try:
                # The namespace that owns the network: that of the first process may be another one by now, as
                # bubblewrap makes a second.
                _setns(ioctl(network, _GET_USERNS), _NEW_USER)
                _setns(network, _NEW_NET)
                made = [listening(port) for port in ports]
            except OSError as error:
                answered(channel.fileno(), error)
                return
            socket.send_fds(channel, [b"!"], [first, *(one.fileno() for one in made)])
    finally:
        os._exit(0)


def listening(port: int) -> socket.socket:
    """What listens at the loopback, which bubblewrap may not have given its address yet."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
    one.bind(("127.0.0.1", port))
    one.listen(128)
    return one


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    Entrance(socket.socket(fileno=int(sys.argv[1]))).serve()
