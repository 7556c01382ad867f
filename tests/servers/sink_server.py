"""A small HTTP server that plays the receiver of notifications, and misbehaves on demand."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkDelivery:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """An answer as it is to be sent."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False  # close the connection without a word
    hang: bool = False  # say nothing until the server ends


class SinkServer:
    """Listens on 127.0.0.1 in a thread of its own."""

    def __init__(self) -> None:
        self.deliveries: list[SinkDelivery] = []
        self.next: deque[Word] = deque()  # answers to the next deliveries
        self.always = Word()  # and to all others
        self.arrived: Callable[[SinkDelivery], object] = lambda _: None  # called before the answer
        self._ended = threading.Event()
        server = self

        class SinkHandler(BaseHTTPRequestHandler):
            timeout = 5

            def do_POST(self) -> None:
                server.serve(self)

            def do_GET(self) -> None:
                server.serve(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the signature is theirs
                """Say nothing."""

        class QuietSinkServer(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up is part of the tests."""

        self._http = QuietSinkServer(("127.0.0.1", 0), SinkHandler)
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, with a path that nobody must see."""
        return f"http://127.0.0.1:{self._http.server_port}/services/T000SECRET/path"

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        delivery = SinkDelivery(path=handler.path, headers=headers, body=body)
        self.deliveries.append(delivery)
        word = self.next.popleft() if self.next else self.always
        self.arrived(delivery)
        if word.hang:
            self._ended.wait()
        if word.hang or word.drop:
            handler.close_connection = True
            return
        handler.send_response(word.status)
        for name, value in word.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(word.body)))
        handler.end_headers()
        handler.wfile.write(word.body)


@contextmanager
def sink_server() -> Iterator[SinkServer]:
    """A server that ends with the block."""
    made = SinkServer()
    try:
        yield made
    finally:
        made.stop()
