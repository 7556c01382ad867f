"""The `claude` runtime: Claude Code, headless, one message in and JSON lines out.

Seen with 2.1.329 (tests/recordings/agents): `is_error` alone says that a result failed, as `subtype` may be
"success" then; costs and tokens count since the session began, turns of killed processes included; `init`
comes with every turn; 401, 429 and 5xx are retried for minutes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from pydantic import Field

from routing.accounts.limit import LimitKind
from tasks.agents.accounts.limit_words import limit_words
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    LimitEvent,
    NoticeEvent,
    ResultEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.json_lines import Count, Dollars, Form, Forms, Part, SessionLine, tool_detail
from tasks.agents.runtimes.known_program import KnownProgram, LoginFile
from tasks.agents.runtimes.program import ProgramRuntime, option
from tasks.agents.runtimes.runtime import SessionFiles, TurnInput

#: What an agent may use beside reading when its version names no tools; edits stay in the work tree.
DEFAULT_TOOLS: Final = ("Bash", "WebFetch", "WebSearch")


class _ApiRetry(Form):
    attempt: int = 0
    error_status: int | None = None
    error: str = ""

    def events(self) -> Sequence[AgentEvent]:
        return [ApiErrorEvent(message=f"{self.error}, attempt {self.attempt}", status=self.error_status)]


class _System(Form):
    subtype: str = ""

    def events(self) -> Sequence[AgentEvent]:
        return [NoticeEvent(kind=f"system/{self.subtype}"[:100])]


#: Limits of a subscription as a whole; those of one model are named after it (`seven_day_opus`).
_OF_ALL_MODELS: Final = frozenset({"five_hour", "seven_day", "overage"})


class _RateStatus(StrEnum):
    ALLOWED = "allowed"
    WARNING = "allowed_warning"
    REFUSED = "rejected"


class _RateLimitInfo(Part):
    status: _RateStatus | str = ""  # one of a later release is none of these
    resetsAt: float | None = None  # noqa: N815  # the program's names, here and below; seconds since the epoch
    rateLimitType: str = ""  # noqa: N815
    isUsingOverage: bool = False  # noqa: N815  # what is rejected is paid for otherwise, and goes on


class _RateLimit(Form):
    rate_limit_info: _RateLimitInfo = Field(default_factory=_RateLimitInfo)

    def events(self) -> Sequence[AgentEvent]:
        info = self.rate_limit_info
        if info.status != _RateStatus.REFUSED or info.isUsingOverage:
            return [NoticeEvent(kind="rate_limit_event")]
        return [
            LimitEvent(
                until=info.resetsAt,
                is_wide=info.rateLimitType in _OF_ALL_MODELS,
                words=f"the limit {info.rateLimitType or 'of the account'} is reached",
            )
        ]


class _Block(Part):
    type: str
    text: str = ""
    name: str = ""
    input: dict[str, Any] = Field(default_factory=dict)

    def events(self) -> Sequence[AgentEvent]:
        match self.type:
            case "text":
                return [TextEvent(text=self.text)]
            case "tool_use":
                return [ToolEvent(name=self.name, detail=tool_detail(self.input))]
            case _:  # thinking and what is to come
                return [NoticeEvent(kind=f"assistant/{self.type}"[:100])]


class _ClaudeMessage(Part):
    content: list[_Block]


class _Assistant(Form):
    message: _ClaudeMessage
    # Where the program speaks in the model's place:
    error: str | None = None
    isApiErrorMessage: bool = False  # noqa: N815  # its name before 2.1
    is_api_error_message: bool = False
    api_error_status: int | None = None

    def events(self) -> Sequence[AgentEvent]:
        said = [event for block in self.message.content for event in block.events()]
        if self.error is None and not (self.isApiErrorMessage or self.is_api_error_message):
            return said
        words = "\n".join(event.text for event in said if isinstance(event, TextEvent))
        return [ApiErrorEvent(message=words or self.error or "", status=self.api_error_status)]


class _ModelUsage(Part):
    inputTokens: Count = 0  # noqa: N815  # the program's names, here and below
    cacheReadInputTokens: Count = 0  # noqa: N815
    cacheCreationInputTokens: Count = 0  # noqa: N815
    outputTokens: Count = 0  # noqa: N815
    costUSD: Dollars | None = None  # noqa: N815

    @property
    def usage(self) -> Usage:
        return Usage(
            cost_usd=self.costUSD,
            input_tokens=self.inputTokens + self.cacheReadInputTokens + self.cacheCreationInputTokens,
            output_tokens=self.outputTokens,
            cache_read_tokens=self.cacheReadInputTokens,
            cache_write_tokens=self.cacheCreationInputTokens,
        )


class _ClaudeResult(Form):
    is_error: bool  # `subtype` may be "success" all the same
    result: str = ""
    errors: list[str] = Field(default_factory=list)
    api_error_status: int | None = None
    total_cost_usd: Dollars | None = None  # since the session began
    modelUsage: dict[str, _ModelUsage] = Field(default_factory=dict)  # noqa: N815  # likewise
    model_usage_since_last_result: dict[str, _ModelUsage] = Field(default_factory=dict)  # of this process

    def events(self) -> Sequence[AgentEvent]:
        """Report usage in both scopes: the step misses what a killed turn used, the session what it lost."""
        step = sum((model.usage for model in self.model_usage_since_last_result.values()), Usage())
        models = sum((model.usage for model in self.modelUsage.values()), Usage())
        session = replace(models, cost_usd=self.total_cost_usd, is_partial=False)
        text = self.result or "\n".join(self.errors)
        failed = (
            []
            if self.api_error_status is None
            else [ApiErrorEvent(message=text, status=self.api_error_status)]
        )
        return [
            UsageEvent(usage=step),
            UsageEvent(usage=session, scope=UsageScope.SESSION),
            ResultEvent(text=text, is_error=self.is_error),
            *failed,
        ]


_LINES: Final = Forms(
    known={
        "system/init": SessionLine,  # no other id: a refused resume reports some of no conversation
        "system/api_retry": _ApiRetry,
        "system": _System,
        "assistant": _Assistant,
        "result": _ClaudeResult,
        "rate_limit_event": _RateLimit,
    },
    quiet=frozenset(
        {
            "user",
            "stream_event",
            "command_lifecycle",
            "control_request",
            "control_response",
            "tool_progress",
            "keep_alive",
        }
    ),
)


PROGRAM: Final = KnownProgram(
    name="Claude Code",
    command="claude",
    install="npm install -g @anthropic-ai/claude-code",
    seen="2.1.329",
    usage=("--help",),
    options=("--input-format", "--output-format", "--permission-mode", "dontAsk", "--allowedTools"),
    log_in="run `claude auth login` once, or export ANTHROPIC_API_KEY (a key of the Anthropic Console), or "
    "CLAUDE_CODE_OAUTH_TOKEN (made by `claude setup-token`)",
    keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    surroundings=(
        *("CLAUDE_CONFIG_DIR", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"),
        *("AWS_REGION", "AWS_PROFILE", "CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"),
    ),
    login_files=(LoginFile(variable="CLAUDE_CONFIG_DIR", folder=".claude", path=".credentials.json"),),
    login_status=("auth", "status"),
)

#: "5-hour limit reached, resets 3am", "You've hit your weekly limit", "Claude AI usage limit reached|17499…".
_LIMITS: Final = limit_words(
    (
        (
            LimitKind.USAGE,
            r"claude(?: ai)? usage limit reached|\blimit (?:reached|will reset)|hit your .{0,20}limit",
        ),
    )
)


class ClaudeRuntime(ProgramRuntime):
    """Runs `claude`. Whatever the version does not allow is denied without a question.

    Sessions are found by the path of the work tree. An interrupted turn exits with 0 and without a result.
    """

    name = "claude"
    program = PROGRAM
    lines = _LINES
    session_files = SessionFiles(
        folder=".claude",
        variable="CLAUDE_CONFIG_DIR",
        settings=("settings.json", "CLAUDE.md"),
        logins=(".credentials.json",),
    )
    limit_words = _LIMITS

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form; root may not skip all permissions, so tools are allowed by name."""
        return [
            *("claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
            *option("--model", self.spec.model),
            *("--permission-mode", "dontAsk" if self.spec.tools else "acceptEdits"),
            *("--allowedTools", *(self.spec.tools or DEFAULT_TOOLS)),
            *option("--resume", turn.session_id),
        ]

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """Keep the program from updating itself and reporting home, unless the version says otherwise."""
        quiet = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"
        return {} if quiet in turn.environment else {quiet: "1"}

    def stdin(self, turn: TurnInput) -> bytes:
        """Give the prompt as one user message; of several, each would become a turn of its own."""
        prompt = super().stdin(turn).decode()
        if not prompt.strip():
            return b""
        message = {"type": "user", "message": {"role": "user", "content": prompt}}
        return json.dumps(message).encode() + b"\n"
