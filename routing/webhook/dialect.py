"""How a kind of forge speaks in its webhooks: headers, signature, events, and the shape of bodies."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueNews:
    """What a body says of an issue, in the words of `routing.webhook.relevance`."""

    action: str
    repo: str  # `owner/name` in the forge's spelling
    number: int  # of the issue
    actor: str = ""  # login of who did it, "" when the forge does not say
    label: str | None = None  # that came or went; None for other events, and where the forge does not say
    labels: frozenset[str] = frozenset()  # of the issue, afterwards
    is_comment: bool = False  # whether it is about a comment on the issue
    commenter: str = ""  # login of the comment's author
    is_pull_request: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkNews:
    """Something happened to pushed work: to a branch, its change request, or what reviewers say of it."""

    action: str
    repo: str  # `owner/name` in the forge's spelling
    branch: str = ""  # of the work; "": the main branch, or any that the forge does not name
    actor: str = ""  # login of who did it, "" when the forge does not say


News = IssueNews | WorkNews


@dataclass(frozen=True, kw_only=True)
class WebhookDialect(ABC):
    """One a kind. Names of headers are in lower case, in the order in which they are looked for."""

    signature: tuple[str, ...]
    event: tuple[str, ...]
    delivery: tuple[str, ...]  # the delivery's id
    prefix: str = field(default="")  # in front of the signature's hexadecimal digest

    def sign(self, secret: str, body: bytes) -> str:
        """The value of the signature's header: HMAC-SHA256 over the raw body, in hexadecimal."""
        return self.prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    def is_signed(self, secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> bool:
        """Whether one of the secrets made the signature.

        Every secret is tried, and each comparison takes the same time for every wrong value.
        """
        given = first_of(self.signature, headers).encode(errors="replace")
        matches = [hmac.compare_digest(self.sign(secret, body).encode(), given) for secret in secrets]
        return any(matches)

    @abstractmethod
    def event_of(self, document: Mapping[str, object]) -> str:
        """The event of a body that came without the header."""

    @abstractmethod
    def read(self, event: str, body: bytes) -> News | None:
        """What a JSON body says of an issue, or of pushed work; None for other events.

        ValidationError for a body about an issue that lacks what it must have.
        """


def first_of(names: tuple[str, ...], headers: Mapping[str, str]) -> str:
    """The first of some headers that was sent, "" when none was."""
    return next((headers[name] for name in names if headers.get(name)), "")
