"""The log of a job as a page shows it: what was searched for, errors first, calls of tools folded. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.store.jobs.log_store import LogLine

#: Entries of a page, and characters of their texts together, unless all are asked for.
MOST_ENTRIES, MOST_CHARACTERS = 300, 100_000

#: Errors that stand first, the newest; and characters of the line that stands for what is folded.
MOST_ERRORS, LONGEST_LINE = 10, 160

#: Kinds of entries: a call of a tool, what came of it, and what went wrong.
TOOL, RESULT, ERRORS = "tool", "result", frozenset({"error", "stderr"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """An entry, or a call of a tool with what came of it."""

    id: str  # of the first line
    at: float  # seconds since the epoch
    kind: str
    text: str
    inside: Sequence[LogLine] = ()  # what came of a call, folded with it

    @property
    def is_error(self) -> bool:
        """Whether something went wrong, in it or in what came of it."""
        return self.kind in ERRORS or any(line.kind in ERRORS for line in self.inside)

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"log-{self.id}"

    @property
    def is_folded(self) -> bool:
        """Whether it is shown as a line that unfolds."""
        if self.kind == TOOL:
            return bool(self.inside) or self.first_line != self.text
        return self.kind == RESULT and self.first_line != self.text

    @property
    def first_line(self) -> str:
        """What stands for it while it is folded."""
        first = self.text.strip().partition("\n")[0]
        return first if len(first) <= LONGEST_LINE else f"{first[:LONGEST_LINE]}…"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLog:
    """What is shown of a log."""

    entries: Sequence[LogEntry]
    errors: Sequence[LogEntry]  # of the whole log, the newest first, at most MOST_ERRORS
    count: int  # lines of the whole log
    found: int  # of them that are shown
    words: str  # that were searched for, "" for none


def shown_log(lines: Sequence[LogLine], *, words: str = "", every: bool = False) -> ShownLog:
    """The lines with some words, whatever their case, or the last ones; with `every`, all of them."""
    chosen = [line for line in lines if words.lower() in line.text.lower()] if words else lines
    kept = list(chosen) if every else last_lines(chosen)
    entries = [_alone(line) for line in kept] if words else list(folded(kept))
    errors = [_alone(line) for line in reversed(lines) if line.kind in ERRORS]
    return ShownLog(
        entries=entries, errors=errors[:MOST_ERRORS], count=len(lines), found=len(kept), words=words
    )


def folded(lines: Sequence[LogLine]) -> Iterator[LogEntry]:
    """Each line as an entry; what follows a call of a tool, until something else is said, is inside of it."""
    place = 0
    while place < len(lines):
        first, end = lines[place], place + 1
        while first.kind == TOOL and end < len(lines) and lines[end].kind in {RESULT, *ERRORS}:
            end += 1
        yield _alone(first, lines[place + 1 : end])
        place = end


def last_lines(log: Sequence[LogLine]) -> list[LogLine]:
    """The last of MOST_ENTRIES whose text is MOST_CHARACTERS at most, and one in any case."""
    kept: list[LogLine] = []
    left = MOST_CHARACTERS
    for line in reversed(log[-MOST_ENTRIES:]):
        left -= len(line.text)
        if left < 0 and kept:
            break
        kept.append(line)
    return kept[::-1]


def _alone(line: LogLine, inside: Sequence[LogLine] = ()) -> LogEntry:
    at = int(line.id.partition("-")[0]) / 1000
    return LogEntry(id=line.id, at=at, kind=line.kind, text=line.text, inside=inside)
