"""A token that is asked for when it is used, and that may be another one for each address."""

import threading
from abc import abstractmethod

from pydantic import SecretStr

#: How many tokens are remembered, to be hidden: what is said of a request is soon after it.
REMEMBERED = 64


class LastTokens:
    """The tokens that were used last, to take them out of texts; also those that were given up meanwhile."""

    def __init__(self) -> None:
        self._tokens: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def note(self, token: str) -> None:
        """It is used from now on."""
        with self._lock:
            self._tokens = (token, *(known for known in self._tokens if known != token))[:REMEMBERED]

    def hidden(self, text: str) -> str:
        """The text without any of them."""
        for token in self._tokens:
            text = text.replace(token, "***")
        return text


class LentToken(SecretStr):
    """Takes the place of a token in `TokenAuth` and with git.

    It is shown as no secret is; `name` may be. It has no value of its own: `at` gives one.
    """

    def __init__(self, name: str) -> None:
        super().__init__("")
        self.name = name  # of whom it is, the same in all processes

    @abstractmethod
    def at(self, url: str) -> str:
        """The token for an absolute address; raises what keeps it from being had."""

    def known_as(self, url: str) -> str:
        """Of whom the token for that address is: what has one name has one rate limit."""
        del url
        return self.name

    def refused(self, token: str, *, date: str = "") -> None:
        """The server did not know this one. `date`: what it said of the time, a `Date` header; "" nothing."""
        del token, date

    @abstractmethod
    def hidden(self, text: str) -> str:
        """The text without any token that was lent lately."""

    def __len__(self) -> int:
        """Nothing of it is shown."""
        return 0
