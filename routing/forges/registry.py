"""Which kinds of forges there are. A new one is a folder and a line here; see docs/add-a-forge.md."""

from typing import Any

from routing.errors import SettingsError
from routing.forges.gitea.kind import FORGEJO, GITEA
from routing.forges.github.kind import GITHUB
from routing.forges.gitlab.kind import GITLAB
from routing.forges.kind import ForgeKind
from routing.forges.local.kind import LOCAL

#: Every kind, by its name in settings, in the order in which people are shown them.
KINDS: dict[str, ForgeKind[Any]] = {
    kind.name: kind
    for kind in (
        LOCAL,
        GITHUB,
        GITEA,
        FORGEJO,
        GITLAB,
    )
}


def kind_named(name: str) -> ForgeKind[Any]:
    """The kind of that name, or SettingsError that says which there are."""
    kind = KINDS.get(name)
    if kind is None:
        message = f"no kind of forge is called {name[:40]!r}; use one of: {', '.join(KINDS)}"
        raise SettingsError(message)
    return kind
