"""Text that people give in files or on standard input, read with a limit."""

import sys
from pathlib import Path

from routing.errors import InvalidInputError

#: The most that is read, in bytes; what is larger is refused without being read to its end.
MOST_BYTES = 1 << 20


def read_text(source: Path, *, what: str) -> str:
    """The text of a file, or of standard input for `-`; refused when it is no text or too large."""
    name = "standard input" if str(source) == "-" else str(source)
    try:
        data = _read(source)
        if len(data) > MOST_BYTES:
            message = (
                f"{name} is larger than {MOST_BYTES >> 20} MiB, too large for {what}; nothing was written"
            )
            raise InvalidInputError(message)
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{name} is no UTF-8 text (byte {error.start}), so it cannot be {what}; nothing was written"
        raise InvalidInputError(message) from error
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror or error}; name a readable file for {what}"
        raise InvalidInputError(message) from error


def said(value: str, *, what: str, hint: str) -> str:
    """Return the text, or refuse one that says nothing."""
    if not value.strip():
        message = f"{what} is empty and nothing was written; {hint}"
        raise InvalidInputError(message)
    return value


def _read(source: Path) -> bytes:
    if str(source) == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with source.open("rb") as file:
        return file.read(MOST_BYTES + 1)
