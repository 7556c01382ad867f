"""JSON lines, as agent programs write them: from a line of output to events, without ever raising.

What stands beside an object does not hide it: a prefix, other objects on the line, a string of megabytes. One
wrong field loses that field alone where it may be missing. All texts are valid, see `routing.printable`.

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
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import (
    AliasGenerator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from routing.printable import in_texts, valid
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

#: Objects that are read of one line.
_MOST_OBJECTS: Final = 100
#: Digits of a number that is read as it is; longer ones count nothing.
_MOST_DIGITS: Final = 18
#: Bytes of a string that is kept where a line is too long as a whole.
_LONG_BYTES: Final = 1024
#: A string of a JSON object, and the end of its last one that has not come yet.
_STRINGS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_CUT: Final = b"(cut)"
#: Where an object begins that has a field.
_OPENING: Final = re.compile(r'\{\s*"')
#: Wrong fields of one line that are left out; a line with more is not read.
_MOST_WRONG: Final = 20


class Part(BaseModel):
    """A piece of a line; fields that are not named here are ignored."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")


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
        """Read a line; one that holds no JSON object of a known kind is malformed."""
        found = json_objects(line).objects
        if not found:
            return [MalformedEvent(reason="not a JSON object with a type")]
        return [event for fields in found for event in self._events(fields)]

    def _events(self, fields: Mapping[str, Any]) -> Sequence[AgentEvent]:
        kind = fields["type"]
        for name in (f"{kind}/{fields.get('subtype')}", kind):
            if name in self.known:
                return read_form(self.known[name], fields)
        if kind in self.quiet:
            return [NoticeEvent(kind=kind)]
        return [MalformedEvent(reason=f"unknown type {kind[:100]!r}")]


def read_form(form: type[Form], fields: Mapping[str, Any]) -> Sequence[AgentEvent]:
    """Return the events of a line of this form; wrong fields are counted, and left out where they may be."""
    try:
        return form.model_validate(fields).events()
    except ValidationError as error:
        wrong = [part["loc"] for part in error.errors(include_input=False, include_url=False)]
    names = ", ".join(".".join(map(str, path)) for path in wrong[:_MOST_WRONG])
    malformed = MalformedEvent(reason=f"{fields['type']} event with wrong fields: {names}"[:500])
    if len(wrong) > _MOST_WRONG:
        return [malformed]
    left: Any = fields
    for path in reversed(wrong):  # from the end, so that places in lists stay what they are
        left = _without(left, path)
    try:
        return [malformed, *form.model_validate(left).events()]
    except ValidationError:  # it cannot be without them
        return [malformed]


def _without(value: Any, path: Sequence[int | str]) -> Any:
    """The JSON value without what is at that path; the same where nothing is."""
    head, rest = path[0], path[1:]
    match value:
        case dict() if head in value:
            kept = {name: item for name, item in value.items() if name != head}
            return {**kept, str(head): _without(value[head], rest)} if rest else kept
        case list() if isinstance(head, int) and head < len(value):
            replaced = [_without(value[head], rest)] if rest else []
            return [*value[:head], *replaced, *value[head + 1 :]]
        case _:
            return value


class FoundObjects(NamedTuple):
    """What a line holds."""

    objects: Sequence[dict[str, Any]]  # with a `type`
    beside: str  # the text before, between and after them


def json_objects(line: str) -> FoundObjects:
    """Find the JSON objects with a `type` in a line, whatever stands beside them.

    They follow each other from the first brace on. What is within an object that is cut short is not one: its
    parts were never said by themselves.
    """
    objects: list[dict[str, Any]] = []
    beside, at = "", 0
    while len(objects) < _MOST_OBJECTS and (opening := _OPENING.search(line, at)):
        start = opening.start()
        try:
            value, end = _DECODER.raw_decode(line, start)
            value = in_texts(value, valid)
        except (ValueError, RecursionError):  # the second: brackets nested by the thousand
            break
        if not isinstance(value.get("type"), str):
            break
        objects.append(value)
        beside, at = beside + line[at:start], end
    return FoundObjects(objects, beside + line[at:])


def without_long_strings(data: bytes) -> bytes:
    """Take the contents of long strings out of the beginning of a JSON object that becomes too long.

    What follows can be appended: a string that has not ended yet stays open. A string goes as a whole,
    so that no half of a secret stays.
    """

    def shortened(match: re.Match[bytes]) -> bytes:
        text = match[0]
        if len(text) < _LONG_BYTES:
            return text
        if text.endswith(b'"') and not _is_escaped(text, len(text) - 1):
            return b'"' + _CUT + b'"'
        return b'"' + _CUT + (b"\\" if _is_escaped(text, len(text)) else b"")

    return _STRINGS.sub(shortened, data)


def _is_escaped(text: bytes, at: int) -> bool:
    """Whether an odd number of backslashes stands before that place."""
    return (at - len(text[:at].rstrip(b"\\"))) % 2 == 1


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


#: Lenient: control characters in strings are read, and numbers of any length.
_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_number)


def api_error(message: str, status: re.Pattern[str]) -> ApiErrorEvent:
    """An error of the model's API, with the HTTP status that its words name."""
    found = status.search(message)
    return ApiErrorEvent(message=message, status=int(found[1]) if found else None)


def tool_detail(parameters: Mapping[str, Any]) -> str:
    """Say what a tool was used for, by the most telling of its parameters."""
    found = (value for name in _TELLING if isinstance(value := parameters.get(name), str) and value)
    return next(found, "")[:_DETAIL_CHARACTERS]
