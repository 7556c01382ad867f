"""How many deliveries of webhooks this process has answered, by forge and result."""

import threading
from collections.abc import Iterable
from enum import StrEnum

from console.metrics.metric_list import DELIVERIES
from console.metrics.readings import MetricReading


class DeliveryResult(StrEnum):
    """What a forge was answered."""

    SUCCESS = "success"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"  # no secret, a wrong signature, or a body that is none
    FAILED = "failed"  # the store did not answer, or is full


class DeliveryCounts:
    """Counts since the process began; safe to use from several threads. Forges are those of the settings."""

    def __init__(self, forges: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._counts = {(forge, result): 0 for forge in sorted(forges) for result in DeliveryResult}

    def add(self, forge: str, result: DeliveryResult) -> None:
        """Count one; KeyError for a name that no forge has, so that nobody can make up labels."""
        with self._lock:
            self._counts[forge, result] += 1

    def readings(self) -> list[MetricReading]:
        """A number for each forge and result, 0 for what never happened."""
        with self._lock:
            counts = dict(self._counts)
        return [
            MetricReading(DELIVERIES, count, (forge, result.value))
            for (forge, result), count in counts.items()
        ]
