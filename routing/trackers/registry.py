"""Which kinds of trackers there are. A new one is a folder and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.errors import SettingsError
from routing.late_entries import LateEntries

if TYPE_CHECKING:
    from routing.trackers.kind import TrackerKind

#: Every kind, by its name in settings.
TRACKER_KINDS: LateEntries[TrackerKind[Any]] = LateEntries(
    {
        "jira": "routing.trackers.jira.kind:JIRA",
        "linear": "routing.trackers.linear.kind:LINEAR",
    }
)


def tracker_kind_named(name: str) -> TrackerKind[Any]:
    """The kind of that name, or SettingsError that says which there are."""
    kind = TRACKER_KINDS.get(name)
    if kind is None:
        message = f"no kind of tracker is called {name[:40]!r}; use one of: {', '.join(TRACKER_KINDS)}"
        raise SettingsError(message)
    return kind
