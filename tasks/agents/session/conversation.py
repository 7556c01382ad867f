"""The conversation of one turn: which one it was to resume, and which one the agent says it is in.

Also, where the asked-for conversation turns out not to exist, or to be one that no model takes: whether the
turn is begun anew without it, with what limits, and how two processes become one turn's result.
"""

from dataclasses import replace

import structlog

from routing.errors import STORE_AWAY
from routing.jobs.ending import Ending
from routing.store.sessions.session_store import SessionStore
from tasks.agents.runtimes.agent_event import AgentEvent, SessionEvent, Usage
from tasks.agents.session.step import Resumption
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.order import HeldTurn
from tasks.agents.turn.result import TurnResult

_log = structlog.get_logger(__name__)


class Conversation:
    """The first id that the agent reports is saved at once, and counts, whichever was asked for.

    Used by the turn's thread alone.
    """

    def __init__(
        self, sessions: SessionStore, held: HeldTurn, *, host: str, resumption: Resumption, billed: Usage
    ) -> None:
        self._sessions = sessions
        self._held = held
        self._host = host
        self._resumption = resumption
        self._seen: str | None = None
        self._saved: str | None = None  # what the store knows of that
        #: What earlier turns of the conversation that is resumed have consumed.
        self.billed = billed if resumption.session_id else Usage()

    @property
    def asked(self) -> str | None:
        """The conversation that is to be resumed; None for a new one."""
        return self._resumption.session_id

    @property
    def lost(self) -> str:
        """Why there is an earlier one that is not resumed; "" when there is none."""
        return self._resumption.lost

    def begin_anew(self, why: str) -> None:
        """The conversation that was asked for cannot be resumed: from here on none is asked for."""
        self._resumption, self.billed = Resumption(lost=why), Usage()

    def hear(self, event: AgentEvent) -> None:
        """Note the id, if the event says one, and save what is not saved yet."""
        if isinstance(event, SessionEvent) and self._seen is None:
            self._seen = event.session_id
        self.save()

    def save(self) -> None:
        """Save the id that was seen, once.

        Never raises for a store that does not answer: the next call tries again.
        """
        if self._seen is None or self._seen == self._saved:
            return
        try:
            self._sessions.seen(
                self._held.name,
                fence=self._held.fence,
                session_id=self._seen,
                asked=self.asked or "",
                host=self._host,
            )
        except STORE_AWAY as error:
            _log.error("session.not_saved", agent=self._held.name, reason=str(error))
        else:
            self._saved = self._seen

    def consumed(self, usage: Usage, *, elsewhere: bool) -> Usage:
        """What the conversation has consumed after a turn; `elsewhere`.

        It is not the one that was asked for.
        """
        return usage if elsewhere else self.billed + usage


def needs_fresh_start(first: TurnResult, *, resumed: bool, acted: bool) -> str:
    """Why a turn is begun anew: its conversation does not exist, or no model takes it. "" if it is not.

    `resumed`: an earlier conversation was asked for. `acted`: the agent has spoken or used a tool. An agent
    that has, that the model's API failed otherwise or that died of a signal has failed at its work: that is
    for the job's next attempt.
    """
    if acted or first.ended_by is not Ending.RESULT or first.limit is not None:
        return ""
    if resumed and first.refused:
        return f"the model's API refused it: {first.refused}"
    exited = first.exit_code is not None and first.exit_code > 0
    return "its program no longer has it" if exited and first.session_lost and first.api_error is None else ""


def limits_left(limits: TurnLimits, first: TurnResult) -> TurnLimits:
    """What the first process has left of the turn's time, output and money."""
    cost = limits.cost_usd
    return replace(
        limits,
        time_limit_seconds=max(0.0, limits.time_limit_seconds - first.duration_seconds),
        output_bytes=max(0, limits.output_bytes - first.output_bytes),
        cost_usd=None if cost is None else max(0.0, cost - (first.usage.cost_usd or 0.0)),
        tokens=None if limits.tokens is None else max(0, limits.tokens - first.usage.tokens),
    )


def as_one_turn(first: TurnResult, second: TurnResult) -> TurnResult:
    """One result for a turn of two processes: how the second one ended, and what both consumed."""
    return replace(
        second,
        duration_seconds=first.duration_seconds + second.duration_seconds,
        usage=first.usage + second.usage,
        events=first.events + second.events,
        malformed_lines=first.malformed_lines + second.malformed_lines,
        oversized_lines=first.oversized_lines + second.oversized_lines,
        output_bytes=first.output_bytes + second.output_bytes,
        acted=first.acted or second.acted,
        survivors=first.survivors + second.survivors,
        log_failure=second.log_failure or first.log_failure,
    )
