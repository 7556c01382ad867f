"""Webhooks of GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events/.

A delivery has the secret itself in a header, or, by a signing token (`whsec_…`), a signature over its id, its
time and its body (https://www.standardwebhooks.com). Bodies say of what kind they are. They are the forge's,
as that was checked before; the text in them is anybody's.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from routing.forges.rest.webhook import Short
from routing.webhook.dialect import IssueNews, News, WebhookDialect, WorkNews
from routing.webhook.errors import BadPayloadError, Fault

#: What signing tokens begin with; the rest is the key.
SIGNING = "whsec_"

#: Seconds by which the time of a signed delivery may differ from ours: older ones may be repeated by anybody.
TOLERANCE_SECONDS = 300.0

_ID, _TIME, _SIGNATURES = "webhook-id", "webhook-timestamp", "webhook-signature"
_SYSTEM = "System Hook"

_ISSUE_ACTIONS = {"open": "opened", "close": "closed", "reopen": "reopened"}
_NOTE_ACTIONS = {"create": "created", "update": "edited"}
#: How a pipeline ends, or comes to rest: before that there is nothing to look at.
_ENDED = frozenset({"success", "failed", "canceled", "skipped", "manual"})


#: Null is no.
_Flag = Annotated[bool, BeforeValidator(lambda value: value is not None and value)]


class _Sent(BaseModel):
    """A part of a body: strict, so that a number in quotes is a fault and not a number."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", strict=True)


class SentUser(_Sent):
    """Who did something."""

    username: Short | None = None


class SentProject(_Sent):
    """A project by its whole name."""

    path_with_namespace: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    default_branch: Short | None = None


class SentLabel(_Sent):
    """A label."""

    title: Short | None = None


class SentLabels(_Sent):
    """The labels before and after."""

    previous: tuple[SentLabel, ...] | None = None
    current: tuple[SentLabel, ...] | None = None


class SentChanges(_Sent):
    """What was changed; each member is there only if it was."""

    labels: SentLabels | None = None
    assignees: object | None = None


class SentIssue(_Sent):
    """An issue, as it was when the delivery was made."""

    iid: Annotated[int, Field(gt=0, lt=10_000_000_000)]
    action: Short | None = None
    labels: tuple[SentLabel, ...] | None = None


class SentKind(_Sent):
    """Of what kind a body is."""

    object_kind: Short | None = None


class IssueBody(_Sent):
    """The body of an issue event; epics are of groups, and have no project."""

    user: SentUser | None = None
    project: SentProject | None = None
    object_attributes: SentIssue
    labels: tuple[SentLabel, ...] | None = None
    changes: SentChanges | None = None


class SentNote(_Sent):
    """A comment."""

    action: Short | None = None  # missing before 16.11, when only new ones were sent
    system: _Flag = False


class SentRequest(_Sent):
    """A merge request with its two ends."""

    source_branch: Short | None = None
    action: Short | None = None
    source_project_id: int | None = None
    target_project_id: int | None = None


class NoteBody(_Sent):
    """The body of a comment event: what it is on is a member of its own."""

    user: SentUser | None = None
    project: SentProject | None = None
    object_attributes: SentNote
    issue: SentIssue | None = None
    merge_request: SentRequest | None = None


class RequestBody(_Sent):
    """The body of a merge request event."""

    user: SentUser | None = None
    project: SentProject
    object_attributes: SentRequest


class PushBody(_Sent):
    """The body of a push event."""

    ref: Short
    user_username: Short | None = None
    project: SentProject


class SentPipeline(_Sent):
    """A pipeline."""

    ref: Short | None = None
    status: Short | None = None
    tag: _Flag = False


class PipelineBody(_Sent):
    """The body of a pipeline event."""

    user: SentUser | None = None
    project: SentProject
    object_attributes: SentPipeline
    merge_request: SentRequest | None = None


@dataclass(frozen=True, kw_only=True)
class GitLabWebhook(WebhookDialect):
    """Deliveries of projects and groups; those of a whole server are refused."""

    signature: tuple[str, ...] = ("x-gitlab-token",)
    event: tuple[str, ...] = ("x-gitlab-event",)
    delivery: tuple[str, ...] = (_ID, "idempotency-key")
    clock: Callable[[], float] = time.time  # seconds since the epoch

    def sign(self, secret: str, body: bytes) -> str:
        """The secret itself, as its header has it."""
        del body
        return secret

    def is_signed(self, secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> bool:
        """By the secret in its header, or with a signing token by its signature alone, made just now."""
        found = [self._is_by(secret, headers, body) for secret in secrets]  # every secret is tried
        return any(found)

    def _is_by(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        if not secret.startswith(SIGNING):
            return super().is_signed([secret], headers, body)
        at = headers.get(_TIME, "")
        if not (at.isascii() and at.isdigit()) or abs(self.clock() - float(at)) > TOLERANCE_SECONDS:
            return False
        made = signature_of(secret, headers.get(_ID, ""), at, body).encode()
        given = headers.get(_SIGNATURES, "").encode(errors="replace").split(b" ")
        found = [hmac.compare_digest(made, one) for one in given]
        return any(found)

    def event_of(self, document: Mapping[str, object]) -> str:
        """The body says it as well."""
        return str(document.get("object_kind", ""))

    def read(self, event: str, body: bytes) -> News | None:
        """Read the body of an event about an issue, a comment, or pushed work; None for any other event.

        ValidationError for a body that lacks what its kind must have. BadPayloadError for a system hook,
        which tells of every project of the server.
        """
        if event == _SYSTEM:
            said = "is of a system hook, which tells of every project; add a webhook to the project or group"
            raise BadPayloadError(Fault(("object_kind",), said))
        kind = SentKind.model_validate_json(body).object_kind or ""
        reader = _READERS.get(kind)
        return reader(body) if reader is not None else None


def signature_of(secret: str, identifier: str, at: str, body: bytes) -> str:
    """The signature of a delivery by a signing token; for what is not one, something that nobody sends."""
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING), validate=True)
    except (binascii.Error, ValueError):
        return "not a signing token"
    made = hmac.new(key, f"{identifier}.{at}.".encode(errors="replace") + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


def _issue(body: bytes) -> IssueNews | None:
    sent = IssueBody.model_validate_json(body)
    if sent.project is None:
        return None
    action, label = _ISSUE_ACTIONS.get(sent.object_attributes.action or "", ""), None
    if not action:
        action, label = _change(sent.changes or SentChanges())
    return IssueNews(
        action=action,
        repo=sent.project.path_with_namespace,
        number=sent.object_attributes.iid,
        actor=_name(sent.user),
        label=label,
        labels=_titles(sent.labels or sent.object_attributes.labels),
    )


def _change(changes: SentChanges) -> tuple[str, str | None]:
    """What an update did, and the label where it is one: a label that went counts most, as it may be ours."""
    if changes.labels is not None:
        before, after = _titles(changes.labels.previous), _titles(changes.labels.current)
        gone = sorted(before - after)
        if gone:
            return "unlabeled", gone[0] if len(gone) == 1 else None
        return "labeled", None
    return ("assigned", None) if changes.assignees is not None else ("edited", None)


def _note(body: bytes) -> News | None:
    sent = NoteBody.model_validate_json(body)
    if sent.project is None or sent.object_attributes.system:
        return None
    repo, actor = sent.project.path_with_namespace, _name(sent.user)
    action = _NOTE_ACTIONS.get(sent.object_attributes.action or "create", sent.object_attributes.action or "")
    if sent.merge_request is not None:
        return _work(action, repo, sent.merge_request, actor)
    if sent.issue is None:
        return None
    return IssueNews(
        action=action,
        repo=repo,
        number=sent.issue.iid,
        actor=actor,
        labels=_titles(sent.issue.labels),
        is_comment=True,
        commenter=actor,
    )


def _request(body: bytes) -> WorkNews | None:
    sent = RequestBody.model_validate_json(body)
    action = sent.object_attributes.action or "merge_request"
    return _work(action, sent.project.path_with_namespace, sent.object_attributes, _name(sent.user))


def _work(action: str, repo: str, request: SentRequest, actor: str) -> WorkNews | None:
    """A request whose branch is in another project is not ours, whatever it is called."""
    if not request.source_branch or request.source_project_id != request.target_project_id:
        return None
    return WorkNews(action=action, repo=repo, branch=request.source_branch, actor=actor)


def _push(body: bytes) -> WorkNews:
    sent = PushBody.model_validate_json(body)
    branch = _own(sent.project, sent.ref.removeprefix("refs/heads/"))
    return WorkNews(
        action="push", repo=sent.project.path_with_namespace, branch=branch, actor=sent.user_username or ""
    )


def _pipeline(body: bytes) -> WorkNews | None:
    """One that ended may have judged work of ours, or the main branch, which work waits for."""
    sent = PipelineBody.model_validate_json(body)
    pipeline = sent.object_attributes
    if pipeline.tag or pipeline.status not in _ENDED:
        return None
    repo, actor = sent.project.path_with_namespace, _name(sent.user)
    if sent.merge_request is not None:
        return _work(f"pipeline {pipeline.status}", repo, sent.merge_request, actor)
    branch = _own(sent.project, pipeline.ref or "")
    return WorkNews(action=f"pipeline {pipeline.status}", repo=repo, branch=branch, actor=actor)


def _own(project: SentProject, branch: str) -> str:
    """A branch, "" for the main one: it may have landed, or taken back, any work of the project."""
    return "" if branch == project.default_branch else branch


def _titles(labels: tuple[SentLabel, ...] | None) -> frozenset[str]:
    return frozenset(label.title for label in labels or () if label.title)


def _name(user: SentUser | None) -> str:
    return (user.username if user else None) or ""


_READERS: Mapping[str, Callable[[bytes], News | None]] = {
    "issue": _issue,
    "work_item": _issue,
    "note": _note,
    "merge_request": _request,
    "push": _push,
    "pipeline": _pipeline,
}
