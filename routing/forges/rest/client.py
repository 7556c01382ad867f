"""The client of a forge's HTTP API: one session, and one way to fail.

An answer comes back as a JSON value. Everything else is one of the errors of `routing.forges.errors`. Reading
is repeated on 429, 5xx and lost connections, writing only where a second time changes nothing, or where the
first surely never arrived.

Three layers: `routing.http.connection` sends one attempt and knows what it means for circuit and rate limit;
this client decides about attempts and pauses, and translates; the parts beside it know paths and bodies. A
call blocks its thread, in the worst case for all attempts with their pauses (see `HttpLimits`).
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, SecretStr, ValidationError

from routing.back_off import BackOff
from routing.forges.errors import (
    ForgeError,
    ForgeGoneError,
    ForgeInvalidError,
    ForgeOutcomeUnknownError,
    ForgeRefusedError,
    ForgeTokenError,
    ForgeUnreachableError,
)
from routing.forges.rest.path import path_under
from routing.http.address import ApiAddress
from routing.http.connection import (
    FIRST_ERROR,
    REDIRECTS,
    UNCHANGED,
    ApiConnection,
    Call,
    FailedAttemptError,
    Surroundings,
    TokenAuth,
)
from routing.http.paging import Listing, next_by_link, next_by_number
from routing.http.reply import Reply, UnreadableReplyError, plain_line

_GONE = frozenset({404, 410})
_UNKNOWN_TOKEN, _REFUSED = 401, 403

#: The path that stands for GraphQL, wherever that is.
GRAPHQL = "/graphql"

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpDialect:
    """What a kind of forge wants to see in a request."""

    api_root: str  # path that is added to the base address where it is missing
    scheme: str  # the word before the token, "" for none
    headers: Mapping[str, str]
    numbered_pages: bool  # listings may come without a `Link` header; their size is called `limit`


class Addressed(Protocol):
    """What is set about a server that is asked: a forge, or a tracker."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def address(self) -> str:
        """Of its API."""
        ...

    @property
    def credential(self) -> SecretStr:
        """The token."""
        ...


class ForgeClient:
    """Asks one forge over HTTP: sends, repeats, waits, and translates.

    `get` and `read_all` may be repeated by anybody. `write` is sent again only if it is `repeatable`, or if
    it surely did not arrive. ForgeOutcomeUnknownError: it may have been carried out, so look before it is
    sent again. Every other error of `write` means that nothing was changed, or that repeating is harmless.

    `read_all` returns what it has when the bound of pages is reached, with `complete` False; `parsed_all`
    refuses such a listing. An error on a page fails the whole.

    Threads may share it. Each waits for itself, at most for the patience and the attempts of the settings;
    what one of them learns of rate limits and failures holds for all. While the circuit is open no request is
    sent, and ForgeUnreachableError says when to ask again (`retry_at`). After `close` it may still be used.
    """

    def __init__(
        self, config: Addressed, dialect: HttpDialect, surroundings: Surroundings, *,
        credential: SecretStr | None = None,
    ) -> None:  # fmt: skip
        self._forge = config.name
        self._address = ApiAddress.of(config.address.removesuffix(dialect.api_root) + dialect.api_root)
        auth = TokenAuth(dialect.scheme, credential if credential is not None else config.credential)
        self._hidden = auth.hidden
        self._limits = limits = surroundings.limits
        self._back_off = BackOff(
            first_seconds=limits.back_off_first_seconds, cap_seconds=limits.back_off_cap_seconds
        )
        self._numbered_pages = dialect.numbered_pages
        self._generator = surroundings.generator
        self._clock = surroundings.clock
        self._sleep = surroundings.sleep
        self._called: Callable[[str], str] = str
        self._connection = ApiConnection(
            address=self._address,
            auth=auth,
            headers=dialect.headers,
            limits=surroundings.limits,
            clock=surroundings.clock,
            monotonic=surroundings.monotonic,
            board=surroundings.board,
        )

    def __repr__(self) -> str:
        return f"ForgeClient({self._forge}, {self._address.base})"

    def following(self, called: Callable[[str], str]) -> "ForgeClient":
        """The same client, which asks for repositories by the names that `called` gives for those in paths.

        What `called` raises is raised before anything is sent. The connections are shared.
        """
        other = copy(self)
        other._called = called  # noqa: SLF001 - it is one of these
        return other

    def called(self, repo: str) -> str:
        """The name by which a repository is asked for where that is not in a path."""
        return self._called(repo)

    def close(self) -> None:
        """Give the connections back; a later call opens new ones."""
        self._connection.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Read one thing: a JSON value, None for an empty body.

        ForgeGoneError for what does not exist or is not for us, ForgeRefusedError, ForgeInvalidError, or
        ForgeUnreachableError when the forge gave no answer.
        """
        return self._value(self._exchange(self._reading(self._url(path, params))))

    def text(self, path: str) -> str:
        """Read one thing that is plain text, such as a log; raises as `get` does."""
        return self._exchange(self._reading(self._url(path, None))).body.decode("utf-8", errors="replace")

    def read_all(
        self, path: str, params: Mapping[str, str] | None = None, *, under: str = "",
        enough: Callable[[list[Any]], bool] = lambda _: False, counted: bool = True,
    ) -> Listing:  # fmt: skip
        """Read all pages of a listing, or those until `enough` is true of a page, within the bound.

        `under` names the member that holds the items where a page is an object. With `counted` false the
        number of all items that the forge sends along is not believed: an empty page is the end.

        A listing may change while it is read: an item can be on two pages, or on none. Callers that must not
        miss one ask for an order in which old items keep their place.
        """
        size = "limit" if self._numbered_pages else "per_page"
        url: str | None = self._url(path, {**(params or {}), size: str(self._limits.page_size)})
        items: list[Any] = []
        last: list[Any] = []
        linked = False  # whether this listing's pages are named by links
        linked_from = partial(next_by_link, self._address)
        for _ in range(self._limits.max_pages):
            if url is None:
                break
            # An error on any page fails the whole: half a listing would look like a whole one.
            reply = self._exchange(self._reading(url))
            page = self._page(reply, under)
            if reply.is_again and len(page) >= self._limits.page_size and not linked_from(url, reply):
                # It was full and the last one; whether there is another one now only a new answer says.
                reply = self._exchange(replace(self._reading(url), whole=True))
                page = self._page(reply, under)
            if page and page == last:  # the forge knows no pages here and sent everything again
                return Listing(items=tuple(items), complete=True)
            items += page
            last = page
            linked = linked or not self._numbered_pages or bool(reply.headers.get("Link"))
            following = linked_from(url, reply)
            if following is None and page and not linked:
                following = next_by_number(url, reply, seen=len(items) if counted else None)
            url = None if enough(page) else following
        return Listing(items=tuple(items), complete=url is None)

    def write(
        self, method: str, path: str, body: Any = None, *, repeatable: bool,
        refused: frozenset[int] = frozenset(),
    ) -> Any:  # fmt: skip
        """Change something; ForgeOutcomeUnknownError when it may, or may not, have been done.

        `repeatable`: sending it twice has the effect of sending it once, so it is tried again like reading.
        `refused`: statuses that this call means as "may not be done" (ForgeRefusedError), beside 401 and 403.
        Returns the JSON value of the answer, None for an empty one.
        """
        call = Call(
            method=method, url=self._url(path, None), body=body, repeatable=repeatable, refused=refused
        )
        return self._value(self._exchange(call), call)

    def parsed(self, model: type[Model], value: Any) -> Model:
        """Check a JSON value; one of another form is ForgeUnreachableError, because it answers nothing."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self._unreadable(model.__name__, problems_of(error)) from None

    def parsed_all(self, model: type[Model], listing: Listing) -> list[Model]:
        """All items of a listing, which must be whole: a part of it would be a wrong answer.

        ForgeUnreachableError otherwise, with the setting that allows more pages.
        """
        if not listing.complete:
            why = f"more than {self._limits.max_pages} pages; raise limits.max_pages"
            raise self._unreadable(f"a listing of {model.__name__}", why)
        return [self.parsed(model, item) for item in listing.items]

    def _unreadable(self, what: str, why: str) -> ForgeUnreachableError:
        return ForgeUnreachableError(self._plain(f"the forge {self._forge} answered {what} with {why}"))

    def _reading(self, url: str) -> Call:
        return Call(method="GET", url=url, repeatable=True)

    def _url(self, path: str, params: Mapping[str, str] | None) -> str:
        is_graphql = path == GRAPHQL
        url = self._address.graphql if is_graphql else self._address.url(path_under(path, self._called))
        return url + (f"?{urlencode(params)}" if params else "")

    def _page(self, reply: Reply, under: str) -> list[Any]:
        """The items of one page, whichever way the forge wraps them."""
        value = self._value(reply)
        items = value.get(under) if under and isinstance(value, dict) else value
        if items is None:  # Gitea writes null for an empty list
            return []
        if not isinstance(items, list):
            raise self._unreadable("a listing", f"no list, but {plain_line(repr(items))[:80]}")
        return items

    def _value(self, reply: Reply, call: Call | None = None) -> Any:
        """The JSON value of a reply. A write whose answer cannot be read may have been done, or not."""
        try:
            return reply.value()
        except UnreadableReplyError as error:
            raise self._no_answer(call, str(error)) from error

    def _exchange(self, call: Call) -> Reply:
        """Send the request until there is an answer, or no hope of one.

        The first look is at circuit and rate limit, also before each repetition, as another thread may have
        met them meanwhile.
        """
        for attempt in range(1, self._limits.attempts + 1):
            self._await_turn(call)
            try:
                return self._answer(call, self._connection.attempt(call))
            except FailedAttemptError as failure:
                if not (call.repeatable or failure.harmless):
                    raise self._no_answer(call, str(failure)) from failure
                if failure.final or attempt == self._limits.attempts:
                    limited = self._connection.limited_seconds(call.url)
                    raise self._no_answer(None, str(failure), again_seconds=limited) from failure
                if not self._connection.limited_seconds(call.url):
                    self._sleep(self._back_off.seconds(attempt, self._generator))
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _await_turn(self, call: Call) -> None:
        """Wait out a rate limit, if that is bearable; leave a forge alone that keeps failing."""
        alone = self._connection.left_alone_seconds()
        if alone > 0:
            message = f"it failed {self._limits.failures_to_open} times in a row and is left alone for now"
            raise self._no_answer(None, message, again_seconds=alone)
        wait = self._connection.limited_seconds(call.url)
        if wait > self._limits.patience_seconds:
            message = f"its rate limit is used up, so {call.method} was not sent"
            raise self._no_answer(None, message, again_seconds=wait)
        if wait > 0:
            self._sleep(wait)

    def _answer(self, call: Call, reply: Reply) -> Reply:
        """The reply when it is one that was hoped for, else the error that it means."""
        if reply.status in REDIRECTS:  # of a write: it was not done
            where = call.url.removeprefix(self._address.base).partition("?")[0]
            message = (
                f"the forge {self._forge} says that {where} has moved ({reply.status}); nothing was changed"
            )
            raise ForgeGoneError(self._plain(f"{message}; correct the repository's name in the settings"))
        if reply.status < FIRST_ERROR and reply.status != UNCHANGED:
            return reply
        if reply.is_html or reply.status == UNCHANGED:
            kind = "an HTML page" if reply.is_html else "nothing"
            message = (
                f"{kind} with status {reply.status} came, as from a proxy; see that its address is right"
            )
            raise self._no_answer(call, message)
        error, advice = _error_of(reply.status, call.refused)
        where = call.url.removeprefix(self._address.base).partition("?")[0]
        said = f" {reply.said!r}" if reply.said else ""
        message = (
            f"the forge {self._forge} answered {call.method} {where} with {reply.status}{said}; {advice}"
        )
        raise error(self._plain(message))

    def _no_answer(self, call: Call | None, why: str, *, again_seconds: float = 0.0) -> ForgeUnreachableError:
        """Unreachable; or, when a call may have had its effect all the same, that.

        `again_seconds` is after how long asking again makes sense, 0 where nobody knows.
        """
        retry_at = self._clock() + again_seconds if again_seconds else None
        message = f"the forge {self._forge} at {self._address.base} gave no answer: {why}"
        if call is not None and not call.repeatable:
            doubt = (
                f"{message}; whether {call.method} was carried out is not known, look before it is repeated"
            )
            return ForgeOutcomeUnknownError(self._plain(doubt), retry_at=retry_at)
        wait = f"; ask again in {again_seconds:.0f} s" if again_seconds else ""
        return ForgeUnreachableError(self._plain(message + wait), retry_at=retry_at)

    def _plain(self, text: str) -> str:
        """The message without the token, should the forge have repeated it."""
        return self._hidden(text)


def problems_of(error: ValidationError) -> str:
    """What is wrong with a value, without the value."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in problems[:3]
    )


def _error_of(status: int, refused: frozenset[int]) -> tuple[type[ForgeError], str]:
    """The error that a status means, and what the reader of its message can do."""
    if status in _GONE:
        return ForgeGoneError, "see that it exists and that the token may see it"
    if status == _UNKNOWN_TOKEN:
        return ForgeTokenError, "see that the token is valid, and docs/forges.md for what it needs"
    if status == _REFUSED:
        return ForgeRefusedError, "see that the token is valid and has the permissions of docs/forges.md"
    if status in refused:
        return ForgeRefusedError, "it was left as it is"
    return ForgeInvalidError, "nothing was changed"
