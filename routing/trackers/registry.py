"""Which kinds of trackers there are. A new one is a folder and a line here."""

from typing import Any

from routing.errors import SettingsError
from routing.trackers.jira.kind import JIRA
from routing.trackers.kind import TrackerKind
from routing.trackers.linear.kind import LINEAR

#: Every kind, by its name in settings.
TRACKER_KINDS: dict[str, TrackerKind[Any]] = {kind.name: kind for kind in (JIRA, LINEAR)}


def tracker_kind_named(name: str) -> TrackerKind[Any]:
    """The kind of that name, or SettingsError that says which there are."""
    kind = TRACKER_KINDS.get(name)
    if kind is None:
        message = f"no kind of tracker is called {name[:40]!r}; use one of: {', '.join(TRACKER_KINDS)}"
        raise SettingsError(message)
    return kind
