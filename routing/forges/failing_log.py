"""What failed checks say, cut to a length: for the agent or the person who fixes it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Fewer characters than this say too little of a check; rather fewer checks are shown.
LEAST_OF_ONE = 200

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """One check that failed."""

    heading: str  # which one, and what it says in a line
    text: str = ""  # of any length; what it ends with matters most

    def cut(self, room: int) -> str:
        """The heading, and as much of the end as there is room for, in characters."""
        heading = " ".join(plain_lines(self.heading).split())[:room]
        text = plain_lines(self.text).strip()
        left = room - len(heading) - 1
        return f"{heading}\n{text[-left:]}" if text and left > 0 else heading


def failing_log_of(complaints: Sequence[Complaint], most_characters: int) -> str:
    """All in turn, each with an equal share of the characters; only the first ones if there are too many."""
    shown = complaints[: max(1, most_characters // LEAST_OF_ONE)]
    if not shown or most_characters <= 0:
        return ""
    room = (most_characters - 2 * (len(shown) - 1)) // len(shown)
    return "\n\n".join(complaint.cut(room) for complaint in shown)


def plain_lines(text: str) -> str:
    """Text from outside without what only a terminal understands; lines end with a line feed."""
    text = _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).encode("utf-8", errors="replace").decode("utf-8")
