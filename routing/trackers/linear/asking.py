"""Asks Linear: a document of GraphQL, and what its errors mean.

Errors come with status 200 as well as 400: https://linear.app/developers/graphql. A rate limit is a 400 whose
error has the code RATELIMITED; the connection knows it, and waits.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.rest.client import GRAPHQL, ForgeClient
from routing.http.reply import plain_line
from routing.http.settings import HttpLimits
from routing.trackers.linear.wire import LinearPage

Model = TypeVar("Model", bound=BaseModel)

#: How Linear's errors begin whose thing does not exist.
_NOT_FOUND = "Entity not found"

_CODES: dict[str, type[ForgeError]] = {
    "AUTHENTICATION_ERROR": ForgeTokenError,
    "FORBIDDEN": ForgeRefusedError,
    "FEATURE_NOT_ACCESSIBLE": ForgeRefusedError,
}


@dataclass(frozen=True, slots=True)
class LinearApi:
    """One workspace, through one client."""

    client: ForgeClient
    limits: HttpLimits

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of a query; raises what its errors mean."""
        return self._sent(document, variables, repeatable=True)

    def change(self, document: str, *, repeatable: bool = True, **variables: Any) -> dict[str, Any]:
        """What a mutation, called `done` in its document, gives; an error unless it succeeded."""
        done = self._sent(document, variables, repeatable=repeatable).get("done")
        if not isinstance(done, dict) or done.get("success") is not True:
            message = (
                f"Linear did not do what it was asked for ({_operation(document)}), and does not say why"
            )
            raise ForgeRefusedError(message)
        return done

    def pages(
        self, model: type[Model], document: str, *place: str, **variables: Any
    ) -> tuple[list[Model], bool]:
        """All items of a connection, and whether they are all, within the bound of pages.

        `place` are the names on the way to it. ForgeGoneError when one of them is null.
        """
        found: list[Model] = []
        after: str | None = None
        for _ in range(self.limits.max_pages):
            value: Any = self.ask(document, first=self.limits.page_size, after=after, **variables)
            for name in place:
                value = value.get(name) if isinstance(value, dict) else None
            if value is None:
                message = f"Linear has no {' '.join(place)} for {_operation(document)}"
                raise ForgeGoneError(message)
            page = self.client.parsed(LinearPage, value)
            found += [self.client.parsed(model, one) for one in page.nodes]
            if not page.info.more:
                return found, True
            after = page.info.end
        return found, False

    def _sent(self, document: str, variables: dict[str, Any], *, repeatable: bool) -> dict[str, Any]:
        body = {"query": document, "variables": variables, "operationName": _operation(document)}
        try:
            said = self.client.write("POST", GRAPHQL, body, repeatable=repeatable)
        except ForgeInvalidError as error:
            raise _meant(str(error), "") from error
        errors = said.get("errors") if isinstance(said, dict) else None
        if isinstance(errors, list) and errors:
            raise _first(errors)
        data = said.get("data") if isinstance(said, dict) else None
        if not isinstance(data, dict):
            message = "Linear answered with neither data nor errors"
            raise ForgeUnreachableError(message)
        return data


def _first(errors: list[Any]) -> ForgeError:
    one = errors[0] if isinstance(errors[0], dict) else {}
    extensions = one.get("extensions")
    code = str(extensions.get("code", "")) if isinstance(extensions, dict) else ""
    shown = extensions.get("userPresentableMessage") if isinstance(extensions, dict) else None
    words = [str(one.get("message", "")), *([str(shown)] if shown else [])]
    return _meant(f"Linear answered with an error: {plain_line('; '.join(words))}", code)


def _meant(words: str, code: str) -> ForgeError:
    """The error that Linear's words and code stand for."""
    if _NOT_FOUND in words:
        return ForgeGoneError(words)
    if "uthentication" in words:
        return ForgeTokenError(words)
    return _CODES.get(code, ForgeInvalidError)(words)


def _operation(document: str) -> str:
    """The name of a document's operation."""
    return document.split("(", maxsplit=1)[0].split("{", maxsplit=1)[0].split()[1]
