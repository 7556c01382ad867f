"""One turn of a session: the lease, the process, and what is left when both are gone.

The order of the steps is what makes it safe:

1. win the lease, and believe nothing that was read before;
2. without anything to say, start nothing and change nothing;
3. note which terminal mail there is already;
4. start the process and register it before it is told anything;
5. write the prompt, close the input, keep the output (`run_turn`);
6. with each event: keep the lease, note the conversation;
7. end the process and all that it started (`run_turn`);
8. always: remove the registration and give the lease back.
"""

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TypeVar

import structlog

from routing.errors import CoalmineError, ConflictError, UnavailableError
from routing.store.session_store import SessionStore, TurnEnd
from tasks.agents.agent_event import AgentEvent, SessionEvent, Usage
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.delivery import message
from tasks.agents.mail.mail_claim import MailClaim
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.window import MailTurn, MailWindow
from tasks.agents.mail.worker_died import AgentEnd, tell_parent
from tasks.agents.process_group import ProcessIdentity
from tasks.agents.process_table import ProcessTable
from tasks.agents.runtime import TurnInput
from tasks.agents.session_record import SessionRecord
from tasks.agents.session_state import ALLOWED, SessionState
from tasks.agents.session_step import Resumption, SessionStep, resumption, step_after
from tasks.agents.stop_signal import StopSignal
from tasks.agents.turn import run_turn
from tasks.agents.turn_leases import HeldTurn, TurnLeases
from tasks.agents.turn_order import TurnOrder, TurnStart
from tasks.agents.turn_record import NotRun, TerminalMail, TurnRecord
from tasks.agents.turn_result import TurnResult

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: The pause between two tries to write a turn's end to a store that does not answer.
STORE_PAUSE_SECONDS = 0.5

#: For how long a turn waits for another one of its session before it is put off, and between two tries.
BUSY_SECONDS = 2.0
BUSY_PAUSE_SECONDS = 0.1


class StaleTurnError(ConflictError):
    """The turn's lease was lost: a process that was not registered was killed; nothing more is noted."""


class TurnRunner:
    """One a worker process, shared by its threads."""

    def __init__(
        self, *, sessions: SessionStore, leases: TurnLeases, agents: AgentRegistry, office: PostOffice,
        window: MailWindow, table: ProcessTable, lease_seconds: float,
        monotonic: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep,
        host: str = "",
    ) -> None:  # fmt: skip
        self.sessions = sessions
        self.leases = leases
        self.agents = agents
        self.office = office
        self.window = window
        self.table = table
        self.lease_seconds = lease_seconds
        self.monotonic = monotonic
        self.pause = pause
        self.host = host or socket.gethostname()

    def run(self, order: TurnOrder, stop: StopSignal) -> TurnRecord | NotRun:
        """Run one turn, or say why there is none. SpawnError and a store that is away are passed on."""
        name, asked_at = order.agent.name, self.monotonic()
        word, fields = self._begin(order)
        give_up_at = asked_at + BUSY_SECONDS
        while word == "busy" and stop.reason is None and self.monotonic() < give_up_at:
            self.pause(BUSY_PAUSE_SECONDS)
            asked_at = self.monotonic()
            word, fields = self._begin(order)
        if word != "ok":
            return NotRun.BUSY if word == "busy" else NotRun.OVER
        fence = int(fields["fence"])
        with self.leases.holding(name, fence, stop, asked_at=asked_at) as held:
            turn = _Turn(self, order, held)
            try:
                return turn.run(SessionRecord.parse(fields), stop)
            finally:
                turn.release()

    def _begin(self, order: TurnOrder) -> tuple[str, dict[str, str]]:
        agent = order.agent
        life = {"role": agent.role.value, "parent": agent.parent, "job": order.job}
        return self.sessions.begin(
            agent.name,
            lease_seconds=self.lease_seconds,
            worker=order.worker,
            start=life if order.begins else None,
        )


class _Turn:
    """A turn under its lease."""

    def __init__(self, runner: TurnRunner, order: TurnOrder, held: HeldTurn) -> None:
        self._runner, self._order, self._held = runner, order, held
        self._name, self._fence = held.name, held.fence
        self._claim: MailClaim | None = None
        self._desk: MailTurn | None = None  # where the agent hands in mail
        self._is_open = True  # the lease has not been given back yet
        self._seen: str | None = None  # the conversation that the agent says it is in
        self._saved: str | None = None  # the same, as the store knows it
        self._resumption = Resumption()
        self._heard_at = runner.monotonic()  # when the last event came, or the turn began

    def run(self, record: SessionRecord, stop: StopSignal) -> TurnRecord | NotRun:
        """Steps 2 to 8."""
        order, runner = self._order, self._runner
        self._resumption = resumption(
            record, runtime=order.runtime.name, resumes=order.runtime.resumes, host=runner.host
        )
        self._claim = runner.office.claim(self._name, lease_seconds=3 * runner.lease_seconds)
        self._held.also = self._keep_mail
        start = TurnStart(
            session_id=self._resumption.session_id,
            earlier=record.turns > 0,
            mail=message(self._claim.mails),
        )
        given = order.compose(start)
        if given is None or not given.prompt.strip():
            return NotRun.NOTHING_TO_SAY
        billed = record.billed if self._resumption.session_id else Usage()
        given = replace(
            given,
            session_id=self._resumption.session_id,
            billed=billed,
            environment={**given.environment, "COALMINE_MAIL": self._open_desk(given)},
        )
        newest = runner.office.terminal_sequence(self._name)
        result = run_turn(
            order.runtime,
            given,
            stop=stop,
            table=runner.table,
            limits=order.limits,
            on_spawn=self._register,
            on_event=self._hear,
            waits_for_person=lambda: runner.agents.waits_for_person(self._name),
        )
        return self._conclude(record, result, billed, newest)

    def _open_desk(self, given: TurnInput) -> str:
        folder = given.prompt_file.parent
        self._desk = MailTurn(
            agent=self._name,
            folder=folder,
            secrets=given.secrets,
            job=self._order.job,
            await_mail=self._await_mail,
        )
        return str(self._runner.window.open(self._desk))

    def _await_mail(self) -> None:
        """The agent says that its next turn waits for mail; it holds for this turn alone."""
        word = self._runner.sessions.await_others(self._name, fence=self._fence)
        if word != "ok":
            message_ = f"the turn of {self._name} is over ({word}), so that it waits for mail was not noted"
            raise StaleTurnError(message_)

    def release(self) -> None:
        """Give back what the turn has in hand, whatever happened; a store that is away is only told of."""
        if (desk := self._desk) is not None:
            self._spared("the mail's command", lambda: self._runner.window.close(desk))
        if self._is_open:
            self._spared(
                "the lease", lambda: self._runner.sessions.end(TurnEnd(name=self._name, fence=self._fence))
            )
        self._settle_mail(clean=False, reason="its turn came to nothing")

    def _register(self, process: ProcessIdentity) -> None:
        """Step 4; when this raises, the process is killed before it was told anything."""
        word = self._runner.sessions.run_by(
            self._name,
            fence=self._fence,
            allowed=ALLOWED[SessionState.IN_TURN] | {SessionState.IN_TURN},  # of a turn whose worker was lost
            process={
                "host": process.host,
                "boot_id": process.boot_id,
                "pid": str(process.pid),
                "start_ticks": "" if process.start_ticks is None else str(process.start_ticks),
                "marker": process.marker,
                "runtime": self._order.runtime.name,
            },
            lost=self._resumption.lost,
        )
        if word != "ok":
            message_ = (
                f"the process of {self._name} could not be registered ({word}) and was killed: the turn "
                f"with fence {self._fence} is no longer the session's; the job is tried again"
            )
            raise StaleTurnError(message_)

    def _hear(self, event: AgentEvent) -> None:
        self._heard_at = self._runner.monotonic()
        self._runner.leases.heard(self._held)
        if isinstance(event, SessionEvent) and self._seen is None:
            self._seen = event.session_id
        if self._seen != self._saved:
            self._save_conversation()
        self._order.on_event(event)

    def _save_conversation(self) -> None:
        try:
            self._runner.sessions.seen(
                self._name,
                fence=self._fence,
                session_id=self._seen or "",
                asked=self._resumption.session_id or "",
                host=self._runner.host,
            )
        except UnavailableError as error:  # tried again with the next event, and at the end
            _log.error("session.not_saved", agent=self._name, reason=str(error))
        else:
            self._saved = self._seen

    def _conclude(self, record: SessionRecord, result: TurnResult, billed: Usage, newest: int) -> TurnRecord:
        """Step 8 of a turn that was run: what it meant is written, and whom it concerns is told."""
        terminal_seen = bool(self._patiently("terminal mail", lambda: self._terminal(newest)))
        stored = self._patiently("the session", self._read) or record
        step = step_after(
            result,
            role=self._order.agent.role,
            terminal_seen=terminal_seen,
            awaiting=stored.awaiting,
            may_retry=self._order.may_retry,
        )
        written = step is not None and self._write(step, result, billed)
        if step is not None and written:
            self._settle_mail(clean=result.clean, reason=step.reason)
            if step.is_end:
                self._spared(
                    "the agent's end", lambda: self._tell(stored, result, terminal_seen=terminal_seen)
                )
        mail = TerminalMail.MISSING if step is not None and step.is_end else TerminalMail.NOT_DUE
        return TurnRecord(
            result=result,
            agent=self._name,
            fence=self._fence,
            resumed=self._resumption.session_id is not None,
            terminal_mail=TerminalMail.SEEN if terminal_seen else mail,
            initial=record.state,
            awaits=step is not None and step.awaits and written,
            final=step.to if step is not None and written else None,
        )

    def _terminal(self, newest: int) -> bool:
        return self._runner.office.terminal_since(self._name, newest) is not None

    def _read(self) -> SessionRecord:
        return SessionRecord.parse(self._runner.sessions.read(self._name))

    def _write(self, step: SessionStep, result: TurnResult, billed: Usage) -> bool:
        """Write the turn's end and give the lease back in one step."""
        if self._seen is not None and self._seen != self._saved:
            self._save_conversation()
        other = result.resume_mismatch or self._resumption.session_id is None
        total = result.usage if other else billed + result.usage
        flags = [*(["retry"] if step.is_retry else []), *(["mail missing"] if step.mail_missing else [])]
        end = TurnEnd(
            name=self._name,
            fence=self._fence,
            to=step.to,
            allowed=ALLOWED[step.to],
            reason=step.reason,
            fields={"billed": json.dumps(asdict(total))},
            cost_usd=result.usage.cost_usd,
            seconds=result.duration_seconds,
            job=self._order.job,
            flags=[*flags, *(["forget"] if result.session_lost else [])],
        )
        word = self._patiently("the end of the turn", lambda: self._runner.sessions.end(end))
        self._is_open = word is None
        if word != "ok":
            _log.warning("session.not_moved", agent=self._name, to=step.to.value, answer=word)
        return word == "ok"

    def _tell(self, record: SessionRecord, result: TurnResult, *, terminal_seen: bool) -> None:
        end = AgentEnd(
            ended_by=result.ended_by,
            exit_code=result.exit_code,
            clean=result.clean,
            terminal_seen=terminal_seen,
            last_activity=record.last_activity,
            stall_seconds=round(self._runner.monotonic() - self._heard_at),
        )
        tell_parent(self._runner.office, self._order.agent, end)
        self._runner.agents.finish(self._name, reason=f"its turn ended: {result.ended_by.value}")

    def _keep_mail(self) -> None:
        if self._claim is not None and self._claim.mails:
            self._runner.office.renew(self._claim, lease_seconds=3 * self._runner.lease_seconds)

    def _settle_mail(self, *, clean: bool, reason: str) -> None:
        claim, self._claim = self._claim, None
        if claim is None or not claim.mails:
            return
        office = self._runner.office
        settle = (lambda: office.ack(claim)) if clean else (lambda: office.put_back(claim, reason=reason))
        self._spared("the mail", settle)

    def _patiently(self, what: str, step: Callable[[], T]) -> T | None:
        """Try until the lease would have run out: by then the turn is somebody else's."""
        while True:
            try:
                return step()
            except UnavailableError as error:
                _log.error("turn.cleanup_failed", agent=self._name, what=what, reason=str(error))
                if self._runner.monotonic() >= self._held.lease_ends:
                    return None
                self._runner.pause(STORE_PAUSE_SECONDS)

    def _spared(self, what: str, step: Callable[[], object]) -> None:
        """What fails here is told, and does not keep the rest from being cleaned up."""
        try:
            step()
        except (CoalmineError, OSError) as error:
            _log.error("turn.cleanup_failed", agent=self._name, what=what, reason=str(error))
