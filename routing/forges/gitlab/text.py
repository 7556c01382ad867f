"""Text that is written to GitLab, where a line that begins with `/` is a command to the forge itself.

Notes and descriptions are carried out line by line, with the rights of their author:
https://docs.gitlab.com/user/project/quick_actions/. What agents and issues say must not be.
"""

import re

from routing.forges.written_text import checked_text

_COMMAND = re.compile(r"^(\s*)/(?=[A-Za-z_])", re.MULTILINE)
_DRAFT = re.compile(r"\A\s*(?:\[draft\]|\(draft\)|draft:|wip:|\[wip\])\s*", re.IGNORECASE)


def without_commands(text: str) -> str:
    """The same text, read the same, of which GitLab carries out nothing."""
    return _COMMAND.sub(r"\1\\/", text)


def note_text(text: str) -> str:
    """A note as it may be sent; ForgeInvalidError for what cannot be one."""
    return without_commands(checked_text(text))


def title_text(title: str) -> str:
    """A title that does not make a draft of its merge request, which nobody could merge."""
    plain = title
    while _DRAFT.match(plain):
        plain = _DRAFT.sub("", plain)
    return plain.strip() or f"Work: {title}"
