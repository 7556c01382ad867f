"""Keeps several programs running: starts, restarts and ends them, and passes their output on.

honcho, which runs our Procfile, does not fit here: when one program ends it ends them all; it takes over the
signals and blocks, so nothing else can run at the same time; and its programs outlive it when it is killed.

On Linux the programs die with the supervisor even when it is killed (see `routing.process.parent_death`). On
macOS they go on after that: end them by hand.
"""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Self

from console.local.managed_process import ManagedProcess
from console.local.managed_server import SERVER_NAME, ManagedServer
from console.local.program import Program, RestartPolicy
from routing.embedded.private_server import PrivateServer
from routing.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from routing.process.command import SpawnError
from routing.process.poll_loop import PollLoop

#: Under this name the supervisor's own lines appear among those of the programs.
OWN_NAME = "supervisor"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The longest wait for something to happen. A program that exits ends it at once on Linux; elsewhere this is
#: how late its exit may be noticed.
_LOOK_SECONDS = 0.1

#: The grace period at most when the server cannot be started again: nothing can be handed back then.
_SERVERLESS_SECONDS = 5.0

#: What is kept running.
Managed = ManagedProcess | ManagedServer

#: Takes a program's name and a line of its output.
LineSink = Callable[[str, str], None]


class ProgramFailedError(UnavailableError):
    """A program died too often; the message has the end of its output. The others were ended too."""


class LineRelay:
    """A bounded queue in front of a sink that may be slow, stuck or broken, so that no program waits for it.

    The sink is called in a thread of the relay. A line that finds the queue full is dropped and counted, and
    the count is shown with the next line. A sink that raises once gets nothing more.
    """

    def __init__(self, sink: LineSink, *, own_name: str, capacity: int = 10_000) -> None:
        self._sink = sink
        self._own_name = own_name
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(capacity)
        self._left_out = 0
        self._thread = threading.Thread(target=self._deliver, name="line-relay", daemon=True)
        self._thread.start()

    def put(self, name: str, line: str) -> None:
        """Queue a line; returns at once, from any thread."""
        try:
            self._lines.put_nowait((name, line))
        except queue.Full:
            self._left_out += 1

    def close(self, *, timeout_seconds: float = 2.0) -> None:
        """Deliver what is queued, for at most so long. Lines put after this are never delivered."""
        try:
            self._lines.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _deliver(self) -> None:
        """The relay's thread: deliver until `close`. The queue is emptied even when the sink is broken."""
        broken = False
        while (item := self._lines.get()) is not None:
            if broken:
                continue
            left_out, self._left_out = self._left_out, 0
            try:
                if left_out:
                    self._sink(self._own_name, f"{left_out} lines were left out: the output was too slow")
                self._sink(*item)
            except Exception:  # noqa: BLE001 - the sink is not our code; the programs run on without it
                broken = True


class Supervisor:
    """Runs programs until `stop`, or until one of them dies too often; then all are ended.

    In the foreground: `run()`. It takes SIGINT, SIGTERM and SIGHUP; the first asks the programs to end, the
    second kills them. Beside something else: `with Supervisor(…) as supervisor:`, which touches no signals.
    A supervisor is used once.

    It may keep a `server` running that the programs need, which runs already: one that dies is started again
    from its files as they are, also while they end. Who started it stops it after `stop`.

    A thread of its own starts, reads and ends the programs. The methods here may be called from any thread;
    they set a flag and wake that thread, or read a number that it keeps.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        on_line: LineSink,
        server: PrivateServer | None = None,
        grace_seconds: float = 10.0,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = [*(program.name for program in programs), *([SERVER_NAME] if server is not None else [])]
        if len(set(names)) != len(names):
            message = "two programs of a supervisor have the same name: give each its own"
            raise InvalidInputError(message)
        for program in programs:
            program.check()
        self._sink = on_line
        self._grace_seconds = grace_seconds
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._managed = [
            ManagedProcess(program, policy=self._policy, on_line=self._say) for program in programs
        ]
        self._servers = [
            ManagedServer(each, policy=self._policy, say=lambda line: self._say(OWN_NAME, line))
            for each in ([server] if server is not None else [])
        ]
        self._loop: PollLoop | None = None
        self._relay: LineRelay | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._stop_asked = False
        self._kill_asked = False
        self._kill_at: float | None = None  # when the programs are killed, by the clock; None before the end
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def failure(self) -> Exception | None:
        """Why the supervisor ended by itself; None while it runs, and after `stop`."""
        return self._failure

    @property
    def running(self) -> bool:
        """Whether programs are being kept running."""
        return self._thread is not None and self._thread.is_alive()

    def pid(self, name: str) -> int | None:
        """Process id of a program; None while it waits for its next start. NotFoundError: no such name."""
        return self._named(name).pid

    def starts(self, name: str) -> int:
        """How often a program was started. NotFoundError: no such name."""
        return self._named(name).starts

    def start(self) -> None:
        """Start the programs in their order; returns when each was started, or could not be."""
        if self._thread is not None:
            message = "this supervisor was started already: make another one"
            raise ConflictError(message)
        self._relay = LineRelay(self._sink, own_name=OWN_NAME)
        self._loop = PollLoop()
        # Programs on Linux live as long as the thread that starts them.
        self._thread = threading.Thread(
            target=self._serve, args=(self._loop,), name="supervisor", daemon=True
        )
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Ask all programs to end, kill those that do not within `grace_seconds`; return when all have."""
        if self._thread is None:
            return
        self._stop_asked = True
        self._wake()
        self._thread.join()
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def raise_for_failure(self) -> None:
        """Raise `failure`, if there is one."""
        if self._failure is not None:
            raise self._failure

    def run(self, *, on_ending: Callable[[float], None] | None = None) -> None:
        """Run in the foreground until a signal; raises ProgramFailedError when a program dies too often.

        While the programs end, `on_ending` is called a few times a second with the seconds that are left.
        """
        with self._signals():
            self.start()
            try:
                while self._thread is not None and self._thread.is_alive():
                    self._thread.join(_LOOK_SECONDS)  # signals are handled meanwhile
                    if on_ending is not None and self._kill_at is not None:
                        on_ending(self._kill_at - self._clock())
            finally:
                self.stop()
        self.raise_for_failure()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        # A signal that is ignored stays ignored: nohup and a shell's background jobs rely on that.
        taken = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first signal asks the programs to end, the second kills them. Runs in the main thread."""
        del number, frame
        self._kill_asked = self._stop_asked
        self._stop_asked = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.wake()

    @property
    def _all(self) -> list[Managed]:
        return [*self._servers, *self._managed]

    def _named(self, name: str) -> Managed:
        for managed in self._all:
            if managed.name == name:
                return managed
        message = f"there is no program {name}: there are {', '.join(each.name for each in self._all)}"
        raise NotFoundError(message)

    def _say(self, name: str, line: str) -> None:
        if self._relay is not None:
            self._relay.put(name, line)

    # All that follows runs in the supervisor's thread.

    def _serve(self, loop: PollLoop) -> None:
        """The whole life of the programs; however it ends, no process is left and `start` does not wait."""
        try:
            for server in self._servers:
                server.started_at = self._clock()
            for managed in self._managed:
                self._start(managed, loop)
            self._started.set()
            self._keep_running(loop)
            self._end_all(loop)
        except Exception as error:  # noqa: BLE001 - the thread's boundary; `run` raises it
            self._failure = error
        finally:
            for managed in self._managed:
                managed.collect(self._clock())
            for server in self._servers:
                server.settle()
            self._started.set()

    def _keep_running(self, loop: PollLoop) -> None:
        """Until a stop is asked for, or a program has died too often."""
        while not self._stop_asked and self._failure is None:
            due = [managed.start_at for managed in self._all if managed.start_at is not None]
            loop.pump(min([_LOOK_SECONDS, *(start_at - self._clock() for start_at in due)]))
            self._look(self._all, loop)

    def _look(self, kept: Sequence[Managed], loop: PollLoop) -> None:
        """Collect what has ended, and start what is due."""
        for managed in kept:
            if managed.has_ended():
                self._plan_restart(managed, self._collect(managed))
            elif managed.start_at is not None and managed.start_at <= self._clock():
                self._start(managed, loop)

    def _end_all(self, loop: PollLoop) -> None:
        """SIGTERM to all at once, then SIGKILL after the grace period, or at a second signal.

        The server is kept running meanwhile: the programs hand their jobs back to it.
        """
        for managed in self._managed:
            managed.start_at = None
            managed.terminate()
        began = self._clock()
        self._kill_at = began + self._grace_seconds
        while left := [managed for managed in self._managed if managed.pid is not None]:
            loop.pump(_LOOK_SECONDS)
            self._look(self._servers, loop)
            self._kill_at = began + self._grace_seconds
            for managed in left:
                if managed.has_ended() or self._kill_asked or self._clock() >= self._kill_at:
                    self._collect(managed)

    def _start(self, managed: Managed, loop: PollLoop) -> None:
        """Start a process. One that cannot be started counts as a quick death, and is tried again."""
        try:
            managed.start(loop, self._clock())
        except SpawnError as error:
            managed.quick_deaths += 1
            self._plan_restart(managed, str(error))
            return
        if managed.pid is not None:  # the server says so itself, once it answers
            self._say(OWN_NAME, f"{managed.name} started (process {managed.pid})")

    def _collect(self, managed: Managed) -> str:
        """Reap an ended process and what it left; returns how it ended, in words."""
        how = str(managed.collect(self._clock()))
        self._say(OWN_NAME, f"{managed.name} ended ({how})")
        return how

    def _plan_restart(self, managed: Managed, how: str) -> None:
        """Set when to start again, or set `_failure`, which makes `_keep_running` end everything."""
        if self._policy.gives_up(managed.quick_deaths):
            self._failure = _failure(managed, how, self._policy)
            if isinstance(managed, ManagedServer):
                self._grace_seconds = min(self._grace_seconds, _SERVERLESS_SECONDS)
            self._say(OWN_NAME, str(self._failure))
            return
        pause = self._policy.pause_seconds(managed.quick_deaths)
        managed.start_at = self._clock() + pause
        self._say(OWN_NAME, f"{managed.name} is started again in {pause:g} s")


def _failure(managed: Managed, how: str, policy: RestartPolicy) -> ProgramFailedError:
    said = "\n".join(managed.tail) or "nothing"
    return ProgramFailedError(
        f"{managed.name} died {managed.quick_deaths} times in a row, each within "
        f"{policy.quick_death_seconds:g} s of its start ({how}); everything was ended. "
        f"Repair what it complains about and start again. It said:\n{said}"
    )
