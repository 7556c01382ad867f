"""What the command line prints of mail, of receipts and of agents.

Mail is written by agents and people: subject and body are printed without control characters, and never
read as markup.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType

from console.output.rendering import facts, heading, iso, one_line, table, text, when, word
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.mail import Mail
from tasks.agents.mail.receipt import Receipt


def mail_document(mail: Mail) -> dict[str, Any]:
    """A mail for scripts: the record without its version and its lease, and with times in ISO 8601.

    The keys are the fields of the stored record, so a field that is added there appears here as well.
    """
    times = ("sent_at", "settled_at", "deadline")
    fields = mail.model_dump(mode="json", exclude={"v", "lease_until", "fence", *times})
    return fields | {name: iso(getattr(mail, name)) for name in times}


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """The receipt of a sent mail for scripts; `created` is false when its key had been used before."""
    return {
        "id": receipt.id,
        "to": receipt.recipient,
        "type": receipt.type.value,
        "sequence": receipt.sequence,
        "created": receipt.created,
    }


def agent_document(agent: AgentRecord) -> dict[str, Any]:
    """An agent for scripts: the record without its version and a counter, and with times in ISO 8601."""
    times = ("registered_at", "finished_at", "gate_until", "gate_closed_at")
    fields = agent.model_dump(mode="json", exclude={"v", "terminal", *times})
    return fields | {name: iso(getattr(agent, name)) for name in times}


def receipts_view(receipts: Sequence[Receipt]) -> Iterator[RenderableType]:
    """Receipts for people, a line for each recipient."""
    for receipt in receipts:
        done = "sent" if receipt.created else "was sent before"
        yield f"{receipt.id} {done} to {receipt.recipient}"


def mails_view(mails: Sequence[Mail]) -> RenderableType:
    """Mails for people, one a line, in the order given. The body is only in `mail_view`."""
    if not mails:
        return "There is no such mail."
    return table(
        ("!mail", "?!sent", "from", "to", "!type", "?priority", "!state", "subject"),
        (
            (
                mail.id, when(mail.sent_at), mail.sender, mail.recipient, mail.type.value,
                mail.priority.value, word(mail.state), one_line(mail.subject, 60),
            )
            for mail in mails
        ),
    )  # fmt: skip


def mail_view(mail: Mail) -> Iterator[RenderableType]:
    """One mail for people, in full. `thread` is shown only when another mail began it."""
    yield facts(
        [
            ("mail", heading(mail.id)),
            ("subject", mail.subject),
            ("from", f"{mail.sender} ({mail.author})" if mail.author else mail.sender),
            ("to", f"{mail.recipient}, as one of {mail.group}" if mail.group else mail.recipient),
            ("type", f"{mail.type}, {mail.priority}"),
            ("sent", when(mail.sent_at)),
            ("state", word(mail.state)),
            ("reason", mail.reason),
            ("attempts", str(mail.attempts) if mail.attempts else ""),
            ("thread", mail.thread if mail.thread != mail.id else ""),
            ("answers", mail.reply_to),
            ("task", mail.task),
            ("payload", json.dumps(mail.payload, indent=2, ensure_ascii=False) if mail.payload else ""),
        ]
    )
    if mail.body:
        yield ""
        yield text(mail.body)


def agents_view(agents: Sequence[AgentRecord]) -> RenderableType:
    """Agents for people, one a line; the last column has the decision gate at which an agent waits."""
    if not agents:
        return "No agent is alive."
    return table(
        ("agent", "role", "task", "parent", ">depth", "since", "waits for a decision on"),
        (
            (
                agent.name, agent.role.value, agent.task, agent.parent or "-", str(agent.depth),
                when(agent.registered_at), agent.gate or "-",
            )
            for agent in agents
        ),
    )  # fmt: skip
