"""What a sink is: somewhere that notifications are sent to, and what its settings have in common.

A new sink is one file with its settings and its class, and one line in `tasks.notify.settings`.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode

from routing.errors import CoalmineError, InvalidInputError
from tasks.notify.notification import Notification, NotificationKind, notification_kind


class UndeliveredError(CoalmineError):
    """A sink did not take a notification. The message holds no address and no secret.

    Exit code 5, as of everything that may work later, for commands that try a sink out.
    """

    exit_code = 5

    def __init__(self, message: str, *, final: bool = False, again_at: float | None = None) -> None:
        super().__init__(message)
        self.final = final  # sending the same again would end the same way
        self.again_at = again_at  # from when on the sink will hear us, seconds since the epoch; None: unsaid


class Sink(Protocol):
    """Sends one notification at a time, from one thread. What is sent twice has the same id both times.

    It keeps nothing that must outlive the process, and decides nothing about repetition: `Notifier` does.
    """

    @property
    def name(self) -> str:
        """The name of its settings, under which its place in the stream and its queue are kept."""
        ...

    def send(self, notification: Notification) -> None:
        """Return when it was taken, or raise UndeliveredError within the time that its settings allow."""
        ...


def _kinds(value: object) -> object:
    """Kinds with commas between them, as a variable has them, or a list of a file."""
    if isinstance(value, str):
        value = [name.strip() for name in value.strip("[] ").replace('"', "").split(",") if name.strip()]
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(notification_kind(str(name)) for name in value)
    except InvalidInputError as error:
        raise ValueError(str(error)) from None


class SinkSettings(BaseModel):
    """The settings of one sink, and what it is made from."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    kinds: Annotated[tuple[NotificationKind, ...], NoDecode, BeforeValidator(_kinds)] = ()  # (): all

    @property
    def wanted(self) -> tuple[NotificationKind, ...]:
        """The kinds that are sent there."""
        return self.kinds or tuple(NotificationKind)

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether anything is sent there."""

    @abstractmethod
    def sink(self, *, answer_seconds: float, clock: Callable[[], float]) -> Sink | None:
        """The sink that these settings describe; None when it is off.

        `answer_seconds`: how long it may be silent. `clock`: seconds since the epoch.
        """
