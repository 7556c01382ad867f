"""Webhooks as GitHub, Gitea and Forgejo send them; bodies are read as far as they are needed.

GitHub: https://docs.github.com/webhooks/webhook-events-and-payloads. The signature has been checked before a
body comes here, so it is the forge's; the text in it is still anybody's. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from routing.webhook.dialect import IssueNews, News, WebhookDialect, WorkNews

#: The event of a comment on an issue, or on a pull request.
_COMMENT = "issue_comment"

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


#: Characters of names from outside: GitLab's labels and branches may have 255, after `refs/heads/`.
SHORT_CHARACTERS = 500

#: A short text from outside, without control characters.
Short = Annotated[str, StringConstraints(max_length=SHORT_CHARACTERS), AfterValidator(_without_controls)]


class _Part(BaseModel):
    """A part of a body: strict, so that a number in quotes is a fault and not a number."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", strict=True)


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


class HeadPart(_Part):
    """Where the work of a pull request is."""

    ref: Short = ""
    repo: PayloadRepository | None = None  # null when it is gone


class PullPart(_Part):
    """The pull request that a delivery is about."""

    head: HeadPart


class PullPayload(_Part):
    """The body of events about pull requests and their reviews."""

    action: Short = ""
    pull_request: PullPart
    repository: PayloadRepository
    sender: User | None = None


class PushedRepository(PayloadRepository):
    """A repository that was pushed to."""

    default_branch: Short = ""


class PushPayload(_Part):
    """The body of `push`, and of the events of branches that come and go."""

    ref: Short
    repository: PushedRepository
    sender: User | None = None


@dataclass(frozen=True, kw_only=True)
class RestWebhook(WebhookDialect):
    """What the three have in common; names of headers and of some events differ."""

    issue_events: frozenset[str] = frozenset({"issues"})

    def _work(self, event: str, body: bytes) -> WorkNews | None:
        """What a body says of pushed work; None for one of another form: such events have any."""
        try:
            if event in {"push", "delete"}:
                return _pushed(event, PushPayload.model_validate_json(body))
            if event.startswith("pull_request"):
                return _requested(event, PullPayload.model_validate_json(body))
        except ValidationError:
            return None
        return None

    def event_of(self, document: Mapping[str, object]) -> str:
        """Without a header, a body with a comment is about that."""
        return _COMMENT if document.get("comment") is not None else "issues"

    def read(self, event: str, body: bytes) -> News | None:
        """Read the body of an event about an issue, a comment, or pushed work; None for any other event.

        ValidationError for a body that lacks what its event must have.
        """
        is_comment = event == _COMMENT
        if not is_comment and event not in self.issue_events:
            return self._work(event, body)
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


def _pushed(event: str, payload: PushPayload) -> WorkNews:
    """A push to the main branch may have landed, or taken back, any work of the repository."""
    branch = payload.ref.removeprefix("refs/heads/")
    if branch == payload.repository.default_branch:
        branch = ""
    repo = payload.repository.full_name
    return WorkNews(action=event, repo=repo, branch=branch, actor=_login(payload.sender))


def _requested(event: str, payload: PullPayload) -> WorkNews | None:
    """A request whose branch is in another repository is not ours, whatever it is called."""
    head, repo = payload.pull_request.head, payload.repository.full_name
    if not head.ref or (head.repo is not None and head.repo.full_name.lower() != repo.lower()):
        return None
    action = payload.action or event
    return WorkNews(action=action, repo=repo, branch=head.ref, actor=_login(payload.sender))


def _login(user: User | None) -> str:
    """The user's login, "" where the forge does not say who it was."""
    return (user.login if user else None) or ""
