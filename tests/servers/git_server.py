"""The git side of the suite's forges: a repository over smart HTTP, by git's own `git http-backend`."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.forge_world import TOKEN, ForgeWorld

#: Seconds for which a request is held when nobody lets it go.
_HELD_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAsked:
    """A request of git's as it arrived."""

    method: str
    path: str  # `/acme/shop.git/info/refs`
    query: str  # `service=git-upload-pack`
    authorization: str  # the header, "" without one


class GitDoor:
    """Answers what is asked below `/OWNER/NAME.git/`, to one user with the suite's token alone."""

    def __init__(self, world: ForgeWorld, *, user: str, any_user: bool = False) -> None:
        self.asked: list[GitAsked] = []
        self.user = user
        self.any_user = any_user  # the token alone says who it is
        self.read_only = False  # the token may not push
        self.token_has_ended = False
        self.moved_to = ""  # address that every request is sent on to
        self.open = threading.Event()  # while it is not set, requests of whom we know wait
        self.open.set()
        self.holding = threading.Event()  # set once a request has waited
        self._world = world
        self._first = world.repo

    def takes(self, path: str) -> bool:
        """Whether a path is git's."""
        return ".git/" in path

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlsplit(handler.path)
        body = b"".join(_body(handler))
        authorization = handler.headers.get("Authorization", "")
        self.asked.append(
            GitAsked(method=handler.command, path=parts.path, query=parts.query, authorization=authorization)
        )
        if self.moved_to:
            _answer(handler, 302, {"Location": self.moved_to + handler.path})
        elif not self.lets_in(authorization):
            said = f"We do not know {authorization}\n".encode()  # a server that says too much
            _answer(
                handler, 401, {"WWW-Authenticate": 'Basic realm="forge"', "Content-Type": "text/plain"}, said
            )
        elif self._world.repo != self._first and parts.path.startswith(f"/{self._first}.git/"):
            moved = handler.path.replace(self._first, self._world.repo, 1)  # it was renamed
            _answer(handler, 301, {"Location": moved})
        elif not parts.path.startswith(f"{self._root}/"):
            _answer(handler, 404, {})
        else:
            if not self.open.is_set():
                self.holding.set()
                self.open.wait(_HELD_SECONDS)
            _answer(handler, *self._carried_out(handler, body))

    def lets_in(self, authorization: str) -> bool:
        """Whether the header is that of one whom we know."""
        if self.token_has_ended:
            return False
        if not self.any_user:
            return authorization == self.expected
        scheme, _, given = authorization.partition(" ")
        return scheme == "Basic" and base64.b64decode(given).decode().partition(":")[2] == TOKEN

    @property
    def _root(self) -> str:
        return f"/{self._world.repo}.git"

    @property
    def expected(self) -> str:
        """The header of the user whose token it is."""
        return "Basic " + base64.b64encode(f"{self.user}:{TOKEN}".encode()).decode()

    def _carried_out(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(handler.path)
        given = {
            "REQUEST_METHOD": handler.command,
            "QUERY_STRING": parts.query,
            "PATH_INFO": parts.path.removeprefix(self._root),
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.user,
            "REMOTE_ADDR": "127.0.0.1",
        }
        settings = {"http.receivepack": str(not self.read_only).lower()}
        done = subprocess.run(
            [_backend()], input=body, capture_output=True, check=True,
            env=_environment(self._world.repository.path, settings) | given,
        )  # fmt: skip
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(message_from_bytes(head).items())
        return int(headers.pop("Status", "200").split()[0]), headers, answer


@cache
def _backend() -> str:
    said = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    return str(Path(said.stdout.strip()) / "git-http-backend")


def _environment(repository: Path, settings: Mapping[str, str]) -> dict[str, str]:
    given = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(repository),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (name, value) in enumerate(settings.items()):
        given |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return given


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """What was sent, in one piece or in chunks as git sends large packs."""
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        yield handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        return
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        yield handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()


def _answer(
    handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes = b""
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
