"""The lines of an export: a header, an entry for each key or part of one, and a footer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: The form that this release writes; it reads this one and all before it.
FORM = 1

#: Fields, members or entries of a key that one line has at most; a larger key has several lines.
MOST_PARTS = 1000

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_StreamId = Annotated[str, Field(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]


class _Line(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)


class Header(_Line):
    """The first line: what the file is."""

    coalmine_export: Annotated[int, Field(ge=1)]  # the form of the file
    release: str  # of Coalmine, that wrote it
    namespace: str  # that it was written from
    at: _Finite  # seconds since the epoch


class Footer(_Line):
    """The last line: a file without it was cut short."""

    end: Literal[True]
    entries: int
    sha256: str  # of all lines before this one, with their ends


class _KeyLine(_Line):
    key: Annotated[str, Field(min_length=1, max_length=1000)]  # without the namespace
    part: Annotated[int, Field(ge=0)] = 0  # of a key with several lines, in their order
    expires_at: _Finite | None = None  # seconds since the epoch; None: never


class StringEntry(_KeyLine):
    """A text."""

    type: Literal["string"] = "string"
    value: str


class HashEntry(_KeyLine):
    """Fields."""

    type: Literal["hash"] = "hash"
    value: dict[str, str]


class ListEntry(_KeyLine):
    """A list, or members of a set."""

    type: Literal["list", "set"]
    value: list[str]


class ZsetEntry(_KeyLine):
    """Members with their scores."""

    type: Literal["zset"] = "zset"
    value: list[tuple[str, _Finite]]


class StreamEntry(_KeyLine):
    """Entries of a stream with their ids."""

    type: Literal["stream"] = "stream"
    value: list[tuple[_StreamId, Annotated[dict[str, str], Field(min_length=1)]]]


Entry = Annotated[StringEntry | HashEntry | ListEntry | ZsetEntry | StreamEntry, Field(discriminator="type")]
