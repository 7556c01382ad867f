"""Telling an agent, exactly once, that the deadline of its decision gate has passed without an answer."""

from datetime import UTC, datetime

from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.author import FLEET
from tasks.agents.mail.errors import DecidedError
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MOST_SUBJECT, Mail
from tasks.agents.mail.post_office import PostOffice


def nobody_decided(gate: Mail) -> Letter:
    """The mail to the agent that asked."""
    options = ", ".join(map(str, gate.payload.get("options", [])))
    return Letter.checked(
        to=gate.sender,
        subject=f"Nobody decided: {gate.subject}"[:MOST_SUBJECT],
        priority=gate.priority,
        body=(
            f"Nobody answered your decision gate {gate.id} by its deadline{_by(gate)}, and it is closed. "
            f"You asked to choose from: {options}. Go on with what can be undone, or say why you cannot. "
            "An answer that comes later is delivered as any other mail."
        ),
    )


def close_undecided(office: PostOffice, agent: AgentRecord, *, now: float) -> bool:
    """Close a gate whose deadline has passed, and tell its agent; one step, and none when it was answered."""
    if not agent.has_undecided_gate(now):
        return False
    gate = office.find(agent.gate)
    try:
        office.send(FLEET, nobody_decided(gate), replied=gate, if_undecided=True)
    except DecidedError:
        return False
    return True


def _by(gate: Mail) -> str:
    if gate.deadline is None:
        return ""
    return f" ({datetime.fromtimestamp(gate.deadline, tz=UTC):%Y-%m-%d %H:%M:%SZ})"
