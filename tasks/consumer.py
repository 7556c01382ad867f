"""The part of a Celery worker that talks to the broker: it waits for a server that is away, and says so once.

Celery's own waits up to half a minute between two attempts when the server was away for long, and logs each
attempt. A fleet is to be at work within seconds of the server's return.
"""

from typing import Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

_log = structlog.get_logger(__name__)

#: Seconds before the second attempt to connect, what each further one waits longer, and the longest wait.
FIRST_WAIT_SECONDS, LONGER_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 0.3, 2.0


class PatientConsumer(Consumer):
    """Tries until the server is there, however long it takes; `app.conf.worker_consumer` names it."""

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection when it stands. Ends early only when the worker is to shut down."""
        attempts = 0

        def on_error(error: Exception, _seconds: float) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                _log.warning("broker.away", broker=conn.as_uri(), reason=str(error))

        connected = conn.ensure_connection(
            on_error,
            max_retries=None,
            interval_start=FIRST_WAIT_SECONDS,
            interval_step=LONGER_SECONDS,
            interval_max=LONGEST_WAIT_SECONDS,
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        if attempts:
            _log.info("broker.back", broker=conn.as_uri(), attempts=attempts)
        return connected
