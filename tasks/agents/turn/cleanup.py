"""The end of a turn on a store that may be away: a step that fails does not keep the next from being made."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from routing.errors import CoalmineError, UnavailableError

T = TypeVar("T")

_log = structlog.get_logger(__name__)

#: The pause between two tries to write a turn's end to a store that does not answer.
STORE_PAUSE_SECONDS = 0.5


class TurnCleanup:
    """The steps of one turn's end. What fails is told at error level."""

    def __init__(
        self, agent: str, *, lease_ends: Callable[[], float], monotonic: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._agent = agent
        self._lease_ends = lease_ends  # of the turn, by `monotonic`
        self._monotonic = monotonic
        self._pause = pause

    def patiently(self, what: str, step: Callable[[], T]) -> T | None:
        """Try until the lease would have run out: the turn is somebody else's then. None: it never worked."""
        while True:
            try:
                return step()
            except UnavailableError as error:
                self._tell(what, error)
                if self._monotonic() >= self._lease_ends():
                    return None
                self._pause(STORE_PAUSE_SECONDS)

    def spared(self, what: str, step: Callable[[], object]) -> None:
        """Try once; what fails here does not keep the rest from being cleaned up."""
        try:
            step()
        except (CoalmineError, OSError) as error:
            self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        _log.error("turn.cleanup_failed", agent=self._agent, what=what, reason=str(error))
