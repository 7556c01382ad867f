"""What happened to the issues of a forge's world: who did what, in its order."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime


def now() -> str:
    """The time as forges write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One thing that somebody did to an issue."""

    id: int
    issue: int  # its number
    kind: str  # GitHub's word: `labeled`, `unassigned`, `closed`
    actor: str  # login
    subject: str = ""  # the label, or whom it was assigned to
    at: str = field(default_factory=now)


class ForgeHistory:
    """All of them, oldest first."""

    def __init__(self) -> None:
        self.happened: list[Happening] = []
        self._ids = itertools.count(9_000)

    def add(self, issue: int, kind: str, actor: str, subject: str = "") -> Happening:
        """Something happened."""
        happening = Happening(id=next(self._ids), issue=issue, kind=kind, actor=actor, subject=subject)
        self.happened.append(happening)
        return happening

    def rename(self, kinds: tuple[str, ...], old: str, new: str) -> None:
        """What has another name now has it in all that happened, too."""
        self.happened = [
            replace(one, subject=new) if one.kind in kinds and one.subject == old else one
            for one in self.happened
        ]

    def of(self, issue: int, *kinds: str) -> list[Happening]:
        """What happened to one issue, of these kinds or of all."""
        return [one for one in self.happened if one.issue == issue and (not kinds or one.kind in kinds)]
