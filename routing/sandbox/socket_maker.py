"""What makes listening sockets in the networks of sandboxes, from outside: a small process of ours.

A socket belongs to the network in which it was made. A process enters another's network with setns(2), and
first the user namespace that owns it, which is the only way there for a user without rights. The worker
cannot: a process with threads enters no user namespace, and none ever comes back from one. A fork of the
worker must not: its other threads may hold locks at that moment, for which the child would wait for ever; its
memory is large, so that a fork takes longer than all the rest; and it would carry the secrets of all agents
into a sandbox's namespace. So a Python with nothing in it and a single thread is started once a worker, and
forks for each sandbox: that is sound, and takes about a millisecond. It knows no secret. See
`network_entrance`, its program.
"""

import os
import select
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import routing.sandbox.network_entrance
from routing.process.child import ChildProcess
from routing.process.command import Command, SpawnError
from routing.process.first_process import SandboxNetworkError

_PROGRAM = str(Path(routing.sandbox.network_entrance.__file__))

#: Seconds until there is an answer.
ANSWER_SECONDS = 20.0

#: Variables that it gets: where the libraries of some builds of Python are.
_KEPT = ("LD_LIBRARY_PATH",)

#: Seconds that the process may take to end by itself.
_END_SECONDS = 1.0

#: Bytes of an answer that has no sockets: the number of an error.
_MOST_BYTES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _MakerProcess:
    """The process, and our end of the socket at which it is asked."""

    child: ChildProcess
    channel: socket.socket
    owner: int  # pid of the process that has started it

    @classmethod
    def start(cls, program: str) -> "_MakerProcess":
        """Start it. OSError and SpawnError: it was not."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            argv = [os.path.realpath(sys.executable), "-I", "-S", program, str(number)]
            kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
            command = Command(argv=argv, cwd=Path("/"), environment=kept, descriptors=[number])
            try:
                child = ChildProcess.start(command)
            except BaseException:
                ours.close()
                raise
        return cls(child=child, channel=ours, owner=os.getpid())

    def end(self) -> None:
        """Have it end; again is harmless. A copy of it in a fork of ours has nothing to end."""
        if self.channel.fileno() == -1:
            return
        self.channel.close()
        if self.owner == os.getpid():
            self.child.pump(_END_SECONDS)  # it sees the end of the socket
            self.child.discard()


class SocketMaker:
    """One a worker process, for all sandboxes; any thread may use it.

    Its process is started when it is first needed, again when it has gone, and ends with ours, with what runs
    in the sandboxes that it was asked about.
    """

    def __init__(self, *, program: str = _PROGRAM, answer_seconds: float = ANSWER_SECONDS) -> None:
        """Its program, and how long that may take: bubblewrap has to make its namespaces meanwhile."""
        self._program, self.answer_seconds = program, answer_seconds
        self._lock = threading.Lock()
        self._process: _MakerProcess | None = None

    def ask(self, ports: Sequence[int], said: int) -> socket.socket:
        """Ask for what listens at ports of a sandbox that is about to start; where the answer comes.

        From then on that sandbox ends with this process, also one that has no ports.

        `said` is a descriptor of where bubblewrap will say its first process. SandboxNetworkError: there is
        nobody to ask.
        """
        try:
            return self._asked(",".join(map(str, ports)).encode() or b"-", said)
        except (OSError, SpawnError) as error:
            message = f"what makes the networks of sandboxes could not be started: {error}"
            raise SandboxNetworkError(message) from None

    def close(self) -> None:
        """End its process; the next use starts another."""
        with self._lock:
            kept, self._process = self._process, None
        if kept is not None:
            kept.end()

    def _asked(self, ports: bytes, said: int) -> socket.socket:
        with self._lock:
            answer, theirs = socket.socketpair()
            try:
                with theirs:
                    given = (said, theirs.fileno())
                    if self._process is None or not _sent(self._process, ports, given):
                        if self._process is not None:  # it was killed
                            self._process.end()
                        self._process = _MakerProcess.start(self._program)
                        weakref.finalize(self, self._process.end)
                        socket.send_fds(self._process.channel, [ports], given)
            except BaseException:
                answer.close()
                raise
            return answer


def _sent(kept: _MakerProcess, ports: bytes, descriptors: Sequence[int]) -> bool:
    """Whether the process was there to be asked. That of a process that has forked us is not ours."""
    if kept.owner != os.getpid():
        return False
    with suppress(BrokenPipeError, ConnectionResetError):
        socket.send_fds(kept.channel, [ports], descriptors)
        return True
    return False


class ListeningNetwork:
    """The network of one sandbox: something listens there before its program runs. See `Preparation`."""

    def __init__(
        self, maker: SocketMaker, ports: Sequence[int], listen: Callable[[Sequence[socket.socket]], object]
    ) -> None:
        """`listen` takes what listens at the ports, in that order, to answer there."""
        self._maker, self._ports, self._listen = maker, ports, listen
        self._answer: socket.socket | None = None

    def ask(self, said: int) -> None:
        """See there."""
        self._answer = self._maker.ask(self._ports, said)

    def done(self) -> int:
        """See there."""
        assert self._answer is not None  # noqa: S101 - `ask` came before
        first, sockets = _received(self._answer, len(self._ports), self._maker.answer_seconds)
        self._listen(sockets)
        return first

    def close(self) -> None:
        """See there."""
        if self._answer is not None:
            self._answer.close()


def _received(answer: socket.socket, count: int, seconds: float) -> tuple[int, list[socket.socket]]:
    """A pidfd of the first process, and the sockets that were made, all of them."""
    ready = select.poll()
    ready.register(answer, select.POLLIN)
    if not ready.poll(seconds * 1000):
        message = f"the network of a sandbox was not made within {seconds:g} s"
        raise SandboxNetworkError(message)
    said, descriptors, _, _ = socket.recv_fds(answer, _MOST_BYTES, 1 + count)
    if len(descriptors) == 1 + count:
        return descriptors[0], [socket.socket(fileno=descriptor) for descriptor in descriptors[1:]]
    for descriptor in descriptors:
        os.close(descriptor)
    if said.isdigit():
        error = OSError(int(said), os.strerror(int(said)))
        message = f"the network of a sandbox could not be entered from outside: {error.strerror}"
        raise SandboxNetworkError(message) from error
    message = "the sandbox, or what makes its network, ended before there was one"
    raise SandboxNetworkError(message)
