"""Text that is written to a forge: comments, and names of labels and users, checked before they leave."""

import re

from routing.forges.errors import ForgeInvalidError

#: The longest comment, in characters; the most that GitHub takes.
MAX_COMMENT_CHARACTERS = 65_536

#: The longest name of a label or a user, in characters.
MAX_NAME_CHARACTERS = 100


def checked_text(text: str) -> str:
    """Text as a forge can hold it: line ends of one kind, no control characters, no half characters."""
    plain = text.replace("\r\n", "\n").encode("utf-8", errors="replace").decode("utf-8")
    plain = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", plain)
    if not plain.strip() or len(plain) > MAX_COMMENT_CHARACTERS:
        message = f"a comment has 1 to {MAX_COMMENT_CHARACTERS} characters; this one has {len(plain)}"
        raise ForgeInvalidError(message)
    return plain


def checked_name(text: str) -> str:
    """A label or a user, or ForgeInvalidError: lists of them are written with commas in between."""
    name = text.strip()
    if not name or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS or "," in name:
        message = f"{text[:80]!r} is not a name; give up to 100 printable characters without a comma"
        raise ForgeInvalidError(message)
    return name
