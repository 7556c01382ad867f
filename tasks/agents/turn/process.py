"""One process of a turn: an agent program, from its start to the end of everything that it started.

Blocks the calling thread, and calls every callback in it. Only the stop signal comes from other threads; it
interrupts the wait for output. Nothing here knows of a store. Code of runtimes is not trusted: whatever it
raises ends the turn as PARSER_ERROR, in words without secrets, and never the thread.
"""

import logging
import os
import time
from collections.abc import Callable

from routing.jobs.ending import Ending
from routing.process.cgroup import CgroupHome
from routing.process.child import ChildProcess
from routing.process.command import Command, Ended, SpawnError
from routing.process.descendants import Descendants, ProcessIdentity
from routing.process.line_reader import LineReader, OutputLine
from routing.process.table import ProcessTable
from tasks.agents.redaction import Redactor
from tasks.agents.runtimes.agent_event import AgentEvent, MalformedEvent
from tasks.agents.runtimes.launch import Launch, fault_words, launch_of
from tasks.agents.runtimes.runtime import Runtime, Seen, TurnInput
from tasks.agents.turn.limits import StallTimer, TurnLimits
from tasks.agents.turn.log import TurnLog
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tasks.agents.turn.tally import TurnTally

_LOG = logging.getLogger(__name__)

#: More bytes of a line than its tail needs, whatever its characters take.
_TAIL_BYTES = 32_768


def run_turn(
    runtime: Runtime,
    turn: TurnInput,
    *,
    stop: StopSignal,
    table: ProcessTable,
    home: CgroupHome | None = None,
    limits: TurnLimits | None = None,
    on_event: Callable[[AgentEvent], None] | None = None,
    on_spawn: Callable[[ProcessIdentity], None] | None = None,
    on_abort: Callable[[], object] = lambda: None,
    waits_for_person: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> TurnResult:
    """Run an agent program once. When this returns or raises, all its processes have been ended.

    The callbacks, in the order of their calls:

    - `on_spawn`: once, with the process, before anything is written to it.
    - `on_event`: with every event, as it comes. What these two raise ends the turn and is raised again.
    - `waits_for_person`: whether a decision is awaited; only if the agent has been silent for too long.
    - `on_abort`: at most once, when the agent is to be ended, before it is signalled. It may not raise.

    With a `home` the agent has a cgroup of its own there. SpawnError and RuntimeRefusedError mean that
    nothing was started.
    """
    limits = limits or TurnLimits()
    launch = launch_of(runtime, turn)
    with _files(turn, limits) as log:
        running = _ProcessTurn(
            runtime,
            turn,
            launch=launch,
            table=table,
            home=home,
            log=log,
            limits=limits,
            on_event=on_event,
            waits_for_person=waits_for_person,
            clock=clock,
        )
        try:
            if on_spawn is not None:
                on_spawn(running.descendants.identity)
        except BaseException:  # it must not live on, whatever this was
            running.child.discard()
            raise
        try:
            with stop.calling(running.child.wake):
                ended_by = running.watch(stop)
            if ended_by is not Ending.RESULT:
                on_abort()
        finally:
            running.end()
        return running.result(ended_by)


def _files(turn: TurnInput, limits: TurnLimits) -> TurnLog:
    """Write the prompt's file, readable for this user alone, and open the log.

    SpawnError when it cannot be.
    """
    try:
        for file in (turn.prompt_file, turn.log_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(turn.prompt_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as prompt:
            prompt.write(turn.prompt.encode(errors="replace"))
        return TurnLog(turn.log_file, cap=limits.log_bytes)
    except OSError as error:
        message = f"the files of a turn could not be written: {error}; see that the disk has room"
        raise SpawnError(message) from error


class _ProcessTurn:
    """A process while it runs: `watch`, then `end` whatever happened, then `result`."""

    def __init__(
        self,
        runtime: Runtime,
        turn: TurnInput,
        *,
        launch: Launch,
        table: ProcessTable,
        home: CgroupHome | None,
        log: TurnLog,
        limits: TurnLimits,
        on_event: Callable[[AgentEvent], None] | None,
        waits_for_person: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._runtime, self._turn, self._log = runtime, turn, log
        self._limits, self._on_event, self._clock = limits, on_event, clock
        self._redact = Redactor.of(turn.secrets)
        self._tally = TurnTally(billed=turn.billed, asked=turn.session_id)
        self._failure: Exception | None = None  # what `on_event` raised
        self._runtime_fault = ""  # what the runtime raised, in words; it is not asked again
        self._oversized = 0
        self._ended = Ended(exit_code=None, seconds=0.0)
        self.descendants = Descendants(table, home)
        self.child = ChildProcess.start(
            Command(argv=launch.argv, cwd=turn.worktree, environment=launch.environment, stdin=launch.prompt),
            output=LineReader(self._take_output, cap=limits.line_bytes),
            error=LineReader(self._take_error, cap=limits.line_bytes),
            descendants=self.descendants,
            clock=clock,
        )
        self._started_at = clock()
        self._stall = StallTimer(
            stall_seconds=limits.stall_seconds, now=self._started_at, waits_for_person=waits_for_person
        )

    def watch(self, stop: StopSignal) -> Ending:
        """Move bytes until the agent exits or has to be ended; says which. Raises what `on_event` raised."""
        while self._failure is None:
            if self._runtime_fault:
                return Ending.PARSER_ERROR
            if self.child.has_exited():
                return Ending.RESULT
            if (ending := self._overdue(stop)) is not None:
                return ending
            self.child.pump(self._patience())
            self._log.flush()
        raise self._failure

    def end(self) -> None:
        """End what is left of the agent, and read what it printed until then."""
        self._ended = self.child.end(grace_seconds=self._limits.kill_grace_seconds)
        if self._ended.survivors:
            _LOG.error(
                "%d processes of the agent %s could not be ended",
                self._ended.survivors, self.descendants.identity,
            )  # fmt: skip

    def result(self, ended_by: Ending) -> TurnResult:
        """Sum up. Raises what `on_event` raised meanwhile."""
        if self._failure is not None:
            raise self._failure
        seen = self._tally.seen()
        exit_code = self._ended.exit_code if ended_by is Ending.RESULT else None
        clean = exit_code is not None and self._is_clean(exit_code, seen)
        asked = self._turn.session_id
        if self._runtime_fault and ended_by is Ending.RESULT:  # it raised after the exit
            ended_by = Ending.PARSER_ERROR
        return TurnResult(
            ended_by=ended_by,
            exit_code=exit_code,
            clean=clean,
            session_id=seen.session_id or asked,
            session_lost=self._is_session_lost(exit_code, seen),
            resume_mismatch=None not in {asked, seen.session_id} and asked != seen.session_id,
            duration_seconds=self._ended.seconds,
            usage=seen.usage,
            api_error=seen.api_error,
            events=seen.events,
            malformed_lines=seen.malformed,
            oversized_lines=self._oversized,
            output_bytes=self.child.bytes_read,
            output_tail=self._tally.tail.text,
            survivors=self._ended.survivors,
            log_failure=self._log.failure,
            reason=self._runtime_fault if ended_by is Ending.PARSER_ERROR else "",
        )

    def _is_session_lost(self, exit_code: int | None, seen: Seen) -> bool:
        """Whether a session was asked for, and the program failed before it named any."""
        unseen = self._turn.session_id is not None and seen.session_id is None
        return unseen and exit_code not in {None, 0} and not self._runtime_fault

    def _is_clean(self, exit_code: int, seen: Seen) -> bool:
        """By the runtime's own definition; never when it could not read what was printed."""
        if self._runtime_fault:
            return False
        try:
            return bool(self._runtime.clean(exit_code, seen))
        except Exception as error:  # noqa: BLE001 - the boundary to code that is not ours
            self._runtime_failed(error)
            return False

    def _runtime_failed(self, error: Exception) -> None:
        """Note what the runtime raised: the turn ends by it at the next look, and it is not called again."""
        self._runtime_fault = fault_words(error, self._redact)
        _LOG.error(
            "the runtime %s raised, and ends the turn of %s: %s",
            self._runtime.name, self.descendants.identity, self._runtime_fault,
        )  # fmt: skip

    def _overdue(self, stop: StopSignal) -> Ending | None:
        """Why the agent has to be ended now, the most important first; None when it may go on."""
        if stop.reason is not None:
            return Ending(stop.reason)
        now, limits = self._clock(), self._limits
        if now >= self._started_at + limits.time_limit_seconds:
            return Ending.DEADLINE
        if now >= self._stall.due_at:
            self.child.pump(0)  # it may have spoken while a caller's `on_event` took its time
            return Ending.STALL if self._stall.is_over(now) else None
        if self.child.bytes_read > limits.output_bytes:
            return Ending.OUTPUT_LIMIT
        if limits.cost_usd is not None and self._tally.usage.cost_usd > limits.cost_usd:
            return Ending.BUDGET
        return None

    def _patience(self) -> float:
        """Seconds until the next limit is to be looked at, if nothing happens before."""
        due_at = min(self._started_at + self._limits.time_limit_seconds, self._stall.due_at)
        return due_at - self._clock()

    def _take_output(self, line: OutputLine) -> None:
        """A line of standard output: events, and a sign of life."""
        data = self._logged(line, stderr=False)
        if data or line.skipped:
            for event in self._events(data, line.skipped):
                self._deliver(event)
            self._stall.heard(self._clock())

    def _take_error(self, line: OutputLine) -> None:
        """A line of standard error: kept for people, and no sign of life."""
        data = self._logged(line, stderr=True)
        self._tally.tail.add(data[-_TAIL_BYTES:].decode(errors="replace"))

    def _logged(self, line: OutputLine, *, stderr: bool) -> bytes:
        """Write a line to the log, and return it as it stands there: without secrets."""
        data = self._redact(line.data, cut=line.skipped > 0)
        self._log.write(data, stderr=stderr, skipped=line.skipped)
        self._oversized += line.skipped > 0
        return data

    def _deliver(self, event: AgentEvent) -> None:
        """Call `on_event`, until it has raised: the lines after that are read for the log and the totals."""
        if self._on_event is None or self._failure is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  # raised again when the agent's processes have been ended
            self._failure = error

    def _events(self, data: bytes, skipped: int) -> list[AgentEvent]:
        """Read a line and count its events. A runtime that raised once is not called again."""
        if self._runtime_fault:
            return []
        try:
            events = self._parsed(data, skipped)
            for event in events:
                self._tally.add(event)
        except Exception as error:  # noqa: BLE001 - the boundary to code that is not ours
            self._runtime_failed(error)
            return []
        return events

    def _parsed(self, data: bytes, skipped: int) -> list[AgentEvent]:
        if skipped:
            return [
                MalformedEvent(reason=f"a line of {len(data) + skipped} bytes; only its beginning is logged")
            ]
        return list(self._runtime.parse(data.decode(errors="replace")))
