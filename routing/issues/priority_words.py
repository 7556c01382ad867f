"""How urgent an issue is, as its labels say it."""

import re
from collections.abc import Iterable

#: Of an issue whose labels say nothing: behind the usual P0 to P4, before those that are put off on purpose.
DEFAULT_PRIORITY = 5

_LABEL = re.compile(r"(?:priority\s*[:/=-]\s*p?|p)(?P<number>[0-9])", re.IGNORECASE)


def priority_in(labels: Iterable[str]) -> int | None:
    """The most urgent of the labels `priority:1`, `P0`: 0 is the most urgent, 9 the least."""
    found = (_LABEL.fullmatch(label.strip()) for label in labels)
    return min((int(match["number"]) for match in found if match), default=None)
