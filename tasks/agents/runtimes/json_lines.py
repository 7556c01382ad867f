"""JSON lines, as agent programs write them: from a line of output to events, without ever raising.

A `Form` is one kind of line: its fields, checked by pydantic, and the events that it means. `Forms` are all
kinds of one program, by the line's `type`. What a program adds in a later release is counted as malformed
until somebody has looked at it: unknown types are not guessed, while unknown fields of known types are
ignored.
"""

import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AliasGenerator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from tasks.agents.runtimes.agent_event import (
    AgentEvent,
    ApiErrorEvent,
    MalformedEvent,
    NoticeEvent,
    SessionEvent,
    TextEvent,
    ToolEvent,
)

F = TypeVar("F", bound="Form")

#: Session ids come back to us on a later turn, so only such as can be neither an option nor a path.
SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
#: Tokens.
Count = Annotated[int, Field(ge=0, le=10**15)]
#: US dollars.
Dollars = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]

#: The parameters of tools that say best what the tool was used for, the best first.
_TELLING: Final = ("command", "file_path", "filePath", "path", "pattern", "url", "query", "description")
_DETAIL_CHARACTERS: Final = 500


class Part(BaseModel):
    """A piece of a line; fields that are not named here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Form(Part):
    """The fields of one kind of line, and what it means."""

    @abstractmethod
    def events(self) -> Sequence[AgentEvent]:
        """Return the events that this line means."""


class SessionLine(Form):
    """The session's id."""

    session_id: SessionId

    def events(self) -> Sequence[AgentEvent]:
        """Return its event."""
        return [SessionEvent(session_id=self.session_id)]


class TextLine(Form):
    """Something said."""

    text: str

    def events(self) -> Sequence[AgentEvent]:
        """Return its event."""
        return [TextEvent(text=self.text)]


class ToolLine(Form):
    """A tool used, with its parameters."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    def events(self) -> Sequence[AgentEvent]:
        """Return its event."""
        return [ToolEvent(name=self.name, detail=tool_detail(self.parameters))]


def named(form: type[F], **names: str) -> type[F]:
    """The same form with the program's own names: `part.tool` is the field `tool` of the object `part`."""

    class Named(form):  # type: ignore[valid-type, misc] # made at run time
        model_config = ConfigDict(
            alias_generator=AliasGenerator(
                validation_alias=lambda name: AliasPath(*names.get(name, name).split("."))
            )
        )

    return Named


@dataclass(frozen=True, kw_only=True, slots=True)
class Forms:
    """All kinds of lines of one program, by their `type`, or by `type/subtype` for some."""

    known: Mapping[str, type[Form]]
    quiet: frozenset[str] = frozenset()  # kinds that show life, and of which nothing is kept

    def read(self, line: str) -> Sequence[AgentEvent]:
        """Read a line; one that is not a JSON object of a known kind is malformed."""
        fields = json_object(line)
        if fields is None:
            return [MalformedEvent(reason="not a JSON object with a type")]
        kind = fields["type"]
        for name in (f"{kind}/{fields.get('subtype')}", kind):
            if name in self.known:
                return read_form(self.known[name], fields)
        if kind in self.quiet:
            return [NoticeEvent(kind=kind)]
        return [MalformedEvent(reason=f"unknown type {kind[:100]!r}")]


def read_form(form: type[Form], fields: Mapping[str, Any]) -> Sequence[AgentEvent]:
    """Return the events of a line of this form, or one that says which fields are wrong."""
    try:
        return form.model_validate(fields).events()
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, part["loc"])) for part in error.errors())
        return [MalformedEvent(reason=f"{fields['type']} event with wrong fields: {wrong}"[:500])]


def json_object(line: str) -> dict[str, Any] | None:
    """Return the line's JSON object if it is one and has a `type`."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # the second: brackets nested by the thousand
        return None
    known = isinstance(value, dict) and isinstance(value.get("type"), str)
    return _encodable(value) if known else None


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    """The same without lone surrogates: programs print them, and neither a file nor a store can hold them."""
    text = json.dumps(value, ensure_ascii=False)
    encoded = text.encode(errors="replace")
    result: dict[str, Any] = value if encoded == text.encode(errors="surrogatepass") else json.loads(encoded)
    return result


def api_error(message: str, status: re.Pattern[str]) -> ApiErrorEvent:
    """An error of the model's API, with the HTTP status that its words name."""
    found = status.search(message)
    return ApiErrorEvent(message=message, status=int(found[1]) if found else None)


def tool_detail(parameters: Mapping[str, Any]) -> str:
    """Say what a tool was used for, by the most telling of its parameters."""
    found = (value for name in _TELLING if isinstance(value := parameters.get(name), str) and value)
    return next(found, "")[:_DETAIL_CHARACTERS]
