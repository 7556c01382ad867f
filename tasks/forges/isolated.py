"""One thing's failure in a tick does not keep the next from its turn."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from routing.errors import CoalmineError

_log = structlog.get_logger(__name__)


@contextmanager
def isolated(event: str, **about: str) -> Iterator[None]:
    """Log what is raised within, and go on behind it; a mistake of ours is logged with its trace."""
    try:
        yield
    except CoalmineError as error:
        _log.warning(event, reason=str(error), **about)
    except Exception:  # noqa: BLE001 - a mistake of ours, too, stops nothing but what meets it
        _log.exception(event, **about)
