"""A limit that a turn met: of which kind, until when, and in which words. Pure records."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

#: The longest time that is believed, in seconds: a month, by which budgets are reckoned, and a day.
MOST_SECONDS: Final = 32 * 86_400.0

#: Characters that are kept of the words.
MOST_WORDS: Final = 300


class LimitKind(StrEnum):
    """Why an account, or its model, does not serve."""

    RATE = "rate"  # too many requests, or tokens, in a short time
    USAGE = "usage"  # what a subscription, or a quota, allows for hours or days is used up
    CREDIT = "credit"  # nothing is left to pay with
    OVERLOADED = "overloaded"  # the provider has too much to do: no fault of the account's
    AUTH = "auth"  # the credential is not accepted: a person must look at it
    MODEL = "model"  # it does not know the model, or may not use it: a person must look at it
    START = "start"  # not the account's: agents of one version end with an error before they do anything
    PERSON = "person"  # a person closed it

    @property
    def needs_person(self) -> bool:
        """Whether waiting alone does not end it."""
        return self in {LimitKind.AUTH, LimitKind.MODEL, LimitKind.START, LimitKind.PERSON}

    @property
    def said(self) -> str:
        """In words, for people."""
        return _SAID[self]


_SAID: Final = {
    LimitKind.RATE: "its rate limit is reached",
    LimitKind.USAGE: "its usage limit is reached",
    LimitKind.CREDIT: "its credit or quota is used up",
    LimitKind.OVERLOADED: "the provider is overloaded",
    LimitKind.AUTH: "its credential is refused",
    LimitKind.MODEL: "it does not know the model, or may not use it",
    LimitKind.START: "its agents fail as soon as they start",
    LimitKind.PERSON: "a person closed it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLimit:
    """What a turn met."""

    kind: LimitKind
    until: float | None = None  # when it ends, seconds since the epoch, as was said; None: nobody did
    words: str = ""  # of the program, cut
    in_words_alone: bool = False  # no status and no event said it, only a text that could be the agent's own
    is_wide: bool = False  # it holds for all models of the account

    def believed(self, now: float) -> "AccountLimit":
        """The same with an end that can be: one that has passed is none, and one far away is cut."""
        until = self.until
        if until is not None:
            until = None if until <= now else min(until, now + MOST_SECONDS)
        return replace(self, until=until, words=self.words[:MOST_WORDS])
