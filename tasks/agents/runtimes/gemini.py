"""The `gemini` runtime: Gemini CLI, prompt on standard input, JSON lines out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field

from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    NoticeEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.json_lines import Count, Form, Forms, Part, SessionId, tool_detail
from tasks.agents.runtimes.options import check_options
from tasks.agents.runtimes.runtime import RuntimeSpec, Seen, TurnInput

#: Where the words of an API error tell the HTTP status.
_STATUS: Final = re.compile(r'"code": ?([1-5][0-9]{2})\b')


class _GeminiInit(Form):
    session_id: SessionId

    def events(self) -> Sequence[AgentEvent]:
        return [SessionEvent(session_id=self.session_id)]


class _GeminiMessage(Form):
    role: str
    content: str = ""  # a piece of it, where `delta` says so

    def events(self) -> Sequence[AgentEvent]:
        if self.role != "assistant":  # the prompt, repeated
            return [NoticeEvent(kind=f"message/{self.role}"[:100])]
        return [TextEvent(text=self.content)]


class _GeminiToolUse(Form):
    tool_name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    def events(self) -> Sequence[AgentEvent]:
        return [ToolEvent(name=self.tool_name, detail=tool_detail(self.parameters))]


class _Stats(Part):
    input_tokens: Count = 0  # with those from the cache
    output_tokens: Count = 0


class _GeminiFailure(Part):
    message: str = ""


class _GeminiResult(Form):
    status: Literal["success", "error"]
    error: _GeminiFailure = Field(default_factory=_GeminiFailure)
    stats: _Stats = Field(default_factory=_Stats)  # of this process alone, also when it resumed a session

    def events(self) -> Sequence[AgentEvent]:
        usage = Usage(input_tokens=self.stats.input_tokens, output_tokens=self.stats.output_tokens)
        text, status = self.error.message, _STATUS.search(self.error.message)
        failed = [ApiErrorEvent(message=text, status=int(status[1]))] if status else []
        return [
            UsageEvent(usage=usage, scope=UsageScope.TURN),
            ResultEvent(text=text, is_error=self.status == "error"),
            *failed,
        ]


_FORMS: Final = Forms(
    known={
        "init": _GeminiInit,
        "message": _GeminiMessage,
        "tool_use": _GeminiToolUse,
        "result": _GeminiResult,
    },
    quiet=frozenset({"tool_result", "error"}),  # errors that end the turn come as its result
)


@dataclass(frozen=True, slots=True)
class GeminiRuntime:
    """Runs `gemini` with all tools approved, or with those of the version alone."""

    spec: RuntimeSpec

    @property
    def name(self) -> str:
        """`gemini`."""
        return "gemini"

    @property
    def resumes(self) -> bool:
        """Sessions are kept by the program on the machine, by the path of the work tree."""
        return True

    def check(self) -> None:
        """Refuse a model or tools that would be taken for options."""
        check_options(self.spec)

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form; a folder that is not trusted would turn every approval mode to asking."""
        approval = ("--approval-mode", "default" if self.spec.tools else "yolo")
        return [
            "gemini",
            *(() if self.spec.model is None else ("-m", self.spec.model)),
            *("-o", "stream-json", "--skip-trust", *approval),
            *(part for tool in self.spec.tools for part in ("--allowed-tools", tool)),
            *(() if turn.session_id is None else ("--resume", turn.session_id)),
        ]

    def environment(self, turn: TurnInput) -> Mapping[str, str]:  # noqa: ARG002  # the protocol's signature
        """Nothing: all is said by options."""
        return {}

    def stdin(self, turn: TurnInput) -> bytes:
        """Give the prompt as it is; without `-p` it is the whole prompt."""
        return turn.prompt.encode(errors="replace")

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Read one of the program's JSON lines."""
        return _FORMS.read(line)

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Exit code 0 and a result that is no error: on SIGTERM it exits with 0 and without a result."""
        return exit_code == 0 and seen.succeeded
