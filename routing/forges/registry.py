"""Which kinds of forges there are. A new one is a folder and a line here; see docs/add-a-forge.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.errors import SettingsError
from routing.late_entries import LateEntries

if TYPE_CHECKING:
    from routing.forges.kind import ForgeKind

#: Every kind, by its name in settings, in the order in which people are shown them.
KINDS: LateEntries[ForgeKind[Any]] = LateEntries(
    {
        "local": "routing.forges.local.kind:LOCAL",
        "github": "routing.forges.github.kind:GITHUB",
        "gitea": "routing.forges.gitea.kind:GITEA",
        "forgejo": "routing.forges.gitea.kind:FORGEJO",
        "gitlab": "routing.forges.gitlab.kind:GITLAB",
    }
)


def kind_named(name: str) -> ForgeKind[Any]:
    """The kind of that name, or SettingsError that says which there are."""
    kind = KINDS.get(name)
    if kind is None:
        message = f"no kind of forge is called {name[:40]!r}; use one of: {', '.join(KINDS)}"
        raise SettingsError(message)
    return kind
