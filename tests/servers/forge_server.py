"""A small HTTP server that plays a forge: paging, ETags, tokens, and failures on demand."""

import hashlib
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.fakes.forge_world import TOKEN
from tests.servers.git_server import GitDoor


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedRequest:
    """A request as it arrived."""

    method: str
    path: str  # below the API's root, unquoted
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    quoted_path: str = ""  # the path as it was sent
    pairs: tuple[tuple[str, str], ...] = ()  # the query, where a name comes more than once


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A reply as it is to be sent."""

    status: int = 200
    value: Any = None  # JSON; None sends no body
    raw: bytes | None = None  # in place of JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    under: str = ""  # member of `value` that holds a page's items
    drop: bool = False  # close the connection without a word
    #: How the forge tells of further pages: `link`, `total`, `page` (a total, but the page's own), `nothing`,
    #: `keyset` (a link that names the last id), or "" for what has no pages.
    paged: str = ""


GONE = Answer(status=404, value={"message": "Not Found"})

Route = Callable[[AskedRequest, re.Match[str]], Answer]


class ForgeServer:
    """Listens on 127.0.0.1 in a thread of its own."""

    def __init__(
        self, routes: Mapping[str, Route], *, scheme: str, root: str = "", size_parameter: str = "per_page",
        largest_page: int = 100, git: GitDoor | None = None, leads: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        self.git = git  # serves the repository itself
        self.asked: list[AskedRequest] = []
        self.connected: set[tuple[str, int]] = set()  # clients that hold a connection open
        self.answered: list[tuple[AskedRequest, Answer]] = []  # in full, before they are cut into pages
        self.next: deque[Answer] = deque()  # sent in place of the next answers
        self.silent = False  # each connection is closed without a word
        self.token_has_ended = False  # nobody is known any longer, also to git
        self.knows = self._knows_token  # whether a request comes from somebody whom the forge knows
        self.after: Callable[[AskedRequest], None] = lambda _: None  # called when a request was carried out
        self.largest_page = largest_page
        self.routes = {re.compile(pattern): route for pattern, route in routes.items()}
        self._leads = leads  # from a path to that of a route
        self._scheme = scheme
        self._root = root
        self._size_parameter = size_parameter
        server = self

        class ForgeHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5  # seconds after which a client that keeps its connection is forgotten

            def setup(self) -> None:
                super().setup()
                server.connected.add(self.client_address)

            def finish(self) -> None:
                server.connected.discard(self.client_address)
                super().finish()

            def answer(self) -> None:
                server.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names are theirs

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the signature is theirs
                """Say nothing."""

        class QuietForgeServer(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is part of the tests."""

        self._http = QuietForgeServer(("127.0.0.1", 0), ForgeHandler)
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        """End it; every client must have closed its connections before."""
        if self.git is not None:
            self.git.open.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlsplit(handler.path)
        if self.git is not None and self.git.takes(parts.path):
            self.git.token_has_ended = self.token_has_ended
            self.git.serve(handler)
            return
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        asked = AskedRequest(
            method=handler.command,
            path=unquote(parts.path.removeprefix(self._root)),
            query=dict(parse_qsl(parts.query)),
            headers=dict(handler.headers),
            body=json.loads(body) if body else None,
            quoted_path=parts.path.removeprefix(self._root),
            pairs=tuple(parse_qsl(parts.query)),
        )
        self.asked.append(asked)
        answer = self.next.popleft() if self.next else self._carry_out(asked)
        self.answered.append((asked, answer))
        if self.silent or answer.drop:
            handler.close_connection = True
            return
        _send(handler, self._page(asked, parts.path, answer), asked)

    def _knows_token(self, asked: AskedRequest) -> bool:
        return asked.headers.get("Authorization") == f"{self._scheme} {TOKEN}"

    def _carry_out(self, asked: AskedRequest) -> Answer:
        if self.token_has_ended or not self.knows(asked):
            return Answer(status=401, value={"message": "Bad credentials"})
        for pattern, route in self.routes.items():
            found = pattern.fullmatch(f"{asked.method} {self._leads(asked.path)}")
            if found:
                answer = route(asked, found)
                self.after(asked)
                return answer
        return GONE

    def _page(self, asked: AskedRequest, path: str, answer: Answer) -> Answer:
        """One page of a listing, with what the forge says of the others."""
        if not answer.paged or answer.status >= 400:
            return answer
        items = answer.value[answer.under] if answer.under else answer.value
        if answer.paged == "keyset":
            return self._after(asked, path, items)
        size = min(self.largest_page, int(asked.query.get(self._size_parameter, "30")))
        number = int(asked.query.get("page", "1"))
        shown = items[(number - 1) * size : number * size]
        headers = dict(answer.headers)
        if answer.paged == "link" and number * size < len(items):
            query = urlencode(dict(asked.query) | {"page": str(number + 1)})
            headers["Link"] = f'<{self.address}{path}?{query}>; rel="next"'
        if answer.paged == "total":
            headers["X-Total-Count"] = str(len(items))
        if answer.paged == "page":
            headers["X-Total-Count"] = str(len(shown))
            if not shown:
                return Answer(status=answer.status, raw=b"null", headers=headers)
        value = {**answer.value, answer.under: shown} if answer.under else shown
        return Answer(status=answer.status, value=value, headers=headers)

    def _after(self, asked: AskedRequest, path: str, items: list[Any]) -> Answer:
        """One page by the id that it comes after: nothing counts pages, and the last one is empty."""
        after, size = int(asked.query.get("id_after", "0")), int(asked.query[self._size_parameter])
        shown = sorted((one for one in items if one["id"] > after), key=lambda one: int(one["id"]))[:size]
        if not shown:
            return Answer(value=[])
        query = urlencode(dict(asked.query) | {"id_after": str(shown[-1]["id"])})
        return Answer(value=shown, headers={"Link": f'<{self.address}{path}?{query}>; rel="next"'})


def _send(handler: BaseHTTPRequestHandler, answer: Answer, asked: AskedRequest) -> None:
    body = answer.raw if answer.raw is not None else b""
    headers = dict(answer.headers)
    if answer.raw is None and answer.value is not None:
        body = json.dumps(answer.value).encode()
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
    status = answer.status
    if asked.method == "GET" and status == 200 and answer.raw is None:
        headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()}"'
        if asked.headers.get("If-None-Match") == headers["ETag"]:
            status, body = 304, b""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
