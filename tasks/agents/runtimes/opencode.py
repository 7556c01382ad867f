"""The `opencode` runtime: `opencode run`, prompt on standard input, JSON lines out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
)
from tasks.agents.runtimes.json_lines import Count, Dollars, Form, Forms, Part, SessionId, tool_detail
from tasks.agents.runtimes.options import check_options
from tasks.agents.runtimes.runtime import RuntimeSpec, Seen, TurnInput

#: The reason of a step after which another one follows.
_GOES_ON: Final = "tool-calls"
#: The reason of a step that the model ended because it was done.
_DONE: Final = "stop"


class _StepStart(Form):
    sessionID: SessionId  # noqa: N815  # the program's names, here and below

    def events(self) -> Sequence[AgentEvent]:
        return [SessionEvent(session_id=self.sessionID)]


class _TextPart(Part):
    text: str


class _Text(Form):
    part: _TextPart

    def events(self) -> Sequence[AgentEvent]:
        return [TextEvent(text=self.part.text)]


class _ToolState(Part):
    input: dict[str, Any] = Field(default_factory=dict)


class _ToolPart(Part):
    tool: str
    state: _ToolState = Field(default_factory=_ToolState)


class _OpencodeToolUse(Form):
    part: _ToolPart

    def events(self) -> Sequence[AgentEvent]:
        return [ToolEvent(name=self.part.tool, detail=tool_detail(self.part.state.input))]


class _Cache(Part):
    read: Count = 0
    write: Count = 0


class _OpencodeTokens(Part):
    input: Count = 0  # without those from the cache
    output: Count = 0  # without those of reasoning
    reasoning: Count = 0
    cache: _Cache = Field(default_factory=_Cache)


class _StepPart(Part):
    reason: str
    cost: Dollars = 0.0  # of this step; 0 for models of which the program knows no price
    tokens: _OpencodeTokens = Field(default_factory=_OpencodeTokens)  # of this step


class _StepFinish(Form):
    part: _StepPart

    def events(self) -> Sequence[AgentEvent]:
        tokens = self.part.tokens
        usage = Usage(
            cost_usd=self.part.cost,
            input_tokens=tokens.input + tokens.cache.read + tokens.cache.write,
            output_tokens=tokens.output + tokens.reasoning,
        )
        if self.part.reason == _GOES_ON:
            return [UsageEvent(usage=usage)]
        if self.part.reason == _DONE:
            return [UsageEvent(usage=usage), ResultEvent()]
        text = f"the model ended with: {self.part.reason}"[:200]
        return [UsageEvent(usage=usage), ResultEvent(text=text, is_error=True)]


class _ErrorData(Part):
    message: str = ""
    statusCode: int | None = None  # noqa: N815


class _ErrorPart(Part):
    name: str = ""
    data: _ErrorData = Field(default_factory=_ErrorData)


class _OpencodeError(Form):
    sessionID: SessionId  # noqa: N815
    error: _ErrorPart

    def events(self) -> Sequence[AgentEvent]:
        text = f"{self.error.name}: {self.error.data.message}"
        status = self.error.data.statusCode
        failed = [] if status is None else [ApiErrorEvent(message=text, status=status)]
        return [SessionEvent(session_id=self.sessionID), ResultEvent(text=text, is_error=True), *failed]


_FORMS: Final = Forms(
    known={
        "step_start": _StepStart,
        "text": _Text,
        "tool_use": _OpencodeToolUse,
        "step_finish": _StepFinish,
        "error": _OpencodeError,
    },
    quiet=frozenset({"reasoning"}),
)


@dataclass(frozen=True, slots=True)
class OpencodeRuntime:
    """Runs `opencode run`; what it would ask for is approved, and what the version does not name denied."""

    spec: RuntimeSpec

    @property
    def name(self) -> str:
        """`opencode`."""
        return "opencode"

    @property
    def resumes(self) -> bool:
        """Sessions are kept by the program on the machine."""
        return True

    def check(self) -> None:
        """Refuse a model or tools that would be taken for options."""
        check_options(self.spec)

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form, which approves all that is not denied."""
        return [
            *("opencode", "run", "--format", "json", "--auto"),
            *(() if self.spec.model is None else ("-m", self.spec.model)),
            *(() if turn.session_id is None else ("-s", turn.session_id)),
        ]

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """Say where to work (it believes PWD before the kernel), which tools there are, and not to update."""
        told = {"PWD": str(turn.worktree), "OPENCODE_DISABLE_AUTOUPDATE": "1"}
        if not self.spec.tools:
            return told
        rules = {"*": "deny"} | dict.fromkeys(self.spec.tools, "allow")
        return told | {"OPENCODE_PERMISSION": json.dumps(rules)}

    def stdin(self, turn: TurnInput) -> bytes:
        """Give the prompt as it is."""
        return turn.prompt.encode(errors="replace")

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Read one of the program's JSON lines."""
        return _FORMS.read(line)

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Exit code 0 and a last step that the model ended because it was done."""
        return exit_code == 0 and seen.succeeded
