"""Issues: the work items of a forge, and how they are named.

An issue's name is the key by which jobs, the backlog and people refer to it. Names are checked where they are
made, as they become parts of keys, paths and branch names.
"""

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from routing.errors import InvalidInputError
from routing.printable import valid

_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,100}"
_FORGE = r"[a-z][a-z0-9-]{0,39}"
_REPOSITORY = rf"{_SEGMENT}(?:/{_SEGMENT}){{0,4}}"
_FORGE_NAME = re.compile(_FORGE)
_REPOSITORY_NAME = re.compile(_REPOSITORY)
#: Text from outside that every store, git and file can hold: what they cannot is a question mark.
_Text = Annotated[str, BeforeValidator(lambda value: valid(value) if isinstance(value, str) else value)]
_REFERENCE = re.compile(rf"(?P<forge>{_FORGE}):(?P<repo>[^#\s:]+)#(?P<number>[1-9][0-9]{{0,9}})")
#: The same as trackers write it: `jira:SHOP-12`.
_KEY = re.compile(rf"(?P<forge>{_FORGE}):(?P<repo>[A-Z][A-Z0-9_]{{0,49}})-(?P<number>[1-9][0-9]{{0,9}})")


class IssueRef(BaseModel):
    """The name of an issue: `local:shop#3`, `github:owner/shop#160`, `jira:SHOP#12`."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    forge: str  # the forge's configured name, in lower case
    repo: str  # `owner/name`, or a bare name where the forge knows no owners
    number: Annotated[int, Field(gt=0)]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the canonical form, or raise InvalidInputError that says what it looks like."""
        found = _REFERENCE.fullmatch(text) or _KEY.fullmatch(text)
        if found is None or not _REPOSITORY_NAME.fullmatch(found["repo"]):
            message = (
                f"{text[:80]!r} is not an issue; write FORGE:REPOSITORY#NUMBER, for instance local:shop#3"
            )
            raise InvalidInputError(message)
        return cls(forge=found["forge"], repo=found["repo"], number=int(found["number"]))

    def model_post_init(self, _context: object, /) -> None:
        """Refuse names that could not be read back from the canonical form."""
        if not _FORGE_NAME.fullmatch(self.forge) or not is_repository_name(self.repo):
            message = f"{self.forge[:80]!r}, {self.repo[:80]!r} do not name a forge and a repository"
            raise InvalidInputError(message)

    def __str__(self) -> str:
        return f"{self.forge}:{self.repo}#{self.number}"

    @property
    def key(self) -> str:
        """`SHOP-12`: what a tracker calls an issue of its own."""
        return f"{self.repo}-{self.number}"


class Comment(BaseModel):
    """A comment on an issue."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    id: int  # unique within the issue (local) or the forge
    author: _Text
    body: _Text
    created_at: AwareDatetime | None = None  # None when a person wrote it into a file without a time

    def is_by(self, login: str) -> bool:
        """Whether this user wrote it, by the name that the forge shows; logins are the same in any case."""
        return bool(login) and self.author.casefold() == login.casefold()


class Issue(BaseModel):
    """An issue as its forge described it at one moment. All text is from outside."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    ref: IssueRef
    title: Annotated[_Text, StringConstraints(min_length=1)]
    body: _Text
    labels: tuple[_Text, ...] = ()  # in the forge's order, each once
    state: Literal["open", "closed"]
    author: _Text = ""  # "" when the forge does not know
    assignees: tuple[_Text, ...] = ()
    comments: tuple[Comment, ...] | None = None  # oldest first; None when they were not asked for
    updated_at: AwareDatetime
    url: str = ""  # where a person reads it: an address, or a file's path
    status: _Text = ""  # the state that its tracker gives it, by name; "" where there are only two
    parts: tuple[_Text, ...] = ()  # components, or the project, that its tracker files it under
    selected: bool = True  # False when a filter of its tracker, asked about it alone, leaves it out

    @property
    def revision(self) -> str:
        """Hash of what a job is made from: it changes with the title and the body, not with comments."""
        return hashlib.sha256(f"{self.title}\0{self.body}".encode(errors="replace")).hexdigest()

    def carries(self, label: str) -> bool:
        """Whether the issue has a label, in any case: forges show labels as they were first written."""
        return label.casefold() in {name.casefold() for name in self.labels}


class IssueProblem(BaseModel):
    """Something in the forge that looks like an issue and cannot be read as one; the others are listed."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    where: str  # a file's name, or an address
    message: str  # what is wrong and what to do


class IssueListing(BaseModel):
    """The answer to a listing: what could be read, and what could not."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    issues: tuple[Issue, ...]  # by number
    problems: tuple[IssueProblem, ...] = ()
    complete: bool = True  # False when the forge had more pages: what is missing may exist


def is_repository_name(text: str) -> bool:
    """Whether the text can stand as a repository's name in an issue's name."""
    return _REPOSITORY_NAME.fullmatch(text) is not None
