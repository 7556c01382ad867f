"""One turn of a session: the lease, the process, and what is written when both have ended.

The order of the steps is what makes it safe:

1. win the lease, and trust nothing that was read before;
2. without a prompt or mail, start nothing and change nothing;
3. note which terminal mail there is already;
4. start the process and register it before anything is written to it;
5. write the prompt, close the input, keep the output (`run_turn`);
6. with each output: renew the lease; with each event: note the conversation;
7. end the process and all that it started (`run_turn`);
8. always: remove the registration and give the lease back.

A conversation that turns out not to exist, or that the model's API refuses, is begun anew within the turn,
once (`needs_fresh_start`). What the end of a turn means for its agent depends on its job too: see
`supervision.retirement`.

Threads: a turn runs in the thread that called `run`, from end to end, callbacks included. The lease keeper's
threads only set its stop signal.
"""

import random
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from routing.errors import STORE_AWAY, CoalmineError, ConflictError
from routing.generator import Generator
from routing.jobs.ending import Ending, NotRun
from routing.process.cgroup import CgroupHome
from routing.process.descendants import ProcessIdentity
from routing.process.table import ProcessTable
from routing.store.sessions.session_store import SessionAnswer, SessionStore, TurnRefusal
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail_socket.server import MailServer
from tasks.agents.runtimes.agent_event import AgentEvent, TextEvent, ToolEvent, Usage
from tasks.agents.runtimes.refusal import is_refusal
from tasks.agents.runtimes.runtime import TurnInput
from tasks.agents.session.conversation import (
    Conversation,
    as_one_turn,
    limits_left,
    needs_fresh_start,
)
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import ALLOWED, SessionState
from tasks.agents.session.step import SessionStep, resumption
from tasks.agents.supervision.orphans import end_left_turn
from tasks.agents.turn.ending import FINISHED_PATIENCE_SECONDS, TurnCleanup, TurnEnding, TurnRecord
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.mail import TurnMail, mail_leases
from tasks.agents.turn.order import HeldTurn, TurnOrder, TurnStart
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tasks.work.lease_keeper import Lease, LeaseKeeper, LeaseKind
from tasks.work.patience import patiently

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: Seconds for which a turn waits for another turn of its session before it is put off, and between two tries.
BUSY_SECONDS = 2.0
BUSY_PAUSE_SECONDS = 0.1

#: Seconds for which a turn waits for a store that does not answer when it is to begin.
BEGIN_SECONDS = 300.0


class StaleTurnError(ConflictError):
    """The turn's lease was lost.

    Nothing more is written, and a process that could not be registered was killed.
    """


class TurnRunner:
    """Runs a turn of an agent's session, from the lease to the end of its process.

    It decides neither whether the job is tried again nor what is pushed: that is for its caller, by the
    record that `run` returns. NotRun means that no process was started: another turn has the session (BUSY,
    after two seconds of trying), the session is over (OVER), or there was nothing to say.

    The caller holds the job's lease; the turn's lease is another one, and two jobs that share an agent
    exclude each other by it. Each call needs a `stop` of its own: the lease keeper sets it when a lease is
    lost or somebody asks for the end. StaleTurnError: the turn is another holder's now, and nothing more is
    written about it.

    One a worker process, shared by its threads; keeps nothing of a turn. If the worker dies, the next turn of
    the session on this host first ends the process that is left.
    """

    def __init__(
        self, *, sessions: SessionStore, keeper: LeaseKeeper, agents: AgentRegistry, office: PostOffice,
        mail_server: MailServer, table: ProcessTable,
        monotonic: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep,
        host: str = "", home: CgroupHome | None = None, generator: Generator | None = None,
        finished_seconds: float = FINISHED_PATIENCE_SECONDS,
    ) -> None:  # fmt: skip
        self.sessions = sessions
        self.keeper = keeper
        self.turn_leases = turn_leases(sessions, keeper.times.lease_seconds)
        self.mail_leases = mail_leases(office, keeper.times.mail_lease_seconds)
        self.agents = agents
        self.office = office
        self.mail_server = mail_server
        self.table = table
        self.home = home  # of the cgroups of turns, None where there are none
        self.monotonic = monotonic
        self.pause = pause
        self.host = host or socket.gethostname()
        self.finished_seconds = finished_seconds  # for which a store that is away is offered finished work
        self.generator = generator or random.SystemRandom()  # of the jitter of back-offs

    def run(self, order: TurnOrder, stop: StopSignal) -> TurnRecord | NotRun:
        """Run one turn, or say why there was none.

        Raises what `run_turn` raises, and one of STORE_AWAY when the store did not answer for BEGIN_SECONDS
        before a process was started; the lease is given back in every case.
        """
        name = order.agent.name
        asked_at, begun = self._begin(order, stop)
        give_up_at = asked_at + BUSY_SECONDS
        while begun is TurnRefusal.BUSY and stop.reason is None and self.monotonic() < give_up_at:
            self.pause(BUSY_PAUSE_SECONDS)
            asked_at, begun = self._begin(order, stop)
        if isinstance(begun, TurnRefusal):
            return NotRun.BUSY if begun is TurnRefusal.BUSY else NotRun.OVER
        held = HeldTurn(name, int(begun["fence"]))
        with self.keeper.holding(self.turn_leases, held, stop, asked_at=asked_at) as lease:
            record = SessionRecord.parse(begun)
            if record.left:  # by a worker that is frozen or was killed, maybe at another job of this agent
                end_left_turn(record.left, self.table, self.home)
            turn = _SessionTurn(self, order, lease, record)
            try:
                return turn.run(stop)
            finally:
                turn.release()

    def _begin(self, order: TurnOrder, stop: StopSignal) -> tuple[float, dict[str, str] | TurnRefusal]:
        """Ask for the lease; the answer, and when it was asked for, by `monotonic`."""
        agent, call_id = order.agent, secrets.token_hex(8)
        life = {"role": agent.role.value, "parent": agent.parent, "job": order.job}

        def ask() -> tuple[float, dict[str, str] | TurnRefusal]:
            return self.monotonic(), self.sessions.begin(
                agent.name,
                lease_seconds=self.turn_leases.lease_seconds,
                worker=order.worker,
                start=life if order.begins else None,
                call_id=call_id,
            )

        gives_up_at = self.gives_up_at(stop)
        return patiently(
            "turn.delayed", ask, is_over=lambda: self.monotonic() >= gives_up_at(), pause=self.pause,
            agent=agent.name,
        )  # fmt: skip

    def gives_up_at(self, stop: StopSignal) -> Callable[[], float]:
        """Until when a turn that begins waits for its store, by `monotonic`; at once when it is to stop."""
        give_up_at = self.monotonic() + BEGIN_SECONDS
        return lambda: give_up_at if stop.reason is None else float("-inf")


def turn_leases(sessions: SessionStore, lease_seconds: float) -> LeaseKind[HeldTurn]:
    """The leases of turns: the watchdog asks for the end of one that stalled, people for that of any."""

    def asked_to(request: str) -> StopReason:
        stalled = request.partition(":")[0] == StopReason.STALL.value
        return StopReason.STALL if stalled else StopReason.CANCEL

    return LeaseKind(name="turn", lease_seconds=lease_seconds, renew=sessions.renew, asked_to=asked_to)


class _SessionTurn:
    """A turn under its lease."""

    def __init__(
        self, runner: TurnRunner, order: TurnOrder, lease: Lease[HeldTurn], record: SessionRecord
    ) -> None:
        self._runner, self._order, self._lease, self._record = runner, order, lease, record
        held = lease.thing
        self._name, self._fence = held
        self._mail = TurnMail(
            runner.office, runner.mail_server, agent=self._name, keeper=runner.keeper, kind=runner.mail_leases
        )
        self._conversation = Conversation(
            runner.sessions,
            held,
            host=runner.host,
            resumption=resumption(
                record, runtime=order.runtime.name, resumes=order.runtime.resumes, host=runner.host
            ),
            billed=record.billed,
        )
        self._ending = TurnEnding(
            order=order,
            held=held,
            record=record,
            sessions=runner.sessions,
            office=runner.office,
            mail=self._mail,
            conversation=self._conversation,
            host=runner.host,
            finished_seconds=runner.finished_seconds,
            cleanup=TurnCleanup(
                self._name,
                lease_ends=lambda: lease.ends,
                monotonic=runner.monotonic,
                pause=runner.pause,
                generator=runner.generator,
            ),
        )
        self._consumed = Usage()  # by processes of the turn before the one that runs
        self._started = 0  # processes that were registered
        self._acted = False  # the agent has spoken, or used a tool
        self._heard_at = runner.monotonic()  # when it last printed something, or the turn began
        self._gives_up_at = runner.gives_up_at(StopSignal())  # `run` has the turn's own

    def run(self, stop: StopSignal) -> TurnRecord | NotRun:
        """Steps 2 to 8, once; `release` must be called after it, whatever it raised."""
        self._gives_up_at = self._runner.gives_up_at(stop)
        with ExitStack() as held:
            self._until_answered("its mail", lambda: held.enter_context(self._mail.claimed()))
            return self._run(stop)

    def _until_answered(self, what: str, step: Callable[[], T]) -> T:
        """A step before the process has its prompt: nothing is paid yet, so the store is waited for."""
        return self._ending.cleanup.until_answered(what, step, gives_up_at=self._gives_up_at)

    def _run(self, stop: StopSignal) -> TurnRecord | NotRun:
        given = self._given()
        if given is None:
            return NotRun.NOTHING_TO_SAY
        self._until_answered("its terminal mail", self._ending.begin)
        result = self._process(given, stop, self._order.limits)
        consumed = result.usage
        resumed = self._conversation.asked is not None
        if why := needs_fresh_start(result, resumed=resumed, acted=self._acted):
            result, consumed = self._afresh(result, stop, why)
        silent_seconds = self._runner.monotonic() - self._heard_at
        return self._ending.conclude(result, consumed, silent_seconds=silent_seconds)

    def _given(self) -> TurnInput | None:
        """Compose the turn's input for the conversation as it is now; None when there is nothing to say."""
        conversation = self._conversation
        start = TurnStart(
            session_id=conversation.asked,
            earlier=self._record.turns > 0,
            mail=self._mail.message,
            lost=bool(conversation.lost),
        )
        given = self._order.compose(start)
        if given is None or not given.prompt.strip():
            return None
        command = self._mail.command(given, job=self._order.job, await_mail=self._await_mail)
        return replace(
            given,
            session_id=conversation.asked,
            billed=conversation.billed,
            environment={**given.environment, "COALMINE_MAIL": command},
            sandbox=self._mail.shown_in(given.sandbox),
        )

    def _process(self, given: TurnInput, stop: StopSignal, limits: TurnLimits) -> TurnResult:
        return run_turn(
            self._order.runtime,
            given,
            stop=stop,
            table=self._runner.table,
            home=self._runner.home,
            limits=limits,
            on_spawn=self._register,
            on_event=self._hear,
            on_life=self._live,
            on_usage=lambda usage: self._order.on_usage(self._consumed + usage),
            on_abort=self._ending.close_mail,
            waits_for_person=self._waits_for_person,
        )

    def _waits_for_person(self) -> bool:
        """Whether silence is allowed; yes while nobody can say."""
        try:
            return self._runner.agents.waits_for_person(self._name)
        except STORE_AWAY:
            return True

    def _afresh(self, first: TurnResult, stop: StopSignal, why: str) -> tuple[TurnResult, Usage]:
        """Start the agent once more, in a new conversation and with a recap; `why` not in the earlier one.

        Returns the result of both processes as one turn, and what the new conversation has consumed.
        """
        if stop.reason is not None:
            return replace(first, ended_by=Ending(stop.reason), exit_code=None), first.usage
        _log.warning("session.afresh", agent=self._name, session=first.session_id, reason=why)
        started = self._started
        try:
            self._conversation.begin_anew(why)
            given = self._given()
            if given is None:
                return first, first.usage
            limits = limits_left(self._order.limits, first)
            self._consumed = first.usage
            second = self._process(given, stop, limits)
        except (CoalmineError, OSError):
            if self._started == started:  # nothing runs: the session is where it was before the turn
                step = SessionStep(to=SessionState.BETWEEN_TURNS, reason=why)
                self._ending.write(step, first, first.usage)
            raise
        return as_one_turn(first, second), second.usage

    def _await_mail(self) -> None:
        """Note that the agent's next turn is to wait for mail; this is forgotten when another turn begins."""
        answer = self._runner.sessions.await_others(self._name, fence=self._fence)
        if answer is not SessionAnswer.OK:
            message_ = f"the turn of {self._name} is over ({answer}), so that it waits for mail was not noted"
            raise StaleTurnError(message_)

    def release(self) -> None:
        """Give back the lease and the mail, unless the turn's end has done so."""
        self._ending.release(was_read=self._started > 0)

    def _register(self, process: ProcessIdentity) -> None:
        """Step 4. When this raises, the process is killed before anything was written to it."""
        register = partial(
            self._runner.sessions.run_by,
            self._name,
            fence=self._fence,
            # Also of a turn whose worker was lost, or of this one's first process.
            allowed=ALLOWED[SessionState.IN_TURN] | {SessionState.IN_TURN},
            process={
                "host": process.host,
                "boot_id": process.boot_id,
                "pid": str(process.pid),
                "start_ticks": "" if process.start_ticks is None else str(process.start_ticks),
                "marker": process.marker,
                "runtime": self._order.runtime.name,
            },
            lost=self._conversation.lost,
        )
        moved = self._until_answered("its process", register)
        if not moved.done:
            message_ = (
                f"the process of {self._name} could not be registered ({moved}) and was killed: the turn "
                f"with fence {self._fence} is no longer the session's; the job is tried again"
            )
            raise StaleTurnError(message_)
        self._started += 1

    def _live(self) -> None:
        """Something was printed: the silence is over, for the turn's own worker and for the watchdog."""
        self._heard_at = self._runner.monotonic()
        self._runner.keeper.heard(self._lease)

    def _hear(self, event: AgentEvent) -> None:
        self._acted = self._acted or _is_action(event)
        self._conversation.hear(event)
        self._order.on_event(event)


#: The longest words with which a program says that the model's API refused it.
_ERROR_CHARACTERS = 4000


def _is_action(event: AgentEvent) -> bool:
    """Whether the agent did something: it used a tool, or spoke, other than of the API's refusal."""
    if isinstance(event, TextEvent):
        return len(event.text) > _ERROR_CHARACTERS or not is_refusal(event.text)
    return isinstance(event, ToolEvent)
