"""The circuit breaker: a server that keeps failing gets no requests for a while.

Closed: all calls go through, failures in a row are counted. Open: none does, for `open_seconds`. Then one
caller tries: an answer closes the circuit, a failure opens it again. After M. Nygard, "Release It!".
"""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Circuit:
    """Counts failures in a row; safe to share between threads. Times are seconds of a monotonic clock.

    For each call: `open_until`, then `failed` or `answered`. A caller that was let through and died reports
    neither; the next one may try after `open_seconds`.
    """

    failures_to_open: int
    open_seconds: float
    _failures: int = 0
    _closed_at: float = 0.0  # from then on one call may try again
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open_until(self, now: float) -> float | None:
        """When the next call is allowed; None when it is now, and this caller's to make."""
        with self._lock:
            if self._failures < self.failures_to_open:
                return None
            if now < self._closed_at:
                return self._closed_at
            self._closed_at = now + self.open_seconds  # one caller tries, the others wait for its result
            return None

    def failed(self, now: float) -> None:
        """Note that there was no answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= self.failures_to_open:
                self._closed_at = now + self.open_seconds

    def answered(self) -> None:
        """Note an answer, of whatever kind: also a refusal shows that the server works."""
        with self._lock:
            self._failures = 0
