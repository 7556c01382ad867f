"""An issue as a markdown file: YAML front matter that we understand in part, and a body that we never touch.

A change rewrites the lines of the keys that it changes and no others, so a person's comments, order and
spelling survive. Where that cannot be done safely, the front matter is written anew; the body stays byte for
byte what it was in either case.

Pure: bytes in, bytes out; `issues.py` reads and writes the files. The text is a person's and not trusted. It
is parsed by a safe loader, within bounds of size and depth, and every fault is a CorruptRecordError whose
message says what to correct and in which line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from routing.errors import CorruptRecordError
from routing.forges.local.yaml_cost import Loader, refuse_costly
from routing.printable import valid

#: The largest issue file that is read or written, in bytes.
MAX_ISSUE_BYTES = 1024 * 1024

# A fence is a line of three dashes, also with the byte order mark and the line ends of Windows.
_OPENING = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_HEADING = re.compile(r"^#[ \t]+(\S.*?)[ \t#]*\r?$", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

#: What PyYAML raises for odd values, beside its own errors: all of it means "not understood".
_FAULTS = (
    yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class _ReadableDumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as a person would."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Write text of several lines as a literal block (`|`), other text as PyYAML likes it."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_ReadableDumper.add_representer(str, _represent_text)


def _as_text(value: object) -> object:
    """YAML reads `404` as a number and `no` as a truth value; the first is a title, the second a trap."""
    if isinstance(value, bool):
        raise ValueError("is a truth value in YAML; put it in quotes")  # noqa: TRY004 - pydantic wants it so
    value = str(value) if isinstance(value, int | float | date) else value
    return valid(value) if isinstance(value, str) else value  # YAML may spell half a character


def _as_names(value: object) -> object:
    """Words as a tuple without repetitions; a list may be written as a list, or as words between commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif not isinstance(value, list):
        value = [value]
    if not all(item is None or isinstance(item, str | int | float | date) for item in value):
        raise ValueError("must be a list of words, without lists, mappings, sets or bytes in it")
    return tuple(dict.fromkeys(_as_text(item) for item in value))


def _as_numbers(value: object) -> object:
    """Numbers of issues, with or without their `#`; other words are refused by the field's own type."""
    names = _as_names(value)
    if not isinstance(names, tuple):
        return names
    return tuple(name.removeprefix("#") if isinstance(name, str) else name for name in names)


def _as_time(value: object) -> object:
    """A day as its first moment, and a time without a zone as UTC: people write both by hand."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Number = Annotated[int, Field(gt=0, lt=10**9)]


class StoredComment(BaseModel):
    """A comment as it stands in the front matter; a person may leave out all but the text."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    id: Number | None = None
    author: Text = ""
    at: Annotated[datetime | None, BeforeValidator(_as_time)] = None  # without a zone it is read as UTC
    body: Text


class FrontMatter(BaseModel):
    """The keys that we read; others are the user's, and are kept.

    Every key may be left out, so a file without front matter is an open issue.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    number: Number | None = None  # None: the file's name may have it
    title: Annotated[Text, StringConstraints(strip_whitespace=True)] | None = None
    labels: Annotated[tuple[str, ...], BeforeValidator(_as_names)] = ()
    state: Literal["open", "closed"] = "open"
    author: Text = ""
    assignees: Annotated[tuple[str, ...], BeforeValidator(_as_names)] = ()
    blocked_by: Annotated[tuple[Number, ...], BeforeValidator(_as_numbers)] = ()
    comments: tuple[StoredComment, ...] = ()

    @field_validator("number", mode="before")
    @classmethod
    def _is_not_a_truth_value(cls, value: object) -> object:
        """`number: yes` would pass for 1, as a truth value is an int to Python."""
        return _as_text(value) if isinstance(value, bool) else value

    @field_validator("comments", mode="before")
    @classmethod
    def _may_be_empty(cls, value: object) -> object:
        """`comments:` with nothing after it is null in YAML."""
        return () if value is None else value


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueFile:
    """The text of an issue file in its parts; joined, they are the file again.

    Frozen: a change makes another record. `fields` and `matter` are two views of `yaml` and always agree with
    it.
    """

    opening: str  # the first fence with its line end, "" when the file has no front matter
    yaml: str  # what stands between the fences
    closing: str  # the second fence with its line end
    body: str
    fields: Mapping[str, Any]  # what the YAML says, with the keys that are not ours
    matter: FrontMatter

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Take the file apart, or raise CorruptRecordError that says what is wrong with it.

        A file that does not begin with a fence has no front matter: all of it is the body.
        """
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"is not UTF-8 (byte {error.start}); save it as UTF-8"
            raise CorruptRecordError(message) from error
        opening = _OPENING.match(text)
        if opening is None:
            return cls(opening="", yaml="", closing="", body=text, fields={}, matter=FrontMatter())
        closing = _CLOSING.search(text, opening.end())
        if closing is None:
            raise CorruptRecordError("its front matter is not closed; end it with a line `---`")
        source = text[opening.end() : closing.start()]
        fields = _load(source)
        return cls(
            opening=opening[0],
            yaml=source,
            closing=closing[0],
            body=text[closing.end() :],
            fields=fields,
            matter=_checked(fields),
        )

    def numbered_comments(self) -> list[dict[str, Any]]:
        """The comments as they stand, with the user's own keys; those without a number get one."""
        raw = [dict(item) for item in self.fields.get("comments") or []]
        given = [item.id for item in self.matter.comments]
        following = max((number for number in given if number), default=0)
        numbered = []
        for item, number in zip(raw, given, strict=True):
            following += 0 if number else 1
            numbered.append({"id": number or following} | {key: item[key] for key in item if key != "id"})
        return numbered

    @property
    def content(self) -> bytes:
        """The file's bytes, exactly those that were parsed where nothing was changed."""
        return f"{self.opening}{self.yaml}{self.closing}{self.body}".encode()

    @property
    def is_blank(self) -> bool:
        """Whether nobody has written anything that an agent could work on: editors make files empty first."""
        return not self.body.strip() and not self.matter.title and self.matter.state == "open"

    @property
    def heading(self) -> str:
        """The first heading of the body, "" when it has none."""
        found = _HEADING.search(self.body)
        return found[1] if found else ""

    def with_fields(self, **changes: Any) -> Self:
        """Return the same file with some keys of the front matter changed or added.

        The lines of other keys stay as they are if the result, read again, says exactly what was wanted; if
        not, the front matter is written anew and loses its comments. Values that `FrontMatter` refuses raise
        CorruptRecordError.
        """
        fields = {**self.fields, **changes}
        newline = "\r\n" if "\r\n" in (self.opening or self.body.partition("\n")[0] + "\n") else "\n"
        source = _spliced(self.yaml, changes, newline)
        if source is None or not _says(source, fields):
            source = _dump(fields, newline)
        fence = f"---{newline}"
        return replace(
            self,
            opening=self.opening or fence,
            yaml=source,
            closing=self.closing or fence,
            fields=fields,
            matter=_checked(fields),
        )


def _load(source: str) -> dict[str, Any]:
    """Parse front matter into plain values; {} when it is empty.

    The line of a YAML error is counted from the file's first line, which is the fence.
    """
    try:
        refuse_costly(source)
        fields = yaml.load(source, Loader=Loader)  # noqa: S506 - a safe loader, by another name
    except _FAULTS as error:
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark is not None else ""
        message = f"its front matter is not YAML: {problem}{where}; correct it by hand"
        raise CorruptRecordError(message) from error
    if fields is None:
        return {}
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise CorruptRecordError("its front matter must be lines of `key: value`; correct it by hand")
    return fields


def _validated(fields: Mapping[str, Any]) -> FrontMatter:
    try:
        return FrontMatter.model_validate(dict(fields))
    except ValidationError:
        raise
    except _FAULTS as error:  # YAML has values that nobody thought of
        message = f"its front matter was not understood ({type(error).__name__}); correct it by hand"
        raise CorruptRecordError(message) from error


def _checked(fields: Mapping[str, Any]) -> FrontMatter:
    """Our keys of the front matter; the error names each key that is wrong and never shows its value."""
    try:
        return _validated(fields)
    except ValidationError as error:
        parts = error.errors(include_input=False, include_url=False, include_context=False)
        problems = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in parts)
        message = f"its front matter was not understood: {problems}; correct it by hand"
        raise CorruptRecordError(message) from error


def _says(source: str, fields: Mapping[str, Any]) -> bool:
    """Whether this YAML, read again, gives these fields: the check of a splice before it is used."""
    try:  # written out, because comparing lists that aliases share takes time without bound
        return _dump(_load(source), "\n") == _dump(fields, "\n")
    except CorruptRecordError:
        return False


def _dump(fields: Mapping[str, Any], newline: str) -> str:
    """The fields as YAML in the order that they have, with the file's own line ends."""
    text: str = yaml.dump(
        dict(fields),
        Dumper=_ReadableDumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=100,
    )
    return text.replace("\n", newline)


def _spliced(source: str, changes: Mapping[str, Any], newline: str) -> str | None:
    """Replace the lines of the changed keys; None when the YAML is not written one key to a line.

    From the last key to the first, so that the places of those still to be replaced stay right. New keys go
    to the end. The result is not trusted: see `_says`.
    """
    spans = _spans_of_keys(source)
    if spans is None:
        return None
    for key, (start, end) in sorted(spans.items(), key=lambda item: -item[1][0]):
        if key in changes:
            kept = _after_the_value(source[start:end])
            source = source[:start] + _dump({key: changes[key]}, newline) + kept + source[end:]
    added = {key: value for key, value in changes.items() if key not in spans}
    if not added:
        return source
    if source and not source.endswith("\n"):
        source += newline
    return source + _dump(added, newline)


def _after_the_value(span: str) -> str:
    """The empty lines and comments between a value and the next key."""
    lines = _LINE.findall(span)
    last = len(lines)
    while last > 1 and (lines[last - 1].startswith("#") or not lines[last - 1].strip()):
        last -= 1
    return "".join(lines[last:])


def _spans_of_keys(source: str) -> dict[str, tuple[int, int]] | None:
    """Where each key with its value begins and ends, in characters; None when that cannot be cut by lines.

    A value ends where the next key begins, so the comments between the two are part of its span. Flow style
    (`{a: 1}`) and indented keys cannot be cut.
    """
    node = yaml.compose(source, Loader=yaml.SafeLoader)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return None
    marks = [(key.value, key.start_mark) for key, _ in node.value]
    if any(mark.column != 0 for _, mark in marks):
        return None
    starts = [mark.index for _, mark in marks]
    ends = [*starts[1:], len(source)]
    return {key: (start, end) for (key, _), start, end in zip(marks, starts, ends, strict=True)}
