"""The `opencode` runtime: `opencode run`, prompt on standard input, JSON lines out.

Seen with 1.18.33 (tests/recordings/agents): errors of the API are retried, for as long as the provider says.
That stands in its log alone, in words and without a status, until it gives up; so the log is asked for. A
turn is a series of steps, each with its usage and the reason for which it ended.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from pydantic import Field

from routing.accounts.limit import LimitKind
from tasks.agents.accounts.limit_words import limit_words
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    ResultEvent,
    SessionEvent,
    Usage,
    UsageEvent,
)
from tasks.agents.runtimes.json_lines import (
    Count,
    Dollars,
    Form,
    Forms,
    Part,
    SessionId,
    SessionLine,
    TextLine,
    ToolLine,
    named,
)
from tasks.agents.runtimes.known_program import KnownProgram
from tasks.agents.runtimes.program import ProgramRuntime, option
from tasks.agents.runtimes.runtime import SessionFiles, TurnInput

#: The reason of a step after which another one follows.
_GOES_ON: Final = "tool-calls"
#: The reason of a step that the model ended because it was done.
_DONE: Final = "stop"


#: Headers of a provider's answer that say when to ask again.
_AFTER: Final = ("retry-after", "retry-after-ms")

#: What a line of its log has about a request that failed, and what follows that are the words.
_FAILED: Final = (" level=ERROR ", ' message="stream error" ')
_WORDS_FOLLOW: Final = " error.error="

#: One that a smaller model was to answer, for a title or so: the turn does not hang on it.
_BESIDE: Final = " small=true"


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
            cost_usd=self.part.cost or None,
            input_tokens=tokens.input + tokens.cache.read + tokens.cache.write,
            output_tokens=tokens.output + tokens.reasoning,
            cache_read_tokens=tokens.cache.read,
            cache_write_tokens=tokens.cache.write,
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
    responseHeaders: dict[str, str] = Field(default_factory=dict)  # noqa: N815


class _ErrorPart(Part):
    name: str = ""
    data: _ErrorData = Field(default_factory=_ErrorData)


class _OpencodeError(Form):
    sessionID: SessionId  # noqa: N815
    error: _ErrorPart

    def events(self) -> Sequence[AgentEvent]:
        data = self.error.data
        text, status = f"{self.error.name}: {data.message}", data.statusCode
        after = [f"{name}: {value}" for name, value in data.responseHeaders.items() if name in _AFTER]
        text = f"{text} ({', '.join(after)})" if after else text
        failed = [] if status is None else [ApiErrorEvent(message=text, status=status)]
        return [SessionEvent(session_id=self.sessionID), ResultEvent(text=text, is_error=True), *failed]


_LINES: Final = Forms(
    known={
        "step_start": named(SessionLine, session_id="sessionID"),
        "text": named(TextLine, text="part.text"),
        "tool_use": named(ToolLine, name="part.tool", parameters="part.state.input"),
        "step_finish": _StepFinish,
        "error": _OpencodeError,
    },
    quiet=frozenset({"reasoning"}),
)


PROGRAM: Final = KnownProgram(
    name="opencode",
    command="opencode",
    install="npm install -g opencode-ai",
    seen="1.18.33",
    usage=("run", "--help"),
    options=("--format", "--auto", "--model", "--session", "--print-logs", "--log-level"),
    log_in="run `opencode auth login` once, or export the key of the model's provider (ANTHROPIC_API_KEY, "
    "OPENAI_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY); some models are free",
    keys=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
    surroundings=("OPENCODE_CONFIG",),
    needs_login=False,
)

#: "FreeUsageLimitError: Free usage exceeded", "ProviderAuthError", and the words of any provider.
_LIMITS: Final = limit_words(
    (
        (LimitKind.AUTH, r"ProviderAuthError|Unauthorized\b"),
        (LimitKind.USAGE, r"FreeUsageLimitError|SubscriptionUsageLimitError|usage exceeded"),
        (LimitKind.CREDIT, r"CreditsError|insufficient balance"),
    ),
    beside=rf"(?:(?!{_WORDS_FOLLOW}).)*{_BESIDE}\b",
)


class OpencodeRuntime(ProgramRuntime):
    """Runs `opencode run`; what it would ask for is approved; what the version does not name, denied."""

    name = "opencode"
    program = PROGRAM
    lines = _LINES
    session_files = SessionFiles(folder=".local/share/opencode", logins=("auth.json",))
    limit_words = _LIMITS

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form, which approves all that is not denied."""
        model, session = option("-m", self.spec.model), option("-s", turn.session_id)
        return [
            *("opencode", "run", "--format", "json", "--auto"),
            *("--print-logs", "--log-level", "ERROR"),
            *model,
            *session,
        ]

    def parse_error(self, line: str) -> Sequence[AgentEvent]:
        """Read the line of its log about a request to the model that failed, and is made again."""
        about, follows, words = line.partition(_WORDS_FOLLOW)
        if not follows or _BESIDE in about or not all(mark in about for mark in _FAILED):
            return ()
        return [ApiErrorEvent(message=_value(words))]

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """Say where to work (it believes PWD before the kernel), which tools there are, and not to update."""
        said = {"PWD": str(turn.worktree), "OPENCODE_DISABLE_AUTOUPDATE": "1"}
        if not self.spec.tools:
            return said
        rules = {"*": "deny"} | dict.fromkeys(self.spec.tools, "allow")
        return said | {"OPENCODE_PERMISSION": json.dumps(rules)}


def _value(text: str) -> str:
    """The value with which a text begins, as the log writes it: a JSON string, or one word."""
    if text.startswith('"'):
        with suppress(ValueError):
            return str(json.JSONDecoder().raw_decode(text)[0])
    return text.partition(" ")[0]
