"""Webhooks as GitHub, Gitea and Forgejo send them; bodies are read as far as they are needed.

GitHub: https://docs.github.com/webhooks/webhook-events-and-payloads. The signature has been checked before a
body comes here, so it is the forge's; the text in it is still anybody's. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from routing.webhook.dialect import IssueNews, WebhookDialect

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


#: A short text from outside, without control characters.
Short = Annotated[str, StringConstraints(max_length=200), AfterValidator(_without_controls)]


class _Part(BaseModel):
    """A part of a body: strict, so that a number in quotes is a fault and not a number."""

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


@dataclass(frozen=True, kw_only=True)
class RestWebhook(WebhookDialect):
    """What the three have in common; names of headers and of some events differ."""

    issue_events: frozenset[str] = frozenset({"issues"})
    comment_events: frozenset[str] = frozenset({"issue_comment"})

    def event_of(self, document: Mapping[str, object]) -> str:
        """Without a header, a body with a comment is about that."""
        return "issue_comment" if document.get("comment") is not None else "issues"

    def read(self, event: str, body: bytes) -> IssueNews | None:
        """Read the body of an event about an issue or a comment; None for any other event.

        ValidationError for a body that lacks what its event must have.
        """
        is_comment = event in self.comment_events
        if not is_comment and event not in self.issue_events:
            return None
        payload = IssuePayload.model_validate_json(body)
        labels = (label.name for label in payload.issue.labels or ())
        return IssueNews(
            action=payload.action,
            repo=payload.repository.full_name,
            number=payload.issue.number,
            actor=_login(payload.sender),
            label=payload.label.name if payload.label else None,
            labels=frozenset(name for name in labels if name),
            is_comment=is_comment,
            commenter=_login(payload.comment.user if payload.comment else None),
            is_pull_request=payload.is_pull is True or payload.issue.pull_request is not None,
        )


def _login(user: User | None) -> str:
    """The user's login, "" where the forge does not say who it was."""
    return (user.login if user else None) or ""
