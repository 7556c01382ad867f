"""The conversation of one turn: which it was to go on with, and which the agent says it is in."""

import structlog

from routing.errors import UnavailableError
from routing.store.sessions.session_store import SessionStore
from tasks.agents.runtimes.agent_event import AgentEvent, SessionEvent, Usage
from tasks.agents.session.step import Resumption
from tasks.agents.turn.leases import HeldTurn

_log = structlog.get_logger(__name__)


class Conversation:
    """The first id that is seen is saved at once, and holds whatever was asked for."""

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
        """The conversation that was asked for is not there."""
        self._resumption, self.billed = Resumption(lost=why), Usage()

    def hear(self, event: AgentEvent) -> None:
        """Note what the agent says of it."""
        if isinstance(event, SessionEvent) and self._seen is None:
            self._seen = event.session_id
        self.save()

    def save(self) -> None:
        """Save what was seen, unless that was done; a store that is away is tried again with the next."""
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
        except UnavailableError as error:
            _log.error("session.not_saved", agent=self._held.name, reason=str(error))
        else:
            self._saved = self._seen

    def consumed(self, usage: Usage, *, elsewhere: bool) -> Usage:
        """What the conversation has consumed behind a turn; `elsewhere`: it is another one than asked."""
        return usage if elsewhere else self.billed + usage
