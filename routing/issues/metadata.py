"""What is known of an issue before it is worked on, and where each part of it came from.

A part is declared once, as a field of `IssueMetadata` with a `MetadataPart` beside its type: how it is read,
and what a model may be asked about it. Reading, asking, storing and showing go through the fields. A further
part is one field here, its words in `stated_words`, and its row in docs/issue-format.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.errors import CorruptRecordError
from routing.issues.issue import Issue, IssueRef
from routing.issues.stated_words import (
    DIFFICULTIES,
    MOST_TOKENS,
    PRIORITIES,
    Difficulty,
    agent_in,
    estimate_in,
    priority_in,
    word_in,
)

if TYPE_CHECKING:
    from routing.issues.body_text import Block
    from routing.issues.dependencies import Dependencies

#: Of an issue whose labels say nothing: after the usual P0 to P4, before those that are put off on purpose.
DEFAULT_PRIORITY = 5

Tokens = Annotated[int, Field(gt=0, le=MOST_TOKENS)]

#: Issues as a model names them: `#5`, `owner/repo#5`.
NamedIssues = Annotated[tuple[str, ...], Field(max_length=200)]


class Source(StrEnum):
    """Where a part of the metadata came from, the most trusted first."""

    PERSON = "person"  # set on a page, by a command or over the API: `Backlog.set_priority`
    BODY = "body"  # the parser read it
    LABELS = "labels"
    FORGE = "forge"  # the forge's own fields, beside what the body says
    MODEL = "model"  # a model filled the gap
    DEFAULT = "default"  # nobody said anything


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedBody:
    """An issue's body, taken apart once for all parts."""

    blocks: "Sequence[Block]"
    dependencies: "Dependencies"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataPart:
    """How one part is found out. A reader returns None where nothing is said; the body outranks labels."""

    in_labels: Callable[[Sequence[str]], Any] = lambda _labels: None
    in_body: Callable[[ParsedBody], Any] = lambda _body: None
    answer: Any = None  # the type of a model's answer; None: no model is asked


class IssueMetadata(BaseModel):
    """What is known about one issue. Stored with its backlog item, as JSON.

    `metadata_source` says for each part where it came from; only parts from DEFAULT are gaps, which others
    may fill.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1
    difficulty: Annotated[
        Difficulty,
        MetadataPart(
            in_body=lambda body: word_in(body.blocks, "difficulty", DIFFICULTIES), answer=Difficulty
        ),
    ] = "medium"
    estimated_context: Annotated[
        Tokens, MetadataPart(in_body=lambda body: estimate_in(body.blocks), answer=Tokens)
    ] = 50_000
    assigned_agent: Annotated[
        str,
        Field(pattern=r"^[a-z][a-z0-9.-]{0,62}$"),  # a name, never a command
        MetadataPart(in_body=lambda body: agent_in(body.blocks)),
    ] = "sonnet"
    priority: Annotated[
        int,
        Field(ge=PRIORITIES[0], le=PRIORITIES[-1]),
        MetadataPart(in_labels=priority_in),
    ] = DEFAULT_PRIORITY
    blocked_by: Annotated[
        tuple[IssueRef, ...],  # issues that come first
        MetadataPart(in_body=lambda body: body.dependencies.said("blocked_by"), answer=NamedIssues),
    ] = ()
    blocks: Annotated[
        tuple[IssueRef, ...],  # issues that wait for this one
        MetadataPart(in_body=lambda body: body.dependencies.said("blocks"), answer=NamedIssues),
    ] = ()
    metadata_source: Mapping[str, Source] = Field(
        default_factory=lambda: dict.fromkeys(PARTS, Source.DEFAULT)
    )
    held: str = ""  # why a person must look at the body before the issue may run; "" for none

    def source(self, name: str) -> Source:
        """Where a part came from; a record from before the part existed has its default."""
        return self.metadata_source.get(name, Source.DEFAULT)

    def gaps(self) -> tuple[str, ...]:
        """The parts that nobody said anything about."""
        return tuple(name for name in PARTS if self.source(name) is Source.DEFAULT)

    def filled(self, source: Source, **parts: Any) -> Self:
        """Return the same with some parts, and where they came from; None says nothing about a part."""
        said = {name: value for name, value in parts.items() if value is not None}
        sources = {**self.metadata_source, **dict.fromkeys(said, source)}
        return self.model_validate({**dict(self), **said, "metadata_source": sources})

    def with_blockers(self, refs: tuple[IssueRef, ...]) -> Self:
        """Return the same with further blockers, which the forge's own fields name."""
        new = tuple(ref for ref in dict.fromkeys(refs) if ref not in self.blocked_by)
        return self.filled(Source.FORGE, blocked_by=self.blocked_by + new) if new else self


#: The declared parts by name, in the order in which they are shown.
PARTS: Mapping[str, MetadataPart] = {
    name: part
    for name, field in IssueMetadata.model_fields.items()
    for part in field.metadata
    if isinstance(part, MetadataPart)
}


def read_metadata(issue: Issue) -> IssueMetadata:
    """Read an issue's metadata. Never raises, and gives the same for the same issue.

    A body that could not be parsed leaves the defaults; if it may name dependencies it is held for a person.
    """
    from routing.issues.body_text import UnreadableBodyError, blocks_of
    from routing.issues.dependencies import dependencies_of, mentions_dependencies

    said = {name: part.in_labels(issue.labels) for name, part in PARTS.items()}
    known = IssueMetadata().filled(Source.LABELS, **said)
    try:
        blocks = blocks_of(issue.body)
        body = ParsedBody(blocks=blocks, dependencies=dependencies_of(blocks, issue.ref))
    except UnreadableBodyError as error:
        if not mentions_dependencies(issue.body):
            return known
        reason = f"{error}; it speaks of dependencies, so a person must look at it before it may run"
        return known.model_copy(update={"held": reason})
    return known.filled(Source.BODY, **{name: part.in_body(body) for name, part in PARTS.items()})


def parsed_metadata(text: str) -> IssueMetadata:
    """Stored metadata, or CorruptRecordError."""
    try:
        return IssueMetadata.model_validate_json(text)
    except ValidationError as error:
        message = (
            f"stored metadata of an issue cannot be read: {text[:80]!r}; edit the issue to have it read again"
        )
        raise CorruptRecordError(message) from error
