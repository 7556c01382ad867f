"""Decision gates that are shut: which agents wait for a person, on what, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.output.mail_views import mail_document
from routing.errors import CoalmineError
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.address import OPERATOR
from tasks.agents.mail.mail import Mail
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class ShutGate:
    """An agent that waits, and the mail that it asked by."""

    agent: AgentRecord
    mail: Mail

    @property
    def options(self) -> Sequence[str]:
        """What it offers to choose from."""
        return [str(each) for each in self.mail.payload.get("options", ())]


@dataclass(frozen=True, kw_only=True, slots=True)
class MailThread:
    """A mail with all of its thread, oldest first."""

    mail: Mail
    thread: Sequence[Mail]
    gate: ShutGate | None  # when the sender still waits for the answer to this mail

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "mail": mail_document(self.mail),
            "thread": [mail_document(each) for each in self.thread],
            "waits": self.gate is not None,
        }


def shut_gates(parts: Coalmine) -> list[ShutGate]:
    """Every gate that waits for a person, the one that ends first at the front.

    One whose mail cannot be read is left out: its record is damaged or gone, and `doctor` looks for those.
    """
    now, found = parts.now(), []
    for agent in parts.agents.live():
        if not agent.waits_for_person(now):
            continue
        try:
            found.append(ShutGate(agent=agent, mail=parts.post_office.find(agent.gate)))
        except CoalmineError:
            continue
    return sorted(found, key=lambda gate: (gate.agent.gate_until or float("inf"), gate.mail.sent_at))


def gate_document(gate: ShutGate) -> dict[str, Any]:
    """For scripts."""
    return {"agent": gate.agent.name, "job": gate.agent.job or None, "mail": mail_document(gate.mail)}


def read_mail(parts: Coalmine, mail: str, *, most: int) -> MailThread:
    """A mail with at most so many of its thread; reading does not mark it as read."""
    found = parts.post_office.find(mail)
    thread = parts.post_office.newest(most, thread=found.thread)
    is_asked = found.recipient == OPERATOR
    gate = next((each for each in shut_gates(parts) if each.mail.id == found.id), None) if is_asked else None
    return MailThread(mail=found, thread=list(reversed(thread)) or [found], gate=gate)
