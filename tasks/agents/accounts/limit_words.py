"""Limits of accounts, as agent programs and their providers say them.

Pure. A program may give an HTTP status, an event of its own, or words alone. Words of the program count
(errors that it names, its failed result, standard error); what a model said does not, or any agent that
writes about rate limits would close its account. Each runtime has a table of its own, before the words that
all share.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Final, Protocol

from routing.accounts.limit import AccountLimit, LimitKind
from routing.accounts.reset_time import Said, reset_time
from tasks.agents.runtimes.agent_event import AgentEvent, ApiErrorEvent, LimitEvent, ResultEvent, Usage

#: Statuses of HTTP that say it: credentials that are refused, and limits.
_AUTH: Final = frozenset({401, 403})
_BY_STATUS: Final = {402: LimitKind.CREDIT, 429: LimitKind.RATE, 529: LimitKind.OVERLOADED}

#: What the words may say besides a status: providers answer 400 when credit is used up or a key is wrong.
_WITH_WORDS: Final = {
    400: frozenset({LimitKind.CREDIT, LimitKind.AUTH, LimitKind.USAGE, LimitKind.MODEL}),
    404: frozenset({LimitKind.MODEL}),
    429: frozenset({LimitKind.CREDIT, LimitKind.USAGE}),
}

#: The first status of a server's own faults.
_SERVER: Final = 500

#: A key that is right and may not use this model, perhaps: its other models are tried.
_FORBIDDEN: Final = 403

#: Lines that say where a program was when it failed: they would push away in what words it did.
_FRAME: Final = re.compile(r"\s+at \S")

#: Lines of the end of what was printed that are looked at, and characters of a text that is nothing else.
_LAST_LINES: Final = 5
_ALL_CHARACTERS: Final = 400

Rows = Sequence[tuple[LimitKind, str]]

#: What the providers' documentation and the recordings say, in the order in which it is looked for.
_SHARED: Final[Mapping[LimitKind, str]] = {
    LimitKind.AUTH: (
        r"(?:invalid|incorrect|missing|expired|no) (?:x-)?api.?key"
        r"|api key (?:not valid|is (?:missing|invalid))"
        r"|invalid_api_key|api_key_invalid|authentication[_ ](?:failed|error)|not logged in|please run /login"
        r"|please (?:log|sign) ?in\b|(?:oauth|access|auth|refresh) token.{0,30}(?:expired|revoked|invalid)"
        r"|\b401 unauthorized|account (?:has been |is )?(?:disabled|suspended|deactivated)"
        r"|organi[sz]ation has been disabled|could not (?:be )?authenticated?"
    ),
    LimitKind.MODEL: (
        r"models?\b.{0,80}(?:not found|(?:does|may) not exist|not supported|is unknown|is not available to)"
        r"|(?:unknown|unsupported|no such) model|model_not_found|ProviderModelNotFound"
    ),
    LimitKind.CREDIT: (
        r"credit balance is too low|insufficient[_ ](?:quota|credits?|funds|balance)|payment required"
        r"|out of credits?|spend(?:ing)? limit|specified api usage limits|check your plan and billing"
    ),
    LimitKind.USAGE: (
        r"usage limit|(?:5|five)[- ]hour limit|(?:weekly|daily|monthly|session|opus|sonnet) limit"
        r"|(?:hit|reached|exceeded) your (?:\w+ )?(?:limit|quota)|(?<!rate[ _-])limit reached"
        r"|(?:daily|monthly) quota|quota (?:exceeded|exhausted|will reset)|exhausted your"
        r"|resource_exhausted|usage exceeded"
    ),
    LimitKind.OVERLOADED: (
        r"overloaded|experiencing high demand|(?:server|model|service)s? (?:is|are) (?:currently )?"
        r"(?:at capacity|busy|overloaded)|no capacity available"
    ),
    LimitKind.RATE: r"rate[-_ ]?limit|too many requests|\b(?:status|error|code)\W{0,3}429\b",
}


@dataclass(frozen=True, slots=True)
class LimitWords:
    """The table of one runtime: kinds with the pattern of their words, the most telling first."""

    rows: tuple[tuple[LimitKind, re.Pattern[str]], ...]
    is_own_voice: bool = True  # whether an error or a failed result is the program's, not its agent's
    beside: re.Pattern[str] | None = None  # lines of standard error about what the turn does not hang on

    def kind(self, text: str) -> LimitKind | None:
        """What a text says, if it says a limit."""
        return next((kind for kind, pattern in self.rows if pattern.search(text)), None)


def limit_words(own: Rows = (), *, is_own_voice: bool = True, beside: str = "") -> LimitWords:
    """A runtime's own words, and after them those that all share; `beside` is matched from a line's start."""
    rows = tuple((kind, re.compile(text, re.IGNORECASE)) for kind, text in (*own, *_SHARED.items()))
    return LimitWords(rows, is_own_voice, re.compile(beside) if beside else None)


#: The table of a runtime that adds nothing.
SHARED_WORDS: Final = limit_words()


class Heard(Protocol):
    """What a turn's totals tell of it: `Seen` of a runtime."""

    @property
    def api_error(self) -> ApiErrorEvent | None:
        """The last one, if nothing was done after it."""

    @property
    def limit(self) -> LimitEvent | None:
        """The same."""

    @property
    def result(self) -> ResultEvent | None:
        """The last one."""

    @property
    def api_error_at(self) -> float:
        """When it was heard, like `limit_at` and `result_at`: seconds since the epoch."""

    @property
    def limit_at(self) -> float:
        """The same."""

    @property
    def result_at(self) -> float:
        """The same."""

    @property
    def usage(self) -> Usage:
        """Of this turn alone."""

    @property
    def tools(self) -> int:
        """How often a tool was used."""

    @property
    def last_errors(self) -> Sequence[Said]:
        """The end of standard error, by lines, since the agent last did or said something."""

    @property
    def last_words(self) -> Sequence[Said]:
        """The end of all that was printed, by lines."""


def account_limit(
    heard: Heard, words: LimitWords, *, clean: bool, now: float, zone: tzinfo
) -> AccountLimit | None:
    """What of the account's ended a turn; None for a turn that ended for reasons of its own.

    `clean` by the runtime's definition: then only a turn in which no model did anything, and whose whole
    result says a limit, has met one. `now`: seconds since the epoch; an end that has passed by then is none,
    and spans count from when they were heard. `zone` is where the program runs.
    """
    if clean:
        found = _instead_of_work(heard, words)
    else:
        found = _by_status(heard.api_error, words)
        if heard.limit is not None and (found is None or found.kind is not LimitKind.AUTH):
            found = _by_event(heard.limit, found)
        found = found or _by_words(heard, words)
    if found is None:
        return None
    if found.until is None:
        found = replace(found, until=reset_time(_sayings(heard, found.words, words, now), zone=zone))
    return found.believed(now)


def says_limit(event: AgentEvent, words: LimitWords) -> bool:
    """Whether an event says that the account does not serve, as `account_limit` takes it at the end."""
    if isinstance(event, ApiErrorEvent):
        by_words = event.status is None and words.kind(event.message) is not None
        return by_words or _by_status(event, words) is not None
    return isinstance(event, LimitEvent)


def _sayings(heard: Heard, said: str, words: LimitWords, now: float) -> list[Said]:
    """Where the time may stand: the words themselves, then what else the program said of it."""
    error, limit, result = heard.api_error, heard.limit, heard.result
    more = [
        Said(text=error.message if error else "", at=heard.api_error_at),
        Said(text=result.text if result and result.is_error else "", at=heard.result_at),
        *_lines(heard.last_errors, words),
    ]
    others = [
        Said(text=limit.words if limit else "", at=heard.limit_at),
        Said(text=result.text if result else "", at=heard.result_at),
        *heard.last_words,
    ]
    heard_so = [each for each in (*more, *others) if each.text == said] or [Said(text=said, at=now)]
    return [each for each in (max(heard_so, key=lambda each: each.at), *more) if each.text]


def _lines(printed: Sequence[Said], words: LimitWords) -> list[Said]:
    """The lines that may say why the turn ended."""
    beside = words.beside
    return [line for line in printed if beside is None or not beside.match(line.text)]


def _by_status(error: ApiErrorEvent | None, words: LimitWords) -> AccountLimit | None:
    if error is None or error.status is None:
        return None
    status, said = error.status, words.kind(error.message)
    kind = _BY_STATUS.get(status)
    if status in _AUTH:
        kind = LimitKind.AUTH
    elif said in _WITH_WORDS.get(status, ()) or (status >= _SERVER and said is LimitKind.OVERLOADED):
        kind = said
    if kind is None:
        return None
    is_wide = _is_wide(kind) and status != _FORBIDDEN
    return AccountLimit(kind=kind, words=error.message, is_wide=is_wide)


def _by_event(event: LimitEvent, said: AccountLimit | None) -> AccountLimit:
    words = said.words if said else event.words
    return AccountLimit(kind=LimitKind.USAGE, until=event.until, words=words, is_wide=event.is_wide)


def _by_words(heard: Heard, words: LimitWords) -> AccountLimit | None:
    """By what the program said; an error with a status that is none of a limit's decides against it."""
    error, result = heard.api_error, heard.result
    if error is not None and error.status is not None:
        return None
    own = [error.message if error else "", result.text if result and result.is_error else ""]
    for text in own:
        if text and (kind := words.kind(text)):
            is_alone = not words.is_own_voice
            return AccountLimit(kind=kind, words=text, is_wide=_is_wide(kind), in_words_alone=is_alone)
    for printed in (heard.last_errors,) if words.is_own_voice else (heard.last_words, heard.last_errors):
        lines = [line for line in _lines(printed, words) if not _FRAME.match(line.text)]
        for line in reversed(lines[-_LAST_LINES:]):
            if kind := words.kind(line.text):
                return AccountLimit(kind=kind, words=line.text, is_wide=_is_wide(kind), in_words_alone=True)
    return None


def _instead_of_work(heard: Heard, words: LimitWords) -> AccountLimit | None:
    """A program that says its limit as if it were a result, and has called no model."""
    result = heard.result
    if result is None or heard.tools or heard.usage.is_paid or not words.is_own_voice:
        return None
    text = result.text or "\n".join(line.text for line in heard.last_words)
    kind = words.kind(text) if len(text) <= _ALL_CHARACTERS else None
    return AccountLimit(kind=kind, words=text, is_wide=_is_wide(kind)) if kind else None


def _is_wide(kind: LimitKind) -> bool:
    return kind in {LimitKind.AUTH, LimitKind.CREDIT}
