"""What the sender of a letter gets back: a receipt for each recipient, or the error that refuses it.

One mail to one address is sent or refused. A letter to a group leaves out members that ended meanwhile, and
is refused only when nobody is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.errors import CoalmineError, ConflictError, InvalidInputError, NotFoundError
from routing.store.mail.mail_store import MailAnswer, SentMail
from tasks.agents.agent_registry import FinishedAgentError, UnknownAgentError
from tasks.agents.mail.mail import MailType


class UnknownMailError(NotFoundError):
    """No mail has that id, its record has expired, or it is not for the one who asks."""


class NobodyReadsError(InvalidInputError):
    """The recipient takes no mail from this sender; nothing was sent."""


class ReservedTypeError(InvalidInputError):
    """Only Coalmine itself sends mail of this type; nothing was sent."""


class MailboxFullError(ConflictError):
    """Too much mail waits for the recipient; nothing was sent."""


class DecidedError(ConflictError):
    """The gate has been answered meanwhile, so the mail that says otherwise was not sent."""


def refusal(answer: MailAnswer, agent: str) -> CoalmineError:
    """The error for mail that an agent did not get, or could not send."""
    match answer:
        case MailAnswer.FINISHED:
            return FinishedAgentError(f"agent {agent} has finished and takes no more mail; write to another")
        case MailAnswer.SENDER_FINISHED:
            return FinishedAgentError(f"agent {agent} has finished and sends no more mail; nothing was sent")
        case MailAnswer.DECIDED:
            return DecidedError(f"agent {agent} no longer waits at that gate; nothing was sent")
        case MailAnswer.FULL:
            return MailboxFullError(
                f"too many mails wait for {agent} already; nothing was sent: try again when it has had a turn"
            )
        case _:
            return UnknownAgentError(
                f"no agent is called {agent}, so nothing was sent; name another, or write to a group"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of a letter for one recipient."""

    id: str  # of the mail
    recipient: str
    type: MailType
    sequence: int
    created: bool  # False when a repeated send found the mail of the first
    terminal: bool  # whether it ends the sender's task


def receipts(
    answers: Sequence[SentMail], type_: MailType, *, sender: str, recipients: Sequence[str], terminal: bool
) -> list[Receipt]:
    """The receipts of a sent letter; `answers` are the store's, in the order of the recipients."""
    if answers[0].answer is MailAnswer.SENDER_FINISHED:
        raise refusal(answers[0].answer, sender)
    pairs = list(zip(recipients, answers, strict=True))
    made = [
        Receipt(
            id=sent.id,
            recipient=to,
            type=type_,
            sequence=sent.sequence,
            created=sent.answer is MailAnswer.SENT,
            terminal=terminal,
        )
        for to, sent in pairs
        if sent.answer in {MailAnswer.SENT, MailAnswer.SAME}
    ]
    if not made:
        raise refusal(answers[0].answer, recipients[0])
    return made
