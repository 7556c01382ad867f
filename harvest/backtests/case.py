"""A case: a past issue, the commit before its change, and the tests that the change brought.

A case is a file of JSON, made by `backtest collect` or by people. What it holds comes from outside: paths are
checked here, before any of them becomes one.
"""

import base64
import hashlib
import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

#: Bytes of all hidden files of a case together.
MOST_HIDDEN_BYTES = 4 * 1024 * 1024

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,149}")
_MOST_PATH = 1000

Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class HiddenFile(_Record):
    """A file that the judge lays over the work before it looks: a test of the true change, or its data."""

    path: str  # from the top of the repository
    content: str | None  # as `encoding` says; None: the file must not be there
    encoding: Literal["utf-8", "base64"] = "utf-8"
    executable: bool = False

    @field_validator("path")
    @classmethod
    def _is_inside(cls, value: str) -> str:
        parts = value.split("/")
        odd = {"", ".", ".."} & set(parts) or any(part.lower() == ".git" for part in parts)
        if odd or not value.isprintable() or len(value) > _MOST_PATH:
            message = f"{value[:80]!r} is not the path of a file below the top of a repository"
            raise ValueError(message)
        return str(PurePosixPath(value))

    @model_validator(mode="after")
    def _can_be_read(self) -> "HiddenFile":
        if self.encoding == "base64" and self.content is not None:
            base64.b64decode(self.content, validate=True)  # ValueError for what is none
        return self

    @property
    def data(self) -> bytes | None:
        """The content of the file; None: it must not be there."""
        if self.content is None or self.encoding == "utf-8":
            return None if self.content is None else self.content.encode()
        return base64.b64decode(self.content)

    @classmethod
    def of(cls, path: str, content: bytes | None, *, executable: bool = False) -> "HiddenFile":
        """A file with these bytes, as text where they are text."""
        if content is None:
            return cls(path=path, content=None)
        try:
            return cls(path=path, content=content.decode(), executable=executable)
        except UnicodeDecodeError:
            text = base64.b64encode(content).decode()
            return cls(path=path, content=text, encoding="base64", executable=executable)


class CaseOrigin(_Record):
    """Where a case came from. Nothing of it is shown to an agent."""

    kind: Literal["history", "job", "file"]  # the repository's own past; a job of this fleet; given by people
    change: Commit | None = None  # the true change, None where only its patch is known
    issue: str = ""  # `local:shop#3`
    job: str = ""  # of the fleet that made the change
    #: As a job got it; as the issue reads, which nobody has changed since the true change; as it reads today,
    #: perhaps with what was written after that; as people gave it.
    text: Literal["dispatched", "before", "now", "given"] = "given"


class Case(_Record):
    """A past issue that can be worked on again, and judged."""

    v: Literal[1] = 1  # form of this record
    id: str  # its file is called so
    repository: Annotated[
        str, StringConstraints(min_length=1, max_length=500)
    ]  # as jobs name it: `local:shop`
    base: Commit  # where the work begins: all that the agent gets are this commit and its ancestors
    title: Annotated[str, StringConstraints(max_length=500)] = ""
    text: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]  # the issue
    hidden: Annotated[tuple[HiddenFile, ...], Field(min_length=1, max_length=2000)]
    judge: str = ""  # shell line; "": the judge of the settings
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = (
        None  # that it may take; None: as the settings say
    )
    origin: CaseOrigin = CaseOrigin(kind="file")
    patch: str = ""  # the true change without its tests, "" where `origin.change` says it
    fail_to_pass: tuple[str, ...] = ()  # names of tests, as other tools write them; kept, and not used
    pass_to_pass: tuple[str, ...] = ()

    @field_validator("id")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            message = f"{value[:80]!r} is not the name of a case; use letters, digits, dots and dashes"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _is_bounded(self) -> "Case":
        size = sum(len(file.content or "") for file in self.hidden)
        if size > MOST_HIDDEN_BYTES:
            message = f"the hidden files have {size} bytes together, at most {MOST_HIDDEN_BYTES} are taken"
            raise ValueError(message)
        return self

    @property
    def digest(self) -> str:
        """16 hex digits of all that decides an outcome: another text, base, test or judge is another case."""
        said = self.model_dump_json(
            include={"repository", "base", "title", "text", "hidden", "judge", "seconds"}
        )
        return hashlib.sha256(said.encode()).hexdigest()[:16]
