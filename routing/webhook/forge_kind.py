"""The kinds of forges that deliver webhooks, and the names of their headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ForgeKind(StrEnum):
    """What stands in the path of a door: `/webhook/github`."""

    GITHUB = "github"
    GITEA = "gitea"
    FORGEJO = "forgejo"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderNames:
    """The headers of a kind, in lower case, each list in the order in which they are looked for."""

    signature: tuple[str, ...]
    prefix: str  # in front of the signature's hexadecimal digest
    event: tuple[str, ...]
    delivery: tuple[str, ...]

    def first(self, names: tuple[str, ...], headers: Mapping[str, str]) -> str:
        """The first of some headers that was sent, "" when none was."""
        return next((headers[name] for name in names if headers.get(name)), "")


#: Gitea and Forgejo repeat their headers under the names of those that they descend from.
HEADERS: dict[ForgeKind, HeaderNames] = {
    ForgeKind.GITHUB: HeaderNames(
        signature=("x-hub-signature-256",),
        prefix="sha256=",
        event=("x-github-event",),
        delivery=("x-github-delivery",),
    ),
    ForgeKind.GITEA: HeaderNames(
        signature=("x-gitea-signature",),
        prefix="",
        event=("x-gitea-event", "x-github-event"),
        delivery=("x-gitea-delivery", "x-github-delivery"),
    ),
    ForgeKind.FORGEJO: HeaderNames(
        signature=("x-forgejo-signature", "x-gitea-signature"),
        prefix="",
        event=("x-forgejo-event", "x-gitea-event", "x-github-event"),
        delivery=("x-forgejo-delivery", "x-gitea-delivery", "x-github-delivery"),
    ),
}
