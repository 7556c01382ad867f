"""How issues of the backlog look on the command line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from console.output.documents import event_document
from console.output.issue_detail import IssueDetail, Neighbour
from console.output.rendering import facts, heading, iso, one_line, table, text, when, word
from routing.backlog.item import BacklogItem, BacklogState
from routing.events import Event
from routing.issues.metadata import PARTS


def issue_document(item: BacklogItem) -> dict[str, Any]:
    """An issue as it stands."""
    return {
        "issue": str(item.ref),
        "title": item.title,
        "state": item.state.value,
        "reason": item.reason,
        "paused": item.paused,
        "pausing": item.pausing or None,
        "priority": item.metadata.priority,
        "refusal": _refusal(item),
        "requested_by": item.requested_by or None,
        "job": item.job or None,
        "added_at": iso(item.added_at),
        "changed_at": iso(item.changed_at),
        "started_at": iso(item.started_at),
    }


def detail_document(detail: IssueDetail) -> dict[str, Any]:
    """An issue with what surrounds it."""
    item = detail.item
    return issue_document(item) | {
        "metadata": {
            name: {
                "value": _value(getattr(item.metadata, name)),
                "source": item.metadata.source(name).value,
            }
            for name in PARTS
        },
        "held": item.metadata.held or None,
        "cycle": list(item.ring),
        "blockers": [_neighbour(each) for each in detail.blockers],
        "dependents": [_neighbour(each) for each in detail.dependents],
        "events": [event_document(event) for event in detail.events],
    }


def issues_view(items: Sequence[BacklogItem], counts: Mapping[BacklogState, int]) -> Iterator[RenderableType]:
    """Issues in a row each, and how many there are in each state."""
    yield _rows(items) if items else _none(counts)
    there = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in counts.items() if count)
    if there:
        yield ""
        yield f"{len(items)} shown of {there}"
    if len(items) < sum(counts.values()):
        yield "`--state STATE` lists those in one state, `--limit` more of them."


def _none(counts: Mapping[BacklogState, int]) -> str:
    """That no issue is to be shown, and how to see those that are completed."""
    done = counts.get(BacklogState.COMPLETED, 0)
    seen = "`coalmine issue list --state completed` lists what is"
    return f"There is no such issue; {done} completed: {seen}." if done else "There is no such issue."


def _rows(items: Sequence[BacklogItem]) -> RenderableType:
    return table(
        ("!issue", "!state", "?!>priority", "title", "why", "?!job"),
        (
            (
                str(item.ref),
                word(item.state),
                str(item.metadata.priority),
                one_line(item.title, 40),
                one_line(_why(item), 72),
                item.job if item.state is BacklogState.IN_PROGRESS else "",
            )
            for item in items
        ),
    )


def issue_view(detail: IssueDetail) -> Iterator[RenderableType]:
    """One issue, whole."""
    item = detail.item
    yield facts(
        [
            ("issue", heading(str(item.ref))),
            ("title", item.title),
            ("state", word(item.state)),
            ("reason", item.reason),
            ("pausing", f"{item.pausing}: it leaves the queue when its job ends" if item.pausing else ""),
            ("asked for by", item.requested_by or "nobody that is known"),
            ("held", item.metadata.held),
            ("cycle", ", ".join(item.ring)),
            ("job", f"{item.job}; see `coalmine job show {item.job}`" if item.job else ""),
            ("added", when(item.added_at)),
            ("changed", when(item.changed_at)),
            ("started", when(item.started_at)),
        ]
    )
    yield from _refused(item)
    yield from _part("Metadata", ("what", "value", "from"), _metadata(item))
    yield from _part("Waits for", ("!issue", "!state", "title"), map(_row, detail.blockers))
    yield from _part("Waited for by", ("!issue", "!state", "title"), map(_row, detail.dependents))
    yield from _part("What happened", ("!at", "!event", "details"), map(_happened, detail.events))


def _why(item: BacklogItem) -> str:
    """The gate that is shut for what is ready; else why it is where it is."""
    if item.state is BacklogState.READY and item.refusal is not None:
        return f"{item.refusal.gate.value}: {item.refusal.reason}"
    return item.pausing or item.reason


def _refused(item: BacklogItem) -> Iterator[RenderableType]:
    if item.refusal is None:
        return
    yield ""
    yield heading("Not dispatched when it was last considered")
    given = ((name, json.dumps(value, default=str)) for name, value in item.refusal.inputs.items())
    yield facts([("gate", item.refusal.gate.value), ("reason", item.refusal.reason), *given])


def _part(title: str, columns: Sequence[str], rows: Any) -> Iterator[RenderableType]:
    """A titled table, if there is anything in it."""
    found = list(rows)
    if found:
        yield ""
        yield heading(title)
        yield table(columns, found)


def _metadata(item: BacklogItem) -> Iterator[tuple[str, str, str]]:
    for name in PARTS:
        value = _value(getattr(item.metadata, name))
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
        yield name, shown, item.metadata.source(name).value


def _value(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, tuple) else value


def _row(each: Neighbour) -> tuple[str, str, Any]:
    return str(each.ref), each.state, one_line(each.title, 60)


def _happened(event: Event) -> tuple[str, str, Any]:
    data = event.data
    said = (
        f"{data['from']} → {data['to']}: {data.get('reason', '')}" if "to" in data else data.get("reason", "")
    )
    return when(event.at), event.kind, text(str(said).rstrip(": "))


def _neighbour(each: Neighbour) -> dict[str, str | None]:
    return {"issue": str(each.ref), "state": each.state, "title": each.title or None}


def _refusal(item: BacklogItem) -> dict[str, Any] | None:
    if item.refusal is None:
        return None
    refused = item.refusal
    return {"gate": refused.gate.value, "reason": refused.reason, "inputs": dict(refused.inputs)}
