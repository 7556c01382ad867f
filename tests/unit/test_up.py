"""How `coalmine up` says what happens."""

from typing import Any

import pytest

from console.commands.up import words_of
from routing.events import Event


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("job.queued", {"version": "implementer@v1", "arm": ""}, "j1  queued  (implementer@v1)"),
        ("job.claimed", {"worker": "w1"}, "j1  started"),
        ("job.fix_forward", {"turn": 1}, "j1  CI is red, back to its agent"),
        ("job.finished", {"state": "failed", "reason": "no"}, "j1  ended  (no)"),
        ("job.settled", {"score": 1.0, "reason": "green"}, "j1  scored  (1.0, green)"),
        ("job.settled", {"excluded": True, "reason": "quota"}, "j1  scored  (left out, quota)"),
    ],
)
def test_event_in_words(kind: str, data: dict[str, Any], words: str) -> None:
    """Whom it concerns, what happened, and what else is known."""
    assert words_of(Event(id="1-0", kind=kind, at=0.0, subject="j1", data=data)) == words
