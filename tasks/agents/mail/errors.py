"""What the post office refuses."""

from routing.errors import CoalmineError, ConflictError, InvalidInputError, NotFoundError
from tasks.agents.agent_registry import FinishedAgentError, UnknownAgentError


class UnknownMailError(NotFoundError):
    """There is no such mail, its record has expired, or it is not for the one who asks."""


class NobodyReadsError(InvalidInputError):
    """The recipient takes no mail from this sender; nothing was sent."""


class ReservedTypeError(InvalidInputError):
    """Only Coalmine itself sends mail of this type; nothing was sent."""


class MailboxFullError(ConflictError):
    """Too much mail waits for the recipient; nothing was sent."""


class DecidedError(ConflictError):
    """The gate has been answered meanwhile: that nobody decided is not true, and was not sent."""


def refusal(word: str, agent: str) -> CoalmineError:
    """The error for a script's word about an agent."""
    match word:
        case "finished":
            return FinishedAgentError(f"agent {agent} has finished and takes no more mail; write to another")
        case "sender finished":
            return FinishedAgentError(f"agent {agent} has finished and sends no more mail; nothing was sent")
        case "decided":
            return DecidedError(f"agent {agent} does not wait at that gate any more; nothing was sent")
        case "full":
            return MailboxFullError(
                f"too many mails wait for {agent} already; nothing was sent: try again when it has had a turn"
            )
        case _:
            return UnknownAgentError(
                f"there is no agent {agent}; nothing was sent: name another, or write to a group"
            )
