"""Adding up a turn's events while they come."""

from dataclasses import dataclass, field

from tasks.agents.agent_event import (
    AgentEvent,
    MalformedEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.output_tail import OutputTail
from tasks.agents.runtime import Seen


@dataclass(kw_only=True, slots=True)
class TurnTally:
    """Running totals of one turn, in bounded memory."""

    billed: Usage = field(default_factory=Usage)  # what earlier turns of the session consumed
    tail: OutputTail = field(default_factory=OutputTail)
    events: int = 0
    malformed: int = 0
    result: ResultEvent | None = None
    session_id: str | None = None
    usage: Usage = field(default_factory=Usage)

    def add(self, event: AgentEvent) -> None:
        """Count one event."""
        self.events += 1
        match event:
            case TextEvent(text=text):
                self.tail.add(text)
            case ResultEvent():
                self.result = event
                if event.text:
                    self.tail.add(event.text)
            case SessionEvent(session_id=session_id):
                self.session_id = self.session_id or session_id
            case UsageEvent(usage=usage, scope=scope):
                self.usage = self._total(usage, scope)
            case MalformedEvent():
                self.malformed += 1

    def seen(self) -> Seen:
        """Freeze what there is."""
        return Seen(
            events=self.events,
            malformed=self.malformed,
            result=self.result,
            session_id=self.session_id,
            usage=self.usage,
        )

    def _total(self, usage: Usage, scope: UsageScope) -> Usage:
        match scope:
            case UsageScope.STEP:
                return self.usage + usage
            case UsageScope.TURN:
                return usage
            case UsageScope.SESSION:
                return usage.since(self.billed)
