"""What a sink is: somewhere that notifications are sent to."""

from typing import Protocol

from routing.errors import CoalmineError
from tasks.notify.notification import Notification


class UndeliveredError(CoalmineError):
    """A sink did not take a notification. The message holds no address and no secret."""

    exit_code = 5

    def __init__(self, message: str, *, final: bool = False, again_at: float | None = None) -> None:
        super().__init__(message)
        self.final = final  # sending the same again would end the same way
        self.again_at = again_at  # from when on the sink will hear us, seconds since the epoch; None: unsaid


class Sink(Protocol):
    """Sends one notification at a time. Sending the same twice must be told by its id."""

    @property
    def name(self) -> str:
        """Under which its place and its queue are kept: `log`, `webhook`, `slack`."""
        ...

    def send(self, notification: Notification) -> None:
        """Return when it was taken, or raise UndeliveredError."""
        ...
