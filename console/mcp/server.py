"""A server of the Model Context Protocol on standard input and output: a JSON-RPC message a line.

Two kinds of clients are served. Those of revision 2026-07-28 name it with each request, ask
`server/discover` what there is, and want `resultType` in each result; older ones begin with `initialize`.
A server that has tools alone needs no more than these few methods, so it is ours; the test suite holds it
against the official client. See https://modelcontextprotocol.io/specification/2026-07-28.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import IO, Any

import structlog

from routing.errors import CoalmineError
from routing.printable import printable

_log = structlog.get_logger(__name__)

#: Revisions that a request may name; and those that begin with `initialize`, the newest first.
MODERN = ("2026-07-28",)
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

#: Bytes of a message.
MOST_BYTES = 1_048_576

#: For how long a client may keep the list of tools: as long as the process lives, about.
_KEPT_MILLISECONDS = 3_600_000

_VERSION = "io.modelcontextprotocol/protocolVersion"
_CLIENT = "io.modelcontextprotocol/clientInfo"
_SERVER = "io.modelcontextprotocol/serverInfo"

Document = dict[str, Any]


class ErrorCode(IntEnum):
    """Codes of errors: of JSON-RPC 2.0, and the protocol's own."""

    PARSE = -32700
    REQUEST = -32600
    METHOD = -32601
    PARAMETERS = -32602
    INTERNAL = -32603
    REVISION = -32022


class RefusedError(Exception):
    """A request that is answered with an error of the protocol."""

    def __init__(self, code: ErrorCode, words: str, data: Document | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.data = data


class UnknownToolError(Exception):
    """A tool that does not exist."""


@dataclass(frozen=True, slots=True)
class Request:
    """A message that is to be answered."""

    identifier: str | int
    method: str
    params: Document


#: Calls a tool: its name, its arguments, the client's name. UnknownToolError for one that does not exist.
CallTool = Callable[[str, Any, str], Document]


@dataclass
class McpServer:
    """Answers messages, one after the other."""

    version: str  # of Coalmine
    instructions: str  # what a model should know of the tools
    tools: list[Document]  # as `tools/list` shows them
    call: CallTool
    _client: str = field(default="", init=False)  # the name that the client gave last

    def answer(self, line: bytes) -> bytes | None:
        """The answer to a message; None for a notification, and for an answer, as nothing was asked."""
        try:
            request = _request_of(line)
        except RefusedError as error:
            return _written(None, error=error)
        if request is None:
            return None
        try:
            return _written(request.identifier, result=self._result(request.method, request.params))
        except RefusedError as error:
            return _written(request.identifier, error=error)
        except Exception:  # noqa: BLE001 - the boundary of a request: a fault in one ends no other
            _log.exception("mcp.failed", method=printable(request.method)[:100])
            fault = RefusedError(
                ErrorCode.INTERNAL, "a fault in Coalmine; what it wrote to standard error says where"
            )
            return _written(request.identifier, error=fault)

    def _result(self, method: str, params: Document) -> Document:
        meta = params.get("_meta")
        named: Mapping[str, Any] = meta if isinstance(meta, dict) else {}
        revision = named.get(_VERSION)
        if revision is not None and revision not in MODERN:
            data = {"supported": list(MODERN), "requested": printable(str(revision))[:100]}
            raise RefusedError(ErrorCode.REVISION, "this revision of the protocol is not served", data)
        self._client = _name_of(named.get(_CLIENT)) or _name_of(params.get("clientInfo")) or self._client
        found = self._methods(method, params)
        if revision is None and method != "server/discover":
            return found
        if method in {"tools/list", "server/discover"}:
            found |= {"ttlMs": _KEPT_MILLISECONDS, "cacheScope": "private"}
        return found | {"resultType": "complete", "_meta": {_SERVER: self._identity}}

    def _methods(self, method: str, params: Document) -> Document:
        if method == "initialize":
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in LEGACY else LEGACY[0],
                "serverInfo": self._identity,
                **self._offer,
            }
        if method == "server/discover":
            return {"supportedVersions": list(MODERN), **self._offer}
        if method == "ping":
            return {}
        if method == "tools/list":
            return {"tools": self.tools}
        if method == "tools/call":
            return self._called(params)
        raise RefusedError(ErrorCode.METHOD, f"there is no method {printable(method)[:100]}")

    def _called(self, params: Document) -> Document:
        """What a tool said. An error is said to the model, which may then ask for something else."""
        name, given = params.get("name"), params.get("arguments")
        try:
            document = self.call(str(name), {} if given is None else given, self._client)
        except UnknownToolError:
            words = f"there is no tool {printable(str(name))[:100]}"
            raise RefusedError(ErrorCode.PARAMETERS, words) from None
        except CoalmineError as error:
            return {"content": [{"type": "text", "text": printable(str(error))}], "isError": True}
        said = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return {
            "content": [{"type": "text", "text": said}],
            "structuredContent": document,
            "isError": False,
        }

    @property
    def _identity(self) -> Document:
        return {"name": "coalmine", "title": "Coalmine", "version": self.version}

    @property
    def _offer(self) -> Document:
        return {"capabilities": {"tools": {"listChanged": False}}, "instructions": self.instructions}


def serve(server: McpServer, given: IO[bytes] | None = None, said: IO[bytes] | None = None) -> None:
    """Answer the messages of standard input until it ends, or until nobody reads the answers."""
    messages, answers = given or sys.stdin.buffer, said or sys.stdout.buffer
    while line := messages.readline(MOST_BYTES + 1):
        if len(line) > MOST_BYTES:
            while line and not line.endswith(b"\n"):
                line = messages.readline(MOST_BYTES)
            too_long = RefusedError(ErrorCode.REQUEST, f"a message has at most {MOST_BYTES} bytes")
            answer: bytes | None = _written(None, error=too_long)
        else:
            answer = server.answer(line) if line.strip() else None
        if answer is not None:
            try:
                answers.write(answer + b"\n")
                answers.flush()
            except BrokenPipeError:
                return


def _request_of(line: bytes) -> Request | None:
    """What a line asks; None for a notification, or an answer. RefusedError for anything else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise RefusedError(ErrorCode.PARSE, "the line is not JSON") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RefusedError(ErrorCode.REQUEST, "the line is not a message of JSON-RPC 2.0")
    method, identifier, params = (message.get(name) for name in ("method", "id", "params"))
    if not isinstance(method, str) or identifier is None:
        return None
    if not isinstance(identifier, str | int) or isinstance(identifier, bool):
        raise RefusedError(ErrorCode.REQUEST, "an id is a text or a whole number")
    return Request(identifier, method, params if isinstance(params, dict) else {})


def _name_of(client: Any) -> str:
    """The name that a client says it has, as one printable line; "" for none."""
    name = client.get("name") if isinstance(client, dict) else None
    return " ".join(printable(name).split())[:60] if isinstance(name, str) else ""


def _written(
    identifier: str | int | None, *, result: Document | None = None, error: RefusedError | None = None
) -> bytes:
    """A message as one line of UTF-8."""
    message: Document = {"jsonrpc": "2.0", "id": identifier}
    if error is None:
        message["result"] = result
    else:
        data = {} if error.data is None else {"data": error.data}
        message["error"] = {"code": int(error.code), "message": str(error), **data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
