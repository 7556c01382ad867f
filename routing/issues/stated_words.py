"""What an issue states in so many words: difficulty, estimate, agent, and the priority among its labels.

Each function reads one thing from blocks or labels, and returns None where the issue does not say it. The
first statement counts. A function is used by being named in a part of `metadata.IssueMetadata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from routing.issues.body_text import Block

Difficulty = Literal["easy", "medium", "hard"]

#: Priorities of issues, the most urgent first; each is one digit.
PRIORITIES = range(10)

#: The most tokens that an estimate may name; a larger number is not an estimate.
MOST_TOKENS = 100_000_000

#: The words that people write for a difficulty.
DIFFICULTIES: Mapping[str, Difficulty] = {
    **dict.fromkeys(("easy", "low", "simple", "small", "trivial"), "easy"),
    **dict.fromkeys(("medium", "moderate", "normal"), "medium"),
    **dict.fromkeys(("hard", "high", "complex", "difficult", "large"), "hard"),
}
_WORD = re.compile(r"[^\W\d_]+")
_ESTIMATE = re.compile(
    r"^\W*total\s+estimated?\s*:\s*(?P<number>[0-9][0-9,_]{0,14})(?![\w.]\d)[ \t]*"
    r"(?P<thousands>k\b)?[ \t]*(?:tokens?\b|$)",
    re.IGNORECASE | re.MULTILINE,
)
_AGENT = re.compile(
    r"^\W*recommended\s+agent\s*:\s*(?P<agent>[A-Za-z][A-Za-z0-9.-]{0,62})(?![\w/])",
    re.IGNORECASE | re.MULTILINE,
)
_PRIORITY = re.compile(
    rf"(?:priority\s*[:/=-]\s*p?|p)(?P<number>[{PRIORITIES[0]}-{PRIORITIES[-1]}])", re.IGNORECASE
)


def word_in(blocks: Iterable[Block], name: str, words: Mapping[str, str]) -> str | None:
    """The first of the `words` (in lower case) under the heading `name`, or after `name:` on its line."""
    line = re.compile(rf"^\W*{re.escape(name)}\s*:\s*(?P<word>[^\W\d_]+)", re.IGNORECASE | re.MULTILINE)
    for block in blocks:
        if block.is_heading:
            continue
        if block.headings and block.headings[-1] == name:
            said: Iterator[str] = (found[0] for found in _WORD.finditer(block.text))
        else:
            said = (found["word"] for found in line.finditer(block.text))
        first = next(said, "").lower()
        if first in words:
            return words[first]
    return None


def estimate_in(blocks: Iterable[Block]) -> int | None:
    """The tokens of `Total estimated: 46800 tokens`, as written: nothing is added for safety."""
    for block in blocks:
        for found in _ESTIMATE.finditer(block.text):
            tokens = int(re.sub(r"[,_]", "", found["number"])) * (1000 if found["thousands"] else 1)
            if 0 < tokens <= MOST_TOKENS:
                return tokens
    return None


def agent_in(blocks: Iterable[Block]) -> str | None:
    """The name in `Recommended agent: sonnet`, in lower case; it may be written as inline code."""
    for block in blocks:
        found = _AGENT.search(block.with_code)
        if found is not None:
            return found["agent"].rstrip(".-").lower()
    return None


def priority_in(labels: Iterable[str]) -> int | None:
    """The most urgent of labels such as `priority:1` and `P0`, of PRIORITIES."""
    found = (_PRIORITY.fullmatch(label.strip()) for label in labels)
    return min((int(match["number"]) for match in found if match), default=None)
