"""One process of a turn: an agent program, from its start to the end of everything that it started.

Blocks the calling thread, and calls every callback in it. Only the stop signal comes from other threads; it
interrupts the wait for output. Nothing here knows of a store. Code of runtimes is not trusted: whatever it
raises ends the turn as PARSER_ERROR, in words without secrets, and never the thread.
"""

import logging
import time
from collections.abc import Callable, Sequence

from routing.accounts.limit import AccountLimit
from routing.accounts.reset_time import zone_of
from routing.jobs.ending import Ending
from routing.printable import printable
from routing.process.cgroup import CgroupHome
from routing.process.child import ChildProcess
from routing.process.command import Command, Ended
from routing.process.descendants import Descendants, ProcessIdentity
from routing.process.line_reader import LineReader, OutputLine
from routing.process.table import ProcessTable
from routing.sandbox.resource_watch import ResourceWatch
from tasks.agents.accounts.limit_words import account_limit, says_limit
from tasks.agents.redaction import Redactor
from tasks.agents.runtimes.agent_event import AgentEvent, MalformedEvent, TextEvent, Usage, UsageEvent
from tasks.agents.runtimes.json_lines import without_long_strings
from tasks.agents.runtimes.launch import Launch, fault_words, launch_of
from tasks.agents.runtimes.refusal import refusal
from tasks.agents.runtimes.runtime import Runtime, Seen, TurnInput
from tasks.agents.turn.limits import LimitTimer, ResultTimer, StallTimer, TurnLimits, ending_of
from tasks.agents.turn.log import TurnLog, write_files
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tasks.agents.turn.tally import TurnTally

_LOG = logging.getLogger(__name__)

#: What an agent of another user makes can be changed by the group that it shares with the worker.
_GROUP_UMASK = 0o002

#: How a turn ends whose program waits for the model's API in vain: by itself, or in silence.
_OF_THE_API = frozenset({Ending.RESULT, Ending.STALL, Ending.DEADLINE})

#: Reasons to stop that outweigh a result. For all others the work is done.
_OUTWEIGHING = frozenset({Ending.CANCEL, Ending.LEASE_LOST})


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
    on_life: Callable[[], object] = lambda: None,
    on_usage: Callable[[Usage], None] = lambda _: None,
    waits_for_person: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> TurnResult:
    """Run an agent program once. When this returns or raises, all its processes have been ended.

    The callbacks, in the order of their calls:

    - `on_spawn`: once, with the process, before anything is written to it.
    - `on_event`: with every event, as it comes. What these two raise ends the turn and is raised again.
    - `on_life`: when something was printed, on either stream, whether or not it is a line. It may not raise.
    - `on_usage`: what it has consumed so far, when the program says more. It may not raise.
    - `waits_for_person`: whether a decision is awaited; only if the agent has been silent for too long.
    - `on_abort`: at most once, when the agent is to be ended, before it is signalled. It may not raise.

    With a `home` the agent has a cgroup of its own there. SpawnError and RuntimeRefusedError mean that
    nothing was started.
    """
    limits = limits or TurnLimits()
    with launch_of(runtime, turn) as launch, write_files(turn, cap=limits.log_bytes) as log:
        running = _ProcessTurn(
            runtime,
            turn,
            launch=launch,
            table=table,
            home=home,
            log=log,
            limits=limits,
            on_event=on_event,
            on_life=on_life,
            on_usage=on_usage,
            waits_for_person=waits_for_person,
            clock=clock,
            wall_clock=wall_clock,
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
        on_life: Callable[[], object],
        on_usage: Callable[[Usage], None],
        waits_for_person: Callable[[], bool],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._wall_clock = wall_clock  # seconds since the epoch: programs say when a limit ends
        self._runtime, self._turn, self._log = runtime, turn, log
        self._limits, self._on_event, self._on_life, self._clock = limits, on_event, on_life, clock
        self._on_usage = on_usage
        self._redact = Redactor(turn.secrets)
        self._lines = {stderr: self._redact.following() for stderr in (False, True)}  # by stream
        self._words = self._redact.following()  # what the agent says, event by event
        self._tally = TurnTally(billed=turn.billed, asked=turn.session_id, price=turn.price, clock=wall_clock)
        self._failure: Exception | None = None  # what `on_event` raised
        self._runtime_fault = ""  # what the runtime raised, in words; it is not asked again
        self._oversized = 0
        self._ended = Ended(exit_code=None, seconds=0.0)
        self.descendants = Descendants(table, home)
        command = Command(
            argv=launch.argv,
            cwd=turn.worktree,
            environment=launch.environment,
            stdin=launch.prompt,
            umask=-1 if turn.group is None else _GROUP_UMASK,
            descriptors=launch.descriptors,
            first_process=launch.first_process,
            is_wrapper=launch.is_wrapper,
            ends_its_own=launch.sandbox is not None and not launch.is_wrapper,
        )
        self.child = ChildProcess.start(
            command,
            output=LineReader(self._take_output, cap=limits.line_bytes, shorten=without_long_strings),
            error=LineReader(self._take_error, cap=limits.line_bytes),
            descendants=self.descendants,
            clock=clock,
        )
        self._started_at = clock()
        self._stall = StallTimer(
            stall_seconds=limits.stall_seconds, now=self._started_at, waits_for_person=waits_for_person
        )
        self._result_timer = ResultTimer(
            grace_seconds=min(limits.result_grace_seconds, limits.stall_seconds),
            failure_grace_seconds=min(limits.failure_grace_seconds, limits.stall_seconds),
        )
        self._limit_timer = LimitTimer(patience_seconds=limits.limit_patience_seconds)
        self._resources = ResourceWatch(
            limits.resources, leader=self.child.pid, now=self._started_at, clock=clock,
            folders=[turn.worktree] if turn.sandbox is None else turn.sandbox.confined.written,
        )  # fmt: skip
        self._judged: Seen | None = None  # what it had said when it was ended after its result
        self._heard_bytes = 0  # as of the last look for signs of life
        self._exited_at: float | None = None  # by itself, by the wall clock

    def watch(self, stop: StopSignal) -> Ending:
        """Move bytes until the agent exits or has to be ended; says which. Raises what `on_event` raised."""
        while self._failure is None:
            if self._runtime_fault:
                return Ending.PARSER_ERROR
            if self.child.has_exited():
                self._exited_at = self._wall_clock()
                return Ending.RESULT
            if (ending := self._overdue(stop)) is not None:
                return ending
            self._pump(self._patience())
        raise self._failure

    def _pump(self, seconds: float) -> None:
        """Move bytes, and note them as signs of life."""
        self.child.pump(seconds)
        self._log.flush()
        if self.child.bytes_read != self._heard_bytes:
            self._heard_bytes = self.child.bytes_read
            self._stall.heard(self._clock())
            self._on_life()

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
        by_itself = ended_by is Ending.RESULT and self._judged is None
        exit_code = self._ended.exit_code if by_itself else None
        seen = self._tally.seen(failed_at=self._exited_at if exit_code else None)
        clean = ended_by is Ending.RESULT and self._is_clean(exit_code, self._judged or seen)
        limit = self._limit_met(seen, ended_by, clean=clean)
        clean = clean and limit is None
        asked = self._turn.session_id
        if self._runtime_fault and ended_by is Ending.RESULT:  # it raised after the exit
            ended_by = Ending.PARSER_ERROR
        if by_itself and not clean:
            box = self._turn.sandbox
            broken = (box and box.broken_limit()) or self._resources.ended_by(exit_code)
            ended_by = ending_of(broken) or ended_by
        return TurnResult(
            ended_by=ended_by,
            exit_code=exit_code,
            clean=clean,
            lingered=self._judged is not None,
            session_id=seen.session_id or asked,
            session_lost=limit is None and self._is_session_lost(exit_code, seen),
            refused="" if clean or limit else refusal(seen, self._tally.tail.text),
            resume_mismatch=None not in {asked, seen.session_id} and asked != seen.session_id,
            duration_seconds=self._ended.seconds,
            usage=seen.usage,
            limit=limit,
            acted=seen.tools > 0 or seen.usage.is_paid,
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

    def _limit_met(self, seen: Seen, ended_by: Ending, *, clean: bool) -> AccountLimit | None:
        """The limit of the account that ended the turn; none where we ended it for a reason of our own."""
        if self._runtime_fault or ended_by not in _OF_THE_API:
            return None
        zone = zone_of(self._turn.environment)
        try:
            words = self._runtime.limit_words
            return account_limit(seen, words, clean=clean, now=self._wall_clock(), zone=zone)
        except Exception as error:  # noqa: BLE001 - the boundary to code that is not ours
            self._runtime_failed(error)
            return None

    def _is_session_lost(self, exit_code: int | None, seen: Seen) -> bool:
        """Whether a session was asked for, and the program failed before it named any."""
        unseen = self._turn.session_id is not None and seen.session_id is None
        return unseen and exit_code not in {None, 0} and not self._runtime_fault

    def _is_clean(self, exit_code: int | None, seen: Seen) -> bool:
        """By the runtime's own definition; never when it could not read what was printed.

        A program that was ended after its result counts as one that exited with 0.
        """
        if self._runtime_fault or (exit_code is None and self._judged is None):
            return False
        try:
            return bool(self._runtime.clean(exit_code or 0, seen))
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
        reason = None if stop.reason is None else Ending(stop.reason)
        if self._result_timer.due_at is not None and reason not in _OUTWEIGHING:
            return self._done(self._result_timer.due_at, at_once=reason is not None)
        if reason is not None:
            return reason
        return self._limit()

    def _limit(self) -> Ending | None:
        """Which limit of the turn is reached, the most important first."""
        now, limits = self._clock(), self._limits
        if now >= self._deadline:
            return Ending.DEADLINE
        if now >= self._stall.due_at:
            self._pump(0)  # it may have spoken while a caller's `on_event` took its time
            return Ending.STALL if self._stall.is_over(now) else None
        if self._limit_timer.is_over:  # the limit that it met decides what this means
            return Ending.STALL
        if self.child.bytes_read > limits.output_bytes:
            return Ending.OUTPUT_LIMIT
        if limits.is_overspent(self._tally.usage):
            return Ending.BUDGET
        return ending_of(self._resources.look(now))

    def _done(self, due_at: float, *, at_once: bool) -> Ending | None:
        """Whether a program that has said its result, and runs, counts as done: no limit outweighs that."""
        if not at_once and self._clock() < min(due_at, self._deadline):
            return None
        self._judged = self._tally.seen()  # what it says while it is ended changes nothing
        return Ending.RESULT

    @property
    def _deadline(self) -> float:
        return self._started_at + self._limits.time_limit_seconds

    def _patience(self) -> float:
        """Seconds until the next limit is to be looked at, if nothing happens before."""
        done_at = self._result_timer.due_at
        next_at = self._stall.due_at if done_at is None else done_at
        return min(self._deadline, next_at, self._resources.due_at) - self._clock()

    def _take_output(self, line: OutputLine) -> None:
        """A line of standard output: events."""
        text = self._logged(line, stderr=False)
        if text or line.skipped:
            self._hear(lambda: self._parsed(text, line))

    def _take_error(self, line: OutputLine) -> None:
        """A line of standard error: kept for people; some programs report there alone."""
        text = self._logged(line, stderr=True)
        self._tally.add_error(text)
        if text and line.ends:
            self._hear(lambda: self._runtime.parse_error(text), stderr=True)

    def _logged(self, line: OutputLine, *, stderr: bool) -> str:
        """Write a line to the log, and return what a terminal would show of it; both without secrets."""
        text = line.data.decode(errors="replace").rstrip("\r")
        shown = text.rpartition("\r")[2]  # progress is written over
        # In this order: a secret with a terminal sequence in it would be whole again without that.
        whole = self._lines[stderr](printable(text), cut=not line.ends)
        self._log.write(whole, stderr=stderr, skipped=line.skipped)
        self._oversized += line.skipped > 0
        return whole if shown == text else self._redact(printable(shown), cut=not line.ends)

    def _deliver(self, event: AgentEvent) -> None:
        """Call `on_event`, until it has raised: the lines after that are read for the log and the totals."""
        if self._on_event is None or self._failure is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001  # raised again when the agent's processes have been ended
            self._failure = error

    def _hear(self, read: Callable[[], Sequence[AgentEvent]], *, stderr: bool = False) -> None:
        """Take what is read from a line."""
        for event in self._events(read, stderr=stderr):
            self._deliver(event)

    def _events(self, read: Callable[[], Sequence[AgentEvent]], *, stderr: bool) -> list[AgentEvent]:
        """Read a line and count its events. A runtime that raised once is not called again."""
        if self._runtime_fault:
            return []
        try:
            # Once more without secrets: JSON can spell a letter of one, or a control character, as an escape.
            events = [self._without_secrets(event) for event in read()]
            for event in events:
                self._tally.add(event, stderr=stderr)
                self._result_timer.hear(event, self._clock())
                is_limit = says_limit(event, self._runtime.limit_words)
                self._limit_timer.hear(event, self._clock(), is_limit=is_limit)
                if isinstance(event, UsageEvent):
                    self._on_usage(self._tally.usage)
        except Exception as error:  # noqa: BLE001 - the boundary to code that is not ours
            self._runtime_failed(error)
            return []
        return events

    def _without_secrets(self, event: AgentEvent) -> AgentEvent:
        if isinstance(event, TextEvent):
            return TextEvent(text=self._words(printable(event.text)))
        return self._redact.record(event)

    def _parsed(self, text: str, line: OutputLine) -> list[AgentEvent]:
        if line.ends:
            return list(self._runtime.parse(text))
        return [
            MalformedEvent(
                reason=f"a line of {len(line.data) + line.skipped} bytes; only its beginning is logged"
            )
        ]
