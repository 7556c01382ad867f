"""A model on this machine: as much of three APIs as programs ask for, with fixed answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

#: What every answer is said to have consumed.
INPUT_TOKENS, OUTPUT_TOKENS = 100, 7

OK = 200

#: Headers that hold a key.
_KEYS = ("x-api-key", "authorization")

_USAGE = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}


@dataclass(kw_only=True)
class ModelStub:
    """The model's mind: what it answers, and what it was asked."""

    url: str = ""  # where it listens
    refuses_with: int | None = None  # HTTP status of every answer
    refuses: dict[str, int] = field(default_factory=dict)  # HTTP status of answers to who says these words
    refusal: str = "the stub refuses"  # the words of such an answer
    retry_after: int | None = None  # its header, in seconds
    command: str | None = None  # shell line that the agent is to run, once
    after_command: int | None = None  # `refuses_with` from then on
    refused: int = 0  # answers
    keys: set[str] = field(default_factory=set)  # with which it was asked
    heard: list[list[str]] = field(default_factory=list)  # words of the user, by request
    speaks: threading.Event = field(default_factory=threading.Event)  # cleared: answers are held back

    def __post_init__(self) -> None:
        self.speaks.set()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Answer nothing within the context; who waits is answered after it."""
        self.speaks.clear()
        try:
            yield
        finally:
            self.speaks.set()

    def refusal_of(self, texts: list[str]) -> int | None:
        """The HTTP status with which somebody is refused, None when he is answered."""
        said = " ".join(texts)
        return next((status for words, status in self.refuses.items() if words in said), self.refuses_with)

    def answer(self, texts: list[str]) -> str:
        """Say what was heard, so that a resumed conversation shows."""
        return f"heard: {' / '.join(texts)}"


@contextmanager
def model_stub() -> Iterator[ModelStub]:
    """A stub that listens for as long as the context lasts."""
    stub = ModelStub()
    handler = type("Handler", (_StubHandler,), {"stub": stub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


class _StubHandler(BaseHTTPRequestHandler):
    stub: ClassVar[ModelStub]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self._send(OK, "application/json", b"")

    def do_GET(self) -> None:
        self._send(404, "application/json", b"{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = self.path.split("?")[0]
        self.stub.keys |= {value for name in _KEYS if (value := self.headers.get(name))}
        messages, answers = {
            "/v1/messages": ("messages", _anthropic_answer),
            "/v1/responses": ("input", _responses_answer),
            "/v1/chat/completions": ("messages", _chat_answer),
        }.get(path, (None, None))
        if messages is None or answers is None:
            self._send(404, "application/json", b"{}")
            return
        texts = _user_texts(body[messages])
        if (refusal := self.stub.refusal_of(texts)) is not None:
            self.stub.refused += 1
            error = {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": self.stub.refusal},
            }
            self._send(refusal, "application/json", json.dumps(error).encode())
            return
        self.stub.speaks.wait(120)
        self.stub.heard.append(texts)
        command = self._command() if body.get("tools") else None  # others have titles made, and the like
        events = answers(self.stub.answer(texts), command)
        self._send(OK, "text/event-stream", "".join(map(_sent, events)).encode())

    def _command(self) -> str | None:
        """What the agent is to run now."""
        stub = self.stub
        command, stub.command = stub.command, None
        if command is not None:
            stub.refuses_with = stub.after_command
        return command

    def _send(self, status: int, kind: str, body: bytes) -> None:
        with suppress(ConnectionError):  # who asked may be gone
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if status != OK and self.stub.retry_after is not None:
                self.send_header("retry-after", str(self.stub.retry_after))
            self.end_headers()
            self.wfile.write(body)


def _sent(event: dict[str, Any]) -> str:
    """An event of a stream; those of one API have no name."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n"


def _user_texts(messages: list[dict[str, Any]]) -> list[str]:
    """The user's own words: what the programs add for the model comes in tags."""
    texts = []
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        texts += [part["text"].strip() for part in parts if "text" in part]
    return [text for text in texts if text and not text.startswith("<")]


def _anthropic_answer(text: str, command: str | None) -> list[dict[str, Any]]:
    """Events of the Anthropic Messages API."""
    if command is None:
        start: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": text}
    else:
        start = {"type": "tool_use", "id": "toolu_stub", "name": "Bash", "input": {}}
        arguments = {"command": command, "description": "as the test says"}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
    message: dict[str, Any] = {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": "stub",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _USAGE,
    }
    ending = {"stop_reason": "end_turn" if command is None else "tool_use", "stop_sequence": None}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": OUTPUT_TOKENS}},
        {"type": "message_stop"},
    ]


def _responses_answer(text: str, command: str | None) -> list[dict[str, Any]]:
    """Events of the OpenAI Responses API."""
    if command is None:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        item: dict[str, Any] = {"type": "message", "id": "m_stub", "role": "assistant", "content": content}
    else:
        arguments = json.dumps({"cmd": command})
        item = {"type": "function_call", "id": "f_stub", "call_id": "c_stub", "name": "exec_command"}
        item["arguments"] = arguments
    usage = _USAGE | {"total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
    response = {"id": "r_stub", "object": "response", "status": "completed", "output": [item], "usage": usage}
    return [
        {"type": "response.created", "response": response | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]


def _chat_answer(text: str, command: str | None) -> list[dict[str, Any]]:
    """Events of the Chat Completions API of OpenAI, which many providers speak."""
    delta: dict[str, Any] = {"role": "assistant", "content": text}
    if command is not None:
        arguments = json.dumps({"command": command, "description": "as the test says"})
        call = {"index": 0, "id": "call_stub", "type": "function"}
        delta = {
            "role": "assistant",
            "tool_calls": [{**call, "function": {"name": "bash", "arguments": arguments}}],
        }
    ending = "stop" if command is None else "tool_calls"
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}
    chunk = {"id": "c_stub", "object": "chat.completion.chunk", "created": 0, "model": "stub"}
    return [
        chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": ending}]},
        chunk | {"choices": [], "usage": usage | {"total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}},
    ]
