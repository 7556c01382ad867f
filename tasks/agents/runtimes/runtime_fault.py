"""A runtime that raised where it may not: the version's failure, told in words that are safe to keep."""

from collections.abc import Callable

from routing.printable import printable

#: Characters that are kept of what a runtime raised.
MOST_CHARACTERS = 500


def fault_words(error: Exception, redact: Callable[[bytes], bytes] = bytes) -> str:
    """The exception's class and words in one line, without secrets; also of one that has no words."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - whoever breaks one promise may break the next
        said = ""
    # Redacted before it is cut: half a secret would not be found.
    text = redact(f"{type(error).__name__}: {said}".encode(errors="replace")).decode(errors="replace")
    return " ".join(printable(text).split())[:MOST_CHARACTERS].rstrip(": ")
