"""The bodies of deliveries, as far as they are read: what is not read may have any shape."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


#: A short text from outside, without control characters.
Short = Annotated[str, StringConstraints(max_length=200), AfterValidator(_without_controls)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class User(_Part):
    """Who did something; forges send null for users that are gone."""

    login: Short | None = None


class Label(_Part):
    """A label."""

    name: Short | None = None


class PayloadRepository(_Part):
    """A repository by its name with its owner."""

    full_name: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class IssuePart(_Part):
    """The issue that a delivery is about, as it was when the delivery was made."""

    number: Annotated[int, Field(gt=0, lt=10_000_000_000)]
    labels: tuple[Label, ...] | None = None  # null for none, on some versions
    pull_request: Any = None  # an object when the issue is a pull request


class CommentPart(_Part):
    """A comment."""

    user: User | None = None


class IssuePayload(_Part):
    """The body of `issues` and of `issue_comment`."""

    action: Short
    issue: IssuePart
    repository: PayloadRepository
    sender: User | None = None
    label: Label | None = None  # the one that came or went; Gitea does not say
    comment: CommentPart | None = None
    is_pull: bool | None = None  # Gitea's way to say that a comment is on a pull request
