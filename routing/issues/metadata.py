"""What is known of an issue before it is worked on, and where each part of it came from."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routing.errors import CorruptRecordError
from routing.issues.issue import IssueRef
from routing.issues.priority_words import DEFAULT_PRIORITY
from routing.issues.stated_words import MOST_TOKENS, Difficulty

#: The parts that have a source, in the order in which they are shown.
FIELDS = ("difficulty", "estimated_context", "assigned_agent", "priority", "blocked_by", "blocks")


class Source(StrEnum):
    """Where a part of the metadata came from, the most trusted first."""

    BODY = "body"  # the parser read it
    LABELS = "labels"
    FORGE = "forge"  # the forge's own fields, beside what the body says
    MODEL = "model"  # a model filled the gap
    DEFAULT = "default"  # nobody said anything


class IssueMetadata(BaseModel):
    """What is known of one issue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1
    difficulty: Difficulty = "medium"
    estimated_context: Annotated[int, Field(gt=0, le=MOST_TOKENS)] = 50_000  # tokens
    assigned_agent: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,62}$")] = (
        "sonnet"  # a name, never a command
    )
    priority: Annotated[int, Field(ge=0, le=9)] = DEFAULT_PRIORITY  # 0 is the most urgent
    blocked_by: tuple[IssueRef, ...] = ()  # issues that come first
    blocks: tuple[IssueRef, ...] = ()  # issues that wait for this one
    metadata_source: Mapping[str, Source] = Field(
        default_factory=lambda: dict.fromkeys(FIELDS, Source.DEFAULT)
    )
    held: str = ""  # why a person must look at the body before the issue may run; "" for none

    def gaps(self) -> tuple[str, ...]:
        """The parts that nobody said anything about."""
        return tuple(name for name in FIELDS if self.metadata_source.get(name) is Source.DEFAULT)

    def filled(self, source: Source, **parts: Any) -> Self:
        """Return the same with some parts, and where they came from."""
        sources = {**self.metadata_source, **dict.fromkeys(parts, source)}
        return self.model_validate({**dict(self), **parts, "metadata_source": sources})

    def with_blockers(self, refs: tuple[IssueRef, ...]) -> Self:
        """Return the same with further blockers, which the forge's own fields name."""
        new = tuple(ref for ref in dict.fromkeys(refs) if ref not in self.blocked_by)
        return self.filled(Source.FORGE, blocked_by=self.blocked_by + new) if new else self


def parsed_metadata(text: str) -> IssueMetadata:
    """Stored metadata, or CorruptRecordError."""
    try:
        return IssueMetadata.model_validate_json(text)
    except ValidationError as error:
        message = (
            f"stored metadata of an issue cannot be read: {text[:80]!r}; edit the issue to have it read anew"
        )
        raise CorruptRecordError(message) from error
