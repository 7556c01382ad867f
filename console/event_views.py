"""How an event looks on the command line."""

import json

from rich.text import Text

from console.rendering import text, when
from routing.events import Event


def event_line(event: Event) -> Text:
    """Time, kind, subject and what else is known, on one line."""
    data = " ".join(
        f"{name}={_shown(value)}" for name, value in event.data.items() if value not in ("", None)
    )
    line = text(f"{when(event.at)}  ", "dim")
    line.append_text(text(event.kind, "bold"))
    return line.append_text(text(f"  {event.subject}  {data}".replace("\n", " ").rstrip()))


def _shown(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)
