"""What a body states in so many words: difficulty, estimate, and the agent that should do it."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from routing.issues.body_text import Block

Difficulty = Literal["easy", "medium", "hard"]

#: Tokens that an estimate may come to; anything else is no estimate.
MOST_TOKENS = 100_000_000

_DIFFICULTIES: dict[str, Difficulty] = {
    **dict.fromkeys(("easy", "low", "simple", "small", "trivial"), "easy"),
    **dict.fromkeys(("medium", "moderate", "normal"), "medium"),
    **dict.fromkeys(("hard", "high", "complex", "difficult", "large"), "hard"),
}
_WORD = re.compile(r"[^\W\d_]+")
_DIFFICULTY = re.compile(r"^\W*difficulty\s*:\s*(?P<word>[^\W\d_]+)", re.IGNORECASE | re.MULTILINE)
_ESTIMATE = re.compile(
    r"^\W*total\s+estimated?\s*:\s*(?P<number>[0-9][0-9,_]{0,14})(?![\w.]\d)[ \t]*"
    r"(?P<thousands>k\b)?[ \t]*(?:tokens?\b|$)",
    re.IGNORECASE | re.MULTILINE,
)
_AGENT = re.compile(
    r"^\W*recommended\s+agent\s*:\s*(?P<agent>[A-Za-z][A-Za-z0-9.-]{0,62})(?![\w/])",
    re.IGNORECASE | re.MULTILINE,
)


def difficulty_in(blocks: Iterable[Block]) -> Difficulty | None:
    """The first difficulty stated, under its heading or behind `Difficulty:`."""
    for block in blocks:
        if block.is_heading:
            continue
        if block.headings and block.headings[-1] == "difficulty":
            words: Iterator[str] = (found[0] for found in _WORD.finditer(block.text))
        else:
            words = (found["word"] for found in _DIFFICULTY.finditer(block.text))
        first = next(words, "").lower()
        if first in _DIFFICULTIES:
            return _DIFFICULTIES[first]
    return None


def estimate_in(blocks: Iterable[Block]) -> int | None:
    """The first `Total estimated: 46800 tokens`, as it stands: nothing is added for safety."""
    for block in blocks:
        for found in _ESTIMATE.finditer(block.text):
            tokens = int(re.sub(r"[,_]", "", found["number"])) * (1000 if found["thousands"] else 1)
            if 0 < tokens <= MOST_TOKENS:
                return tokens
    return None


def agent_in(blocks: Iterable[Block]) -> str | None:
    """The first `Recommended agent: sonnet`, in lower case; it may stand in inline code."""
    for block in blocks:
        found = _AGENT.search(block.with_code)
        if found is not None:
            return found["agent"].rstrip(".-").lower()
    return None
