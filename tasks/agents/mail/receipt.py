"""What a sender is told of a letter."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.store.mail.mail_store import SentMail
from tasks.agents.mail.errors import refusal
from tasks.agents.mail.mail_type import MailType


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of a letter for one recipient."""

    id: str  # of the mail
    recipient: str
    type: MailType
    sequence: int
    created: bool  # False when a repeated send found the mail of the first
    terminal: bool  # such a mail ends the sender's task


def receipts(
    answers: Sequence[SentMail], type_: MailType, *, sender: str, recipients: Sequence[str], terminal: bool
) -> list[Receipt]:
    """The receipts of what was sent. Members that ended meanwhile are left out; nobody left is an error."""
    if answers[0].word == "sender finished":
        raise refusal("sender finished", sender)
    pairs = list(zip(recipients, answers, strict=True))
    made = [
        Receipt(
            id=sent.id,
            recipient=to,
            type=type_,
            sequence=sent.sequence,
            created=sent.word == "sent",
            terminal=terminal,
        )
        for to, sent in pairs
        if sent.word in {"sent", "same"}
    ]
    if not made:
        raise refusal(answers[0].word, recipients[0])
    return made
