"""How notifications look on the command line, and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from console.output.rendering import iso, one_line, table, when, word
from tasks.notify.dead_letter import DeadLetter


def letter_document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for scripts."""
    told = letter.notice.notification if letter.notice is not None else None
    return {
        "id": letter.id,
        "sink": letter.sink,
        "kind": told.kind.value if told else None,
        "subject": told.subject if told else None,
        "title": told.title if told else None,
        "at": iso(told.at if told else None),
        "attempts": letter.notice.attempts if letter.notice else None,
        "reason": letter.reason,
    }


def letters_view(letters: Sequence[DeadLetter]) -> RenderableType:
    """Dead letters in a row each."""
    if not letters:
        return "There is no dead letter."
    return table(
        ("notification", "sink", "kind", "happened", ">attempts", "title", "reason"),
        (
            (
                letter.id, letter.sink, word(letter.notice.notification.kind.value),
                when(letter.notice.notification.at), str(letter.notice.attempts),
                one_line(letter.notice.notification.title, 60), one_line(letter.reason, 80),
            )
            if letter.notice is not None
            else (letter.id, letter.sink, "-", "-", "-", "-", letter.reason)
            for letter in letters
        ),
    )  # fmt: skip
