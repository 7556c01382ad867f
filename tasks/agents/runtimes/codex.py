"""The `codex` runtime: `codex exec`, prompt on standard input, JSON lines out.

Seen with 0.169.0 (tests/recordings/agents): it reads standard input to its end even with a prompt as
argument; an unknown id that is not a UUID silently starts a new thread; usage counts since the thread
began.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from routing.accounts.limit import LimitKind
from tasks.agents.accounts.limit_words import limit_words
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    NoticeEvent,
    ResultEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
    UsageScope,
)
from tasks.agents.runtimes.json_lines import Count, Form, Forms, Part, SessionLine, api_error, named
from tasks.agents.runtimes.known_program import KnownProgram, LoginFile
from tasks.agents.runtimes.program import ProgramRuntime, option
from tasks.agents.runtimes.runtime import RuntimeRefusedError, SessionFiles, TurnInput

#: The program's words for what commands may touch; a version names one of them as its only tool.
SANDBOXES: Final = ("read-only", "workspace-write", "danger-full-access")

#: Nothing is sent home and nothing updated: the first also costs five seconds a turn without a network.
_QUIET: Final = ("analytics.enabled=false", "feedback.enabled=false", "check_for_update_on_startup=false")
#: Where the words of an error tell the HTTP status.
_STATUS: Final = re.compile(r"\bstatus:? ([1-5][0-9]{2})\b")
_DETAIL_CHARACTERS: Final = 500


class _Change(Part):
    path: str = ""


class _Item(Part):
    type: str
    text: str = ""
    command: str = ""
    query: str = ""
    server: str = ""
    tool: str = ""
    changes: list[_Change] = Field(default_factory=list)

    @property
    def event(self) -> AgentEvent:
        details = {
            "command_execution": self.command,
            "web_search": self.query,
            "mcp_tool_call": f"{self.server} {self.tool}",
            "file_change": ", ".join(change.path for change in self.changes),
        }
        if self.type not in details:  # reasoning, plans, and errors that are mere warnings
            return NoticeEvent(kind=f"item/{self.type}"[:100])
        return ToolEvent(name=self.type, detail=details[self.type][:_DETAIL_CHARACTERS])


class _ItemStarted(Form):
    item: _Item

    def events(self) -> Sequence[AgentEvent]:
        return [self.item.event]


class _ItemCompleted(Form):
    item: _Item

    def events(self) -> Sequence[AgentEvent]:
        if self.item.type == "agent_message":
            return [TextEvent(text=self.item.text)]
        if self.item.type == "command_execution":  # reported when it started
            return [NoticeEvent(kind="item/command_execution")]
        return [self.item.event]


class _CodexTokens(Part):
    input_tokens: Count = 0  # with those from the cache
    cached_input_tokens: Count = 0
    cache_write_input_tokens: Count = 0
    output_tokens: Count = 0  # with those of reasoning


class _TurnCompleted(Form):
    usage: _CodexTokens = Field(default_factory=_CodexTokens)  # since the thread began

    def events(self) -> Sequence[AgentEvent]:
        usage = Usage(
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            cache_read_tokens=self.usage.cached_input_tokens,
            cache_write_tokens=self.usage.cache_write_input_tokens,
        )
        return [UsageEvent(usage=usage, scope=UsageScope.SESSION), ResultEvent()]


class _CodexError(Form):
    message: str = ""

    def events(self) -> Sequence[AgentEvent]:
        return [api_error(self.message, _STATUS)]


class _CodexFailure(Part):
    message: str = ""


class _TurnFailed(Form):
    error: _CodexFailure = Field(default_factory=_CodexFailure)

    def events(self) -> Sequence[AgentEvent]:
        return [ResultEvent(text=self.error.message, is_error=True)]


_LINES: Final = Forms(
    known={
        "thread.started": named(SessionLine, session_id="thread_id"),  # another one where the id was unknown
        "item.started": _ItemStarted,
        "item.completed": _ItemCompleted,
        "turn.completed": _TurnCompleted,
        "turn.failed": _TurnFailed,
        "error": _CodexError,
    },
    quiet=frozenset({"turn.started", "item.updated"}),
)


PROGRAM: Final = KnownProgram(
    name="Codex",
    command="codex",
    install="npm install -g @openai/codex",
    seen="0.169.0",
    usage=("exec", "--help"),
    options=("--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
    log_in="run `codex login` once (with a key: `printenv OPENAI_API_KEY | codex login --with-api-key`), or "
    "export CODEX_API_KEY",
    keys=("CODEX_API_KEY",),
    surroundings=("CODEX_HOME",),
    # A provider of one's own has its own key, of which Codex does not say whether it is there.
    login_files=(
        LoginFile(
            variable="CODEX_HOME", folder=".codex", path="config.toml", pattern=r"^\s*model_provider\s*="
        ),
    ),
    login_status=("login", "status"),
)

#: "You've hit your usage limit. … try again in 3 days 4 hours", "Selected model is at capacity".
_LIMITS: Final = limit_words(
    (
        (LimitKind.USAGE, r"hit your usage limit|usage_limit_reached|usage_not_included"),
        (LimitKind.OVERLOADED, r"model is at capacity|server_is_overloaded|slow_down"),
        (LimitKind.AUTH, r"refresh token|access token could not be|token_expired|sign in again"),
    )
)


class CodexRuntime(ProgramRuntime):
    """Runs `codex exec`, which never asks; without a sandbox unless the version names one.

    Errors on the way are retries: the last `turn.completed` or `turn.failed` is what counts.
    """

    name = "codex"
    program = PROGRAM
    lines = _LINES
    session_files = SessionFiles(
        folder=".codex", variable="CODEX_HOME", settings=("config.toml", "AGENTS.md"), logins=("auth.json",)
    )
    limit_words = _LIMITS

    def check(self) -> None:
        """Refuse tools other than one sandbox, too: the program has no finer option."""
        super().check()
        if len(self.spec.tools) > 1 or not set(self.spec.tools) <= set(SANDBOXES):
            message = (
                f"the runtime `codex` takes no tools {', '.join(self.spec.tools)[:200]!r}; "
                f"propose a version with none, or with one of: {', '.join(SANDBOXES)}"
            )
            raise RuntimeRefusedError(message)

    def argv(self, turn: TurnInput) -> Sequence[str]:
        """Return the headless form; `resume` has no option for a sandbox, so that is configuration."""
        free = ("--dangerously-bypass-approvals-and-sandbox",)
        base = turn.environment.get("OPENAI_BASE_URL")  # the program itself no longer reads it
        resumed = () if turn.session_id is None else (turn.session_id,)
        return [
            *("codex", "exec", *(("resume",) if resumed else ()), "--json"),
            *option("-m", self.spec.model),
            "--skip-git-repo-check",
            *(part for setting in _QUIET for part in ("-c", setting)),
            *(("-c", f"openai_base_url={json.dumps(base)}") if base else ()),
            *(("-c", f'sandbox_mode="{self.spec.tools[0]}"') if self.spec.tools else free),
            *resumed,
            "-",  # read the prompt from standard input, to its end
        ]
