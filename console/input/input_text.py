"""Text from a file or from standard input, read up to a limit.

Prompts, tasks and mail all come through here, so that a binary file, a device or a huge log given by
mistake is refused in the same words everywhere, before anything is stored.
"""

import sys
from pathlib import Path

from routing.errors import InvalidInputError

#: The largest text that is accepted, in bytes; of a larger one no more than this is read.
MOST_BYTES = 1 << 20


def read_text(source: Path, *, what: str) -> str:
    """The text of a file, or of standard input for `-`; it is returned as it is, with its last newline.

    InvalidInputError when it is not UTF-8, larger than MOST_BYTES or unreadable; `what` says in it what the
    text is for, with its article ("a prompt").
    """
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
        message = (
            f"{name} is not UTF-8 text (byte {error.start}), so it cannot be {what}; nothing was written"
        )
        raise InvalidInputError(message) from error
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror or error}; name a readable file for {what}"
        raise InvalidInputError(message) from error


def not_empty(value: str, *, what: str, hint: str) -> str:
    """Return the text unchanged; InvalidInputError with the hint when it is empty or only spaces."""
    if not value.strip():
        message = f"{what} is empty and nothing was written; {hint}"
        raise InvalidInputError(message)
    return value


def _read(source: Path) -> bytes:
    """At most one byte more than the limit: enough to know that it was exceeded, and `/dev/zero` ends too."""
    if str(source) == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with source.open("rb") as file:
        return file.read(MOST_BYTES + 1)
