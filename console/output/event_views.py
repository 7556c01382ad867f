"""What the command line prints of events.

Events have no list of fields, because each kind has its own data: what is in the stream is shown as it is.
"""

import json
from dataclasses import asdict
from typing import Any

from rich.text import Text

from console.output.rendering import iso, text, when
from routing.events import Event
from routing.printable import printable
from routing.store.events.decision_store import NotedDecision


def event_document(event: Event) -> dict[str, Any]:
    """An event for scripts. `id` is the stream's, MILLISECONDS-NUMBER; no two events have the same."""
    return {
        "id": event.id,
        "kind": event.kind,
        "at": iso(event.at),
        "subject": event.subject,
        "data": event.data,
    }


def decision_document(decision: NotedDecision) -> dict[str, Any]:
    """A person's decision for scripts."""
    return asdict(decision) | {"at": iso(decision.at)}


def event_line(event: Event) -> Text:
    """An event for people, on one line: time, kind, subject, and the data that is not empty.

    Newlines become spaces, so that one line is one event, also for `grep`.
    """
    data = " ".join(
        f"{name}={_shown(value)}" for name, value in event.data.items() if value not in ("", None)
    )
    line = text(f"{when(event.at)}  ", "dim")
    line.append_text(text(event.kind, "bold"))
    return line.append_text(text(f"  {event.subject}  {data}".replace("\n", " ").rstrip()))


def _shown(value: object) -> str:
    """A value; text with spaces is quoted, to show where it ends."""
    shown = printable(value) if isinstance(value, str) else json.dumps(value)
    return f'"{shown}"' if isinstance(value, str) and " " in shown else shown
