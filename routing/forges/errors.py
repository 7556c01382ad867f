"""What a forge may answer instead of what was asked. Every adapter translates to these, once, at its edge."""

from typing import Literal

from routing.errors import (
    CoalmineError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)


class ForgeError(CoalmineError):
    """A forge did not do what was asked."""


class ForgeGoneError(ForgeError, NotFoundError):
    """The forge answered that the thing does not exist (HTTP 404)."""


class ForgeMovedError(ForgeGoneError):
    """An issue is no longer where it was asked for: it was moved to another repository."""

    def __init__(self, message: str, *, state: Literal["open", "closed"]) -> None:
        super().__init__(message)
        self.state = state  # that it has where it is now


class ForgeRefusedError(ForgeError, ConflictError):
    """The forge answered that this may not be done (HTTP 401 and 403, a conflict, a dirty work tree)."""


class ForgeDequeuedError(ForgeRefusedError):
    """The forge's merge queue took the change out, as its checks failed beside what is merged before it."""


class ForgeTakenOutError(ForgeRefusedError):
    """A person took the change out of the forge's merge queue: what becomes of it is theirs to say."""


class ForgeBaseGoneError(ForgeRefusedError):
    """The work began from a commit that its branch no longer has: a merge would bring that one back."""

    def __init__(self, branch: str, *, target: str, commit: str) -> None:
        message = (
            f"{branch} began from {commit[:12]}, which {target} does not have (any more), so a merge would "
            f"bring that to {target}; put the branch's own commits onto {target} by hand, if they are wanted"
        )
        super().__init__(message)


class ForgeTokenError(ForgeRefusedError):
    """The forge does not know our token (HTTP 401): it was revoked, or its time is over."""


class ForgeInvalidError(ForgeError, InvalidInputError):
    """The forge answered that the request makes no sense (any other HTTP 4xx)."""


class ForgeReplacedError(ForgeTokenError):
    """Another repository has the name of one that is served, and that one cannot be gone on with.

    A person has to look, as at a token that is refused, so work waits in the same way.
    """


class ForgeUnreachableError(ForgeError, UnavailableError):
    """The forge gave no answer. Never to be read as one: the caller waits and asks again."""

    def __init__(self, message: str, *, retry_at: float | None = None) -> None:
        super().__init__(message)
        #: From when on asking again makes sense, seconds since the epoch; None when nobody knows.
        self.retry_at = retry_at


class ForgeOutdatedError(ForgeUnreachableError):
    """The forge merges a change only once it holds the newest of its target: bring it up to date first."""


class ForgeHeldError(ForgeUnreachableError):
    """What people are at work on, in their own checkout, is in the way: wait for them, and touch nothing."""


class ForgeQueuedError(ForgeUnreachableError):
    """The merge is in the forge's merge queue, which gets on at its own pace: ask again."""

    def __init__(self, message: str, *, place: str) -> None:
        super().__init__(message)
        self.place = place  # where in the queue, and what is done there; it changes while the queue gets on


class ForgeOutcomeUnknownError(ForgeUnreachableError):
    """Something was to be written, and the answer was lost: look at what is there before writing again."""
