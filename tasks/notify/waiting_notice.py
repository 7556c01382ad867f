"""A notification on its way to one sink, as it is stored."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.notify.notification import Notification


class WaitingNotice(BaseModel):
    """With what became of it so far."""

    model_config = ConfigDict(frozen=True)

    v: Literal[1] = 1
    notification: Notification
    attempts: int = 0  # that failed
    reason: str = ""  # of the last one, in words

    def failed(self, reason: str) -> "WaitingNotice":
        """The same behind one more failure."""
        return self.model_copy(update={"attempts": self.attempts + 1, "reason": reason[:500]})

    def afresh(self) -> "WaitingNotice":
        """The same with its attempts before it."""
        return self.model_copy(update={"attempts": 0})


def parsed_notice(text: str) -> WaitingNotice | None:
    """A stored one; None when it cannot be read, or is gone."""
    try:
        return WaitingNotice.model_validate_json(text)
    except ValidationError:
        return None
