"""How long to wait before something that failed is tried again: jobs, notifications, requests to forges.

Each has its own bounds in the settings; the curve is the same for all. Who changes only one of them does it
where that one decides (for jobs in `routing.jobs.retry`).
"""

from dataclasses import dataclass

from routing.generator import Generator


@dataclass(frozen=True, kw_only=True, slots=True)
class BackOff:
    """Seconds to wait before the next attempt: doubling, capped, with jitter over its upper half.

    Of the kinds of jitter this is the one called "equal" in
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first_seconds: float = 5.0
    cap_seconds: float = 300.0

    def seconds(self, attempts: int, generator: Generator) -> float:
        """The delay after `attempts` attempts, which are 1 or more."""
        full = min(self.cap_seconds, self.first_seconds * 2.0 ** max(0, attempts - 1))
        return full * (0.5 + 0.5 * generator.random())
