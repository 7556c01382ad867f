"""What becomes of the jobs of an open trial that have no score yet: pure.

Merged work counts when its revert window has passed; all other work is waited for, until the deadline.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from console.output.rendering import iso, when_near
from harvest.settling.score import Score, ScoreStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOutlook:
    """How many jobs are open, and when the merged ones count; times in seconds since the epoch."""

    merged: int = 0  # done, and counted when nobody has taken them back
    first_counts_at: float | None = None  # None where nothing is merged
    last_counts_at: float | None = None
    working: int = 0  # neither merged nor given up

    @classmethod
    def of(cls, scores: Iterable[Score]) -> "TrialOutlook":
        """The outlook for jobs with these scores; those that are settled, or excluded, are passed over."""
        found = list(scores)
        times = [score.until for score in found if _is_merged(score) and score.until is not None]
        working = sum(score.status is ScoreStatus.OPEN and not _is_merged(score) for score in found)
        return cls(
            merged=len(times),
            first_counts_at=min(times, default=None),
            last_counts_at=max(times, default=None),
            working=working,
        )

    def words(self, at: float) -> str:
        """`12 merged, they count from Tuesday 08:49Z`, as said at a moment; "" where nothing is open."""
        parts = []
        if self.merged and self.first_counts_at is not None:
            they = "it counts from" if self.merged == 1 else "they count from"
            parts.append(f"{self.merged} merged, {they} {when_near(self.first_counts_at, at)}")
            last = self.last_counts_at
            if last is not None and last - self.first_counts_at >= 60:  # noqa: PLR2004 - another minute
                parts[-1] += f" to {when_near(last, at)}"
        if self.working:
            parts.append(f"{self.working} without an outcome yet")
        return "; ".join(parts)

    def document(self) -> dict[str, Any]:
        """The outlook for scripts."""
        return {
            "merged": self.merged,
            "first_counts_at": iso(self.first_counts_at),
            "last_counts_at": iso(self.last_counts_at),
            "working": self.working,
        }


def _is_merged(score: Score) -> bool:
    """Whether only the revert window is awaited: an open score has a reason then, and no other has one."""
    return score.status is ScoreStatus.PROVISIONAL or (
        score.status is ScoreStatus.OPEN and bool(score.reason)
    )


#: Of a trial without open jobs.
NOTHING_OPEN = TrialOutlook()
