"""The list of events in `routing/events.py` is the events that are written."""

import re

from routing import events
from tests.source import product, scripts, text


def test_every_event_has_a_meaning() -> None:
    """The reference lists every constant, each under a name of its own."""
    constants = [value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)]
    assert sorted(constants) == sorted(events.MEANINGS)
    assert len(set(constants)) == len(constants)


def test_every_event_of_the_scripts_has_a_meaning() -> None:
    """No script writes an event that the reference does not know."""
    kind = re.compile(r"'((?:backlog|template|candidate|trial|job|dispatch)\.[a-z_]+)'")
    written = {found for path in scripts() for found in kind.findall(text(path))}
    assert len(written) > 10
    assert written <= set(events.MEANINGS)


def test_every_event_is_written_somewhere() -> None:
    """The reference lists no event that nothing writes."""
    everything = "\n".join(text(path) for path in (*scripts(), *product()) if path.name != "events.py")
    names = {value: name for name, value in vars(events).items() if isinstance(value, str)}
    unused = [
        kind
        for kind in events.MEANINGS
        if f"'{kind}'" not in everything
        and f'"{kind}"' not in everything
        and not re.search(rf"\b{names[kind]}\b", everything)
    ]
    assert not unused
