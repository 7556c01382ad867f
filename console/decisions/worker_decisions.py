"""What people decide about workers."""

from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from routing.errors import InvalidInputError, NotFoundError, UnavailableError
from tasks.composition.composition import Coalmine


def drain_worker(parts: Coalmine, worker: str) -> None:
    """Have a worker take nothing new, end its turns or give them back, and end.

    It is a warm shutdown: `job.drain_grace_seconds` for turns, then their jobs go back to the queue, which
    counts as no attempt. What keeps workers running starts it anew. NotFoundError for one that gave no sign
    of life of late, UnavailableError when the broker does not take the word.
    """
    if worker.startswith("beat@"):
        raise InvalidInputError(f"{worker} sends ticks and takes nothing; nothing was changed")
    known = [report.process for report in parts.clocks.reports()]
    if worker not in known:
        message = f"no worker {worker[:80]!r} has reported of late (known: {', '.join(known) or 'none'})"
        raise NotFoundError(message)
    try:
        parts.app.control.shutdown(destination=[worker])
    except (KombuError, OperationalError, OSError, RedisError) as error:
        message = f"the broker did not take the word to {worker}: {error}; nothing was changed"
        raise UnavailableError(message) from error
