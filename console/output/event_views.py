"""How an event looks on the command line."""

import json

from rich.text import Text

from console.output.rendering import text, when
from routing.events import Event
from routing.printable import printable


def event_line(event: Event) -> Text:
    """Time, kind, subject and what else is known, on one line."""
    data = " ".join(
        f"{name}={_shown(value)}" for name, value in event.data.items() if value not in ("", None)
    )
    line = text(f"{when(event.at)}  ", "dim")
    line.append_text(text(event.kind, "bold"))
    return line.append_text(text(f"  {event.subject}  {data}".replace("\n", " ").rstrip()))


def _shown(value: object) -> str:
    """Values as they are, quoted where spaces would hide their ends."""
    shown = printable(value) if isinstance(value, str) else json.dumps(value)
    return f'"{shown}"' if isinstance(value, str) and " " in shown else shown
