"""The `gemini` runtime: Gemini CLI, prompt on standard input, JSON lines out.

Seen with 0.61.0 (tests/recordings/agents): SIGTERM gives exit code 0 without a result; errors of the API
give odd exit codes, and their HTTP status only in words; retries stand on standard error alone; usage counts
for each process.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from routing.accounts.limit import LimitKind
from tasks.agents.accounts.limit_words import limit_words
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    NoticeEvent,
    ResultEvent,
    TextEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.json_lines import Count, Form, Forms, Part, SessionLine, ToolLine, api_error, named
from tasks.agents.runtimes.known_program import KnownProgram, LoginFile
from tasks.agents.runtimes.program import ProgramRuntime, option
from tasks.agents.runtimes.runtime import SessionFiles, TurnInput

#: Where the words of an API error tell the HTTP status.
_STATUS: Final = re.compile(r'"code": ?([1-5][0-9]{2})\b')

#: A line of standard error about a request that failed and is made again, or for the last time.
_FAILED: Final = re.compile(r"Attempt [0-9]+ failed(?: with (?:status )?([1-5][0-9]{2})\b)?[.: ]")


class _GeminiMessage(Form):
    role: str
    content: str = ""  # a piece of it, where `delta` says so

    def events(self) -> Sequence[AgentEvent]:
        if self.role != "assistant":  # the prompt, repeated
            return [NoticeEvent(kind=f"message/{self.role}"[:100])]
        return [TextEvent(text=self.content)]


class _Stats(Part):
    input_tokens: Count = 0  # with those from the cache
    cached: Count = 0
    output_tokens: Count = 0


class _GeminiFailure(Part):
    message: str = ""


class _GeminiResult(Form):
    status: Literal["success", "error"]
    error: _GeminiFailure = Field(default_factory=_GeminiFailure)
    stats: _Stats = Field(default_factory=_Stats)  # of this process alone, also when it resumed a session

    def events(self) -> Sequence[AgentEvent]:
        usage = Usage(
            input_tokens=self.stats.input_tokens,
            output_tokens=self.stats.output_tokens,
            cache_read_tokens=self.stats.cached,
        )
        text, refused = self.error.message, api_error(self.error.message, _STATUS)
        return [
            UsageEvent(usage=usage, scope=UsageScope.TURN),
            ResultEvent(text=text, is_error=self.status == "error"),
            *([] if refused.status is None else [refused]),
        ]


_LINES: Final = Forms(
    known={
        "init": SessionLine,
        "message": _GeminiMessage,
        "tool_use": named(ToolLine, name="tool_name"),
        "result": _GeminiResult,
    },
    quiet=frozenset({"tool_result", "error"}),  # errors that end the turn come as its result
)


PROGRAM: Final = KnownProgram(
    name="Gemini CLI",
    command="gemini",
    install="npm install -g @google/gemini-cli",
    seen="0.61.0",
    usage=("--help",),
    options=("--output-format", "--skip-trust", "--approval-mode", "--allowed-tools", "--resume"),
    log_in="run `gemini` once and choose how to log in, or export GEMINI_API_KEY",
    keys=("GEMINI_API_KEY",),
    surroundings=(
        *("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_PROJECT"),
        *("GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS"),
    ),
    logins=("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"),
    login_files=(
        LoginFile(folder=".gemini", path="settings.json", pattern=r'"selected(?:Auth)?Type"'),
        LoginFile(folder=".gemini", path=".env", pattern=r"_API_KEY|GOOGLE_GENAI_USE_"),
        LoginFile(folder="", path=".env", pattern=r"GEMINI_API_KEY|GOOGLE_GENAI_USE_"),
    ),
)

#: "You exceeded your current quota …. Please retry in 34.07s", "You have exhausted your daily quota".
_LIMITS: Final = limit_words(
    (
        (
            LimitKind.AUTH,
            r"API key not valid|API_KEY_INVALID|UNAUTHENTICATED|specify the GEMINI_API_KEY",
        ),
        (LimitKind.USAGE, r"exceeded your current quota|exhausted your (?:daily |capacity)|QUOTA_EXHAUSTED"),
        (LimitKind.RATE, r"RESOURCE_EXHAUSTED|RATE_LIMIT_EXCEEDED"),
        (LimitKind.OVERLOADED, r"model is overloaded|MODEL_CAPACITY_EXHAUSTED|\bUNAVAILABLE\b"),
    )
)


class GeminiRuntime(ProgramRuntime):
    """Runs `gemini` with all tools approved, or with those of the version alone.

    Sessions are found by the path of the work tree. On SIGTERM it exits with 0 and without a result.
    """

    name = "gemini"
    program = PROGRAM
    lines = _LINES
    session_files = SessionFiles(
        folder=".gemini",
        settings=("settings.json", "GEMINI.md"),
        logins=("oauth_creds.json", "google_accounts.json", ".env"),
    )
    limit_words = _LIMITS

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form; a folder that is not trusted would turn every approval mode to asking."""
        approval = ("--approval-mode", "default" if self.spec.tools else "yolo")
        return [
            "gemini",
            *option("-m", self.spec.model),
            *("-o", "stream-json", "--skip-trust", *approval),
            *(part for tool in self.spec.tools for part in ("--allowed-tools", tool)),
            *option("--resume", turn.session_id),
        ]

    def parse_error(self, line: str) -> Sequence[AgentEvent]:
        """Read the line about a request that failed; what failed follows in the same line."""
        found = _FAILED.match(line)
        if found is None:
            return ()
        return [ApiErrorEvent(message=line, status=int(found[1]) if found[1] else None)]
