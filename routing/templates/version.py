"""Versions: immutable snapshots of a template's content, and how people refer to them.

Content is known by its hash. The hash is over one canonical JSON text, so a new optional field must be left
out of it while it is unset: else every stored version would have another hash than the one it was stored
under.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
)

from routing.errors import CorruptRecordError, InvalidInputError
from routing.jobs.turn import TurnKind
from routing.sandbox.profile import SandboxKind, SandboxProfile

#: Names of templates: short, lower case, safe in keys, paths and branch names.
TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_REFERENCE = re.compile(r"(?P<template>[^@]+)(@(?P<which>champion|latest|v(?P<number>[1-9][0-9]{0,8})))?")

#: The longest text for a kind of turn, in characters.
KIND_TEXT_CHARACTERS = 16_384

#: Fields that a release after the first one brought.
_LATER = ("prompts", "sandbox", "profile", "accounts", "fallback")

ShortText = Annotated[str, StringConstraints(max_length=4096)]
KindText = Annotated[str, StringConstraints(max_length=KIND_TEXT_CHARACTERS)]
AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class VersionState(StrEnum):
    """`pending -> canary -> champion -> superseded`, or `rejected`, which is final."""

    PENDING = "pending"
    CANARY = "canary"
    CHAMPION = "champion"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


class Snapshot(BaseModel):
    """The content of a version: all that decides how its agent behaves. It holds no secrets."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    prompt: Annotated[str, StringConstraints(max_length=131_072)] = ""  # what precedes every task
    prompts: dict[TurnKind, KindText] = Field(default_factory=dict)  # in place of the kinds' own texts
    runtime: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "command"
    command: ShortText | None = None  # shell line of the `command` runtime; the operator's own words
    model: ShortText | None = None
    tools: tuple[ShortText, ...] = ()
    environment: dict[VariableName, ShortText] = Field(default_factory=dict)  # plain values, no secrets
    secrets: tuple[VariableName, ...] = ()  # names of the worker's variables that the agent is given
    time_limit_seconds: Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)] | None = None
    sandbox: SandboxKind | None = None  # in which its agent runs; None, as before there were any: in none
    profile: SandboxProfile | None = None  # what that lets it reach; None: the usual
    accounts: tuple[AccountName, ...] = ()  # names of its runtime's accounts that it may use; none: all
    fallback: tuple[ShortText, ...] = ()  # models to use, in this order, while its own is out of reach

    @field_validator("prompt", "command")
    @classmethod
    def _no_nul(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("must not contain NUL characters")
        return value

    @field_validator("prompts")
    @classmethod
    def _says_something(cls, value: dict[TurnKind, str]) -> dict[TurnKind, str]:
        """An empty text would leave a turn without instructions: its default is used by leaving it out."""
        for kind, text in value.items():
            if not text.strip():
                raise ValueError(f"{kind} is empty; leave it out to have its default")
            if "\0" in text:
                raise ValueError(f"{kind} must not contain NUL characters")
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave empty fields that came later out: such content is written, and hashed, as before them."""
        fields: dict[str, Any] = written(self)
        for name in _LATER:
            if not fields.get(name):
                fields.pop(name, None)
        return fields

    def canonical(self) -> str:
        """The one JSON text of this content, with sorted keys."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def content_hash(self) -> str:
        """SHA-256 of the canonical text, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class Version(BaseModel):
    """A numbered snapshot of a template. Everything but the state is immutable."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: Literal[1] = 1  # form of this record
    template: str
    number: int  # from 1, grows by one, never reused
    snapshot: Snapshot
    content_hash: str
    source_commit: str = ""  # commit of the repository that the content was taken from, if any
    parent: int | None = None  # number of the version that was champion when this one was proposed
    note: str = ""  # why it was proposed, in a person's words
    created_at: float  # seconds since the epoch, the server's
    state: VersionState

    @property
    def id(self) -> str:
        """`implementer@v3`."""
        return version_id(self.template, self.number)

    def checked(self) -> Self:
        """Return self, or raise CorruptRecordError when content and hash differ."""
        if self.snapshot.content_hash != self.content_hash:
            message = f"the stored content of {self.id} does not match its hash; propose it again"
            raise CorruptRecordError(message)
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionReference:
    """What a person wrote to name a version."""

    template: str
    which: Literal["champion", "latest", "number"]
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `implementer`, `implementer@champion`, `implementer@latest` or `implementer@v3`."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            message = f"{text!r} names no version; write NAME, NAME@champion, NAME@latest or NAME@v3"
            raise InvalidInputError(message)
        template = checked_template_name(match["template"])
        if match["number"]:
            return cls(template=template, which="number", number=int(match["number"]))
        return cls(template=template, which="latest" if match["which"] == "latest" else "champion")

    @property
    def pins(self) -> bool:
        """Whether a request with this reference asks for one version rather than for the template."""
        return self.which != "champion"


def version_id(template: str, number: int) -> str:
    """`implementer@v3` from its parts."""
    return f"{template}@v{number}"


def checked_template_name(name: str) -> str:
    """Return the name, or raise InvalidInputError that says what a template's name may be."""
    if not TEMPLATE_NAME.fullmatch(name):
        message = (
            f"{name[:60]!r} is not a template name; use up to 40 lower-case letters, digits and dashes, "
            "beginning with a letter"
        )
        raise InvalidInputError(message)
    return name
