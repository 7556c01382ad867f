"""The `command` runtime: any program. Prompt on standard input or in a file; JSON lines or plain text out.

The one runtime whose format is ours: docs/runtimes.md describes it, and it stays as it is. A line that is
no event is text, so that a shell script is an agent, too.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from routing.printable import valid
from tasks.agents.accounts.limit_words import limit_words
from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    LimitEvent,
    ResultEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
)
from tasks.agents.runtimes.json_lines import (
    Count,
    Dollars,
    Form,
    Forms,
    SessionLine,
    TextLine,
    json_objects,
    named,
    read_form,
)
from tasks.agents.runtimes.program import ProgramRuntime
from tasks.agents.runtimes.runtime import RuntimeRefusedError, Seen, SessionFiles, TurnInput


class _ToolUsed(Form):
    name: str
    detail: str = ""

    def events(self) -> Sequence[AgentEvent]:
        return [ToolEvent(name=self.name, detail=self.detail)]


class _ResultLine(Form):
    text: str = ""
    is_error: bool = False

    def events(self) -> Sequence[AgentEvent]:
        return [ResultEvent(text=self.text, is_error=self.is_error)]


class _LimitLine(Form):
    until: float | None = None  # seconds since the epoch
    text: str = ""

    def events(self) -> Sequence[AgentEvent]:
        return [LimitEvent(until=self.until, words=self.text or "the program says that a limit is reached")]


class _UsageLine(Form):
    cost_usd: Dollars | None = None
    input_tokens: Count = 0  # with those from and to the cache
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0

    def events(self) -> Sequence[AgentEvent]:
        usage = Usage(
            cost_usd=self.cost_usd,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
        )
        return [UsageEvent(usage=usage)]


_LINES: Final = Forms(
    known={
        "text": TextLine,
        "tool": _ToolUsed,
        "result": _ResultLine,
        "usage": _UsageLine,
        "limit": _LimitLine,
        "session": named(SessionLine, session_id="id"),
    }
)

#: Words; dots, percentages, spinners and times of day have none.
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


#: Whatever program it is: its last words count, as nothing else says more. A result can be its agent's own.
_LIMITS: Final = limit_words(is_own_voice=False)


class CommandRuntime(ProgramRuntime):
    """Runs the version's `command` as a shell line. It is the operator's; outside text never joins it."""

    name = "command"
    lines = _LINES
    session_files = SessionFiles(folder=".agent-sessions", variable="COALMINE_SESSIONS")
    limit_words = _LIMITS

    def check(self) -> None:
        """Refuse a version without a command; model and tools are the command's to judge."""
        if not (self.spec.command or "").strip():
            message = (
                "the version has the runtime `command` but no command; "
                "propose a version whose `command` is the shell line that starts the agent"
            )
            raise RuntimeRefusedError(message)

    def argv(self, turn: TurnInput) -> Sequence[str]:  # noqa: ARG002  # the protocol's signature
        """Run the operator's line with the shell."""
        return ["/bin/sh", "-c", self.spec.command or ""]

    def environment(self, turn: TurnInput) -> Mapping[str, str]:
        """Hand over what a dedicated runtime would turn into options: model, tools, session."""
        given = {
            "COALMINE_MODEL": self.spec.model,
            "COALMINE_TOOLS": ",".join(self.spec.tools),
            "COALMINE_SESSION": turn.session_id,
        }
        return {name: value for name, value in given.items() if value}

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Take JSON objects of known types as those events, and any other line as text.

        Signs of progress, and one word (the level or the name in a log), may stand beside them. A line with
        more words is text, as agents quote such objects.
        """
        found = json_objects(line)
        known = self.lines.known
        forms = [(known[fields["type"]], fields) for fields in found.objects if fields["type"] in known]
        if not forms or len(forms) < len(found.objects) or len(_WORD.findall(found.beside)) > 1:
            return [TextEvent(text=valid(line))]
        return [event for form, fields in forms for event in read_form(form, fields)]

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Exit code 0, and no result that calls itself an error."""
        return exit_code == 0 and not (seen.result is not None and seen.result.is_error)
