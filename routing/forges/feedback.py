"""Feedback: what people wrote about a change request, so that it can reach the agent that made it.

A review with its remarks is one piece of feedback, and so is a comment on the request. Texts are anybody's;
who is heard is decided by `tasks.issues.reviewing`.
"""

import re
from collections.abc import Collection

from pydantic import AwareDatetime, BaseModel, ConfigDict

from routing.forges.change_request import ReviewVerdict
from routing.issues.body_text import UnreadableBodyError, blocks_of

#: GitHub calls the users of Apps so; people write their names without it.
_APP = "[bot]"

#: What GitLab calls the users of access tokens of projects and groups, and service accounts.
_OF_TOKENS = re.compile(
    r"(?:project|group)_\d+_bot(?:\d+|_[0-9a-z]+)?"
    r"|service_account_(?:(?:project|group)_\d+_)?[0-9a-z]+",
    re.IGNORECASE,
)


class Remark(BaseModel):
    """What a reviewer wrote at a place in the change."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    thread: str = ""  # the forge's id of the thread that it is in, "" where remarks cannot be answered
    path: str = ""  # of the file
    line: int | None = None  # in the new file; None when the line is gone, or the remark is on the whole file
    old_line: int | None = None  # in the file before the change, of a line that the change removes
    commit: str = ""  # that the line is counted in, "" for that of the feedback or where it is not known
    hunk: str = ""  # the part of the difference that it stands at
    body: str = ""


class Feedback(BaseModel):
    """What one person submitted at one time."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    id: str  # `review:17`, `comment:4`: the same at every look
    author: str
    verdict: ReviewVerdict = ReviewVerdict.COMMENTED
    body: str = ""
    at: AwareDatetime
    commit: str = ""  # that was looked at, "" when the forge does not say
    remarks: tuple[Remark, ...] = ()

    def is_by_a_program(self, bots: Collection[str] = ()) -> bool:
        """Whether no person wrote it: by what the forge calls such users, or as one of `bots`."""
        by_name = self.author.endswith(_APP) or _OF_TOKENS.fullmatch(self.author) is not None
        return by_name or _is_among(self.author, bots)

    def names(self, login: str) -> bool:
        """Whether it speaks to a user as `@login`, in its own words: not in code, and not in a quote."""
        name = re.escape(login.removesuffix(_APP))
        if not name:
            return False
        named = re.compile(rf"(?<![\w@/.-])@{name}(?:\[bot\])?(?![\w-])", re.IGNORECASE)
        texts = (self.body, *(remark.body for remark in self.remarks))
        return any(named.search(words) for text in texts for words in _words(text))


def is_app_among(author: str, bots: Collection[str]) -> bool:
    """Whether it is an App of GitHub that is one of `bots`, which have its name without `[bot]`."""
    return author.endswith(_APP) and _is_among(author, bots)


def _is_among(author: str, bots: Collection[str]) -> bool:
    return author.removesuffix(_APP).casefold() in {bot.casefold() for bot in bots}


def _words(text: str) -> list[str]:
    """What a text says itself; one that cannot be read speaks to nobody."""
    try:
        return [block.text for block in blocks_of(text)]
    except UnreadableBodyError:
        return []


def answer_mark(feedback: Feedback) -> str:
    """The last line of our answer to one review, by which it is found again; in others' words nothing."""
    return f"<!-- coalmine answer {feedback.id} -->"
