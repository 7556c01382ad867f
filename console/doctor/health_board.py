"""What `doctor` finds, for a page: at once, whatever is away, and looked for again when it is no longer new.

Each group of checks runs in a thread of its own, one at a time. Who asks waits a moment for what is quick,
and gets of all others what they found before, with its age. So a forge that hangs keeps one thread, and no
page.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.doctor.findings import problem
from routing.store.redis.health import HealthFinding, Status
from tasks.work.log_and_continue import LogAndContinue

#: Seconds for which findings are new.
FRESH_SECONDS = 30.0

#: Seconds that who asks waits for what is being looked at.
WAIT_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardLine:
    """One group of checks as it is known now."""

    name: str
    findings: Sequence[HealthFinding]  # of the last look that ended; () before the first
    age_seconds: float | None  # of these; None before the first
    asking_seconds: float | None  # for which a look has been going on; None while none does


class _Group:
    """The state of one group; under the board's lock."""

    def __init__(self) -> None:
        self.findings: Sequence[HealthFinding] = ()
        self.found_at: float | None = None
        self.begun_at: float | None = None


class HealthBoard:
    """The groups of checks of one process, by name, with what each found last. Used by many threads."""

    def __init__(
        self, groups: Mapping[str, Callable[[], list[HealthFinding]]], *,
        monotonic: Callable[[], float] = time.monotonic, wait_seconds: float = WAIT_SECONDS,
    ) -> None:  # fmt: skip
        self._groups = groups
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._known = {name: _Group() for name in groups}
        self._changed = threading.Condition()

    def look(self) -> list[BoardLine]:
        """Begin to look at what is not new, wait a moment, and say what is known. Raises nothing."""
        with self._changed:
            for name in self._groups:
                self._begin(name)
            self._changed.wait_for(self._is_quiet, timeout=self._wait_seconds)
            now = self._monotonic()
            return [
                BoardLine(
                    name=name,
                    findings=group.findings,
                    age_seconds=None if group.found_at is None else now - group.found_at,
                    asking_seconds=None if group.begun_at is None else now - group.begun_at,
                )
                for name, group in self._known.items()
            ]

    def _is_quiet(self) -> bool:
        return all(group.begun_at is None for group in self._known.values())

    def _begin(self, name: str) -> None:
        group, now = self._known[name], self._monotonic()
        is_new = group.found_at is not None and now - group.found_at < FRESH_SECONDS
        if is_new or group.begun_at is not None:
            return
        group.begun_at = now
        # A daemon: the process may end although a forge hangs.
        threading.Thread(target=self._run, args=(name,), name=f"health-{name}", daemon=True).start()

    def _run(self, name: str) -> None:
        found = [problem(name, "the check itself failed", "see the log of `coalmine web`")]
        with LogAndContinue("health.failed", check=name):
            found = self._groups[name]()
        with self._changed:
            group = self._known[name]
            group.findings, group.found_at, group.begun_at = found, self._monotonic(), None
            self._changed.notify_all()


def health_document(lines: Sequence[BoardLine]) -> dict[str, Any]:
    """As `doctor --json` has it, and beside it which groups are still being looked at."""
    findings = [finding for line in lines for finding in line.findings]
    order = list(Status)  # the mildest first
    worst = max((order.index(finding.status) for finding in findings), default=0)
    return {
        "status": order[worst].value,
        "findings": [finding_document(finding) for finding in findings],
        "asking": [line.name for line in lines if line.asking_seconds is not None],
    }


def finding_document(finding: HealthFinding) -> dict[str, Any]:
    """One finding for scripts."""
    return {
        "check": finding.check,
        "status": finding.status.value,
        "message": finding.message,
        "remedy": finding.remedy,
    }
