"""The `command` runtime: any program. Prompt on standard input or in a file; JSON lines or plain text out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from tasks.agents.agent_event import (
    AgentEvent,
    MalformedEvent,
    ResultEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
    Usage,
    UsageEvent,
)
from tasks.agents.runtime import RuntimeRefusedError, RuntimeSpec, Seen, TurnInput

#: Session ids come back to us on a later turn, so only such as can be neither an option nor a path.
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
_Count = Annotated[int, Field(ge=0, le=10**15)]
_Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _TextLine(_Line):
    type: Literal["text"]
    text: str

    def event(self) -> AgentEvent:
        return TextEvent(text=self.text)


class _ToolLine(_Line):
    type: Literal["tool"]
    name: str
    detail: str = ""

    def event(self) -> AgentEvent:
        return ToolEvent(name=self.name, detail=self.detail)


class _ResultLine(_Line):
    type: Literal["result"]
    text: str = ""
    is_error: bool = False

    def event(self) -> AgentEvent:
        return ResultEvent(text=self.text, is_error=self.is_error)


class _UsageLine(_Line):
    type: Literal["usage"]
    cost_usd: _Dollars = 0.0
    input_tokens: _Count = 0
    output_tokens: _Count = 0

    def event(self) -> AgentEvent:
        usage = Usage(
            cost_usd=self.cost_usd, input_tokens=self.input_tokens, output_tokens=self.output_tokens
        )
        return UsageEvent(usage=usage)


class _SessionLine(_Line):
    type: Literal["session"]
    id: SessionId

    def event(self) -> AgentEvent:
        return SessionEvent(session_id=self.id)


_LINE: TypeAdapter[_TextLine | _ToolLine | _ResultLine | _UsageLine | _SessionLine] = TypeAdapter(
    Annotated[_TextLine | _ToolLine | _ResultLine | _UsageLine | _SessionLine, Field(discriminator="type")]
)
_TYPES = frozenset({"text", "tool", "result", "usage", "session"})


@dataclass(frozen=True, slots=True)
class CommandRuntime:
    """Runs the version's `command` as a shell line. It is the operator's; outside text never joins it."""

    spec: RuntimeSpec

    @property
    def name(self) -> str:
        """`command`."""
        return "command"

    @property
    def resumes(self) -> bool:
        """The program is told the session's id in COALMINE_SESSION and may make of it what it likes."""
        return True

    def check(self) -> None:
        """Refuse a version without a command."""
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
        told = {
            "COALMINE_MODEL": self.spec.model,
            "COALMINE_TOOLS": ",".join(self.spec.tools),
            "COALMINE_SESSION": turn.session_id,
        }
        return {name: value for name, value in told.items() if value}

    def stdin(self, turn: TurnInput) -> bytes:
        """Give the prompt as it is."""
        return turn.prompt.encode(errors="replace")

    def parse(self, line: str) -> Sequence[AgentEvent]:
        """Take a JSON object of a known `type` as that event, and anything else as text."""
        fields = _json_object(line)
        if fields is None or fields.get("type") not in _TYPES:
            return [TextEvent(text=line)]
        try:
            return [_LINE.validate_python(fields).event()]
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, part["loc"])) for part in error.errors())
            return [MalformedEvent(reason=f"{fields['type']} event with wrong fields: {wrong}"[:500])]

    def clean(self, exit_code: int, seen: Seen) -> bool:
        """Exit code 0, and no result that calls itself an error."""
        return exit_code == 0 and not (seen.result is not None and seen.result.is_error)


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # the second: brackets nested by the thousand
        return None
    known = isinstance(value, dict) and isinstance(value.get("type"), str)
    return value if known else None
