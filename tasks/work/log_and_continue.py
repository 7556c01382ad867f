"""One thing's failure in a tick does not keep the next from its turn."""

from types import TracebackType
from typing import Self

import structlog

from routing.errors import CoalmineError

_log = structlog.get_logger(__name__)


class LogAndContinue:
    """Logs what is raised within and goes on after it, so that the next tick tries again.

    What a server, a forge or this machine did is a warning in one line. Anything else is a mistake of ours
    and is logged as an error with its trace. What ends a process, such as SystemExit, is not stopped.
    """

    def __init__(self, event: str, **about: str) -> None:
        self._event = event
        self._about = about
        self.failed = False  # whether something was raised that stopped here

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Whether something was raised that stops here."""
        if isinstance(error, (CoalmineError, OSError)):
            _log.warning(self._event, reason=str(error), **self._about)
        elif isinstance(error, Exception):
            _log.error(self._event, exc_info=error, **self._about)
        else:
            return False
        self.failed = True
        return True
