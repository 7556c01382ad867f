"""What the holder of a lease learns when it looks at the lease, or extends it.

The same for all that is leased: jobs, turns and mail.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_STOP = "stop:"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseStatus:
    """The state of a lease. One that was lost may have another holder: write nothing more."""

    held: bool
    is_late: bool = False  # it has run out, but nobody has taken it: extend it now
    stop: str = ""  # why the holder is to end its work, "" when it may go on

    @classmethod
    def parse(cls, word: str) -> "LeaseStatus":
        """A script's word: 'held', 'late', 'lost', or 'stop:' and the reason."""
        if word not in {"held", "late", "lost"} and not word.startswith(_STOP):
            message = f"{word!r} is not the state of a lease"
            raise ValueError(message)
        return cls(
            held=word != "lost",
            is_late=word == "late",
            stop=word.removeprefix(_STOP) if word.startswith(_STOP) else "",
        )


def lease_statuses(words: Iterable[str]) -> list[LeaseStatus]:
    """A script's words for several leases."""
    return [LeaseStatus.parse(word) for word in words]
