"""What the command line prints of issues in the backlog.

`ISSUE` at the end has the fields of an item; `issue show` adds metadata with its sources, neighbours and
events. In JSON a job or a refusal that does not exist is null; lists are always there and may be empty.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from console.output.event_views import event_document
from console.output.fields import ShownField, document, moment, rows
from console.output.issue_detail import IssueDetail, Neighbour
from console.output.rendering import facts, heading, one_line, table, text, when, word
from routing.backlog.item import BacklogItem, BacklogState
from routing.events import Event
from routing.issues.issue import IssueProblem
from routing.issues.metadata import PARTS


def issue_document(item: BacklogItem) -> dict[str, Any]:
    """An issue for scripts, as lists have it."""
    return document(ISSUE, item)


def detail_document(detail: IssueDetail) -> dict[str, Any]:
    """An issue for scripts, as `issue show` has it: with its metadata, its neighbours and its events.

    Each part of the metadata has its value and its `source`, such as `body`, `labels` or `default`. `cycle`
    lists the issues that wait for each other in a ring; `held` says what a person has to correct in the
    body.
    """
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


def issues_view(
    items: Sequence[BacklogItem], reasons: Sequence[str], counts: Mapping[BacklogState, int]
) -> Iterator[RenderableType]:
    """Issues for people, one a line with its reason, and how many there are in each state.

    `counts` are those of the places that were asked for, also in states that were not listed.
    """
    yield _table(items, reasons) if items else _none(counts)
    there = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in counts.items() if count)
    if there:
        yield ""
        yield f"{len(items)} shown of {there}"
    if len(items) < sum(counts.values()):
        yield "`--state STATE` lists those in one state, `--limit` more of them."


def problems_view(problems: Mapping[str, Sequence[IssueProblem]]) -> Iterator[RenderableType]:
    """What was not taken in although it looks like an issue, and why; nothing when all was."""
    if problems:
        yield ""
        yield heading("Not taken in, as the last poll saw it")
        found = ((name, one) for name, listed in problems.items() for one in listed)
        yield table(
            ("!repository", "!where", "why"),
            ((name, one_line(one.where, 60), one_line(one.message, 200)) for name, one in found),
        )


def _none(counts: Mapping[BacklogState, int]) -> str:
    """The answer when no issue fits; it says how to list completed ones, which are left out by default."""
    done = counts.get(BacklogState.COMPLETED, 0)
    seen = "`coalmine issue list --state completed` lists what is"
    if done:
        return f"There is no such issue; {done} completed: {seen}."
    return "There is no such issue. They come from your forges; `coalmine doctor` says if those are polled."


def _table(items: Sequence[BacklogItem], reasons: Sequence[str]) -> RenderableType:
    return table(
        ("!issue", "!state", "?!>priority", "~title", "why", "?!job"),
        (
            (
                str(item.ref),
                _state(item),
                str(item.metadata.priority),
                one_line(item.title, 40),
                one_line(reason, 100),
                item.job if item.state is BacklogState.IN_PROGRESS else "",
            )
            for item, reason in zip(items, reasons, strict=True)
        ),
    )


def issue_view(detail: IssueDetail) -> Iterator[RenderableType]:
    """One issue for people: its fields, why it was refused, metadata, neighbours, events."""
    item = detail.item
    yield rows(ISSUE, item)
    yield from _refused(item)
    yield from _part("Metadata", ("what", "value", "from"), _metadata(item))
    yield from _part("Waits for", ("!issue", "!state", "title"), map(_row, detail.blockers))
    yield from _part("Waited for by", ("!issue", "!state", "title"), map(_row, detail.dependents))
    yield from _part("What happened", ("!at", "!event", "details"), map(_happened, detail.events))


def _state(item: BacklogItem) -> Text:
    """Its state; of work that only a person's merge is missing from, that."""
    return word(item.state, "in review" if item.in_review else "")


def _refused(item: BacklogItem) -> Iterator[RenderableType]:
    """The refusal with the gate's inputs, so that the decision can be followed; nothing without one."""
    if item.refusal is None:
        return
    yield ""
    yield heading("Not dispatched when it was last considered")
    given = ((name, json.dumps(value, default=str)) for name, value in item.refusal.inputs.items())
    yield facts([("gate", item.refusal.gate.value), ("reason", item.refusal.reason), *given])


def _part(title: str, columns: Sequence[str], rows: Any) -> Iterator[RenderableType]:
    """A table with a title; nothing when it has no rows."""
    found = list(rows)
    if found:
        yield ""
        yield heading(title)
        yield table(columns, found)


def _metadata(item: BacklogItem) -> Iterator[tuple[str, str, str]]:
    """Each part, its value and where it came from, such as the body or a label."""
    for name in PARTS:
        value = _value(getattr(item.metadata, name))
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
        yield name, shown, item.metadata.source(name).value


def _value(value: object) -> object:
    """Metadata for JSON: references to issues are text."""
    return [str(each) for each in value] if isinstance(value, tuple) else value


def _row(each: Neighbour) -> tuple[str, str, Any]:
    return str(each.ref), each.state, one_line(each.title, 60)


def _happened(event: Event) -> tuple[str, str, Any]:
    """A line of the history: a change of state with its reason, or the reason alone."""
    data = event.data
    said = (
        f"{data['from']} → {data['to']}: {data.get('reason', '')}" if "to" in data else data.get("reason", "")
    )
    return when(event.at), event.kind, text(str(said).rstrip(": "))


def _neighbour(each: Neighbour) -> dict[str, str | None]:
    return {"issue": str(each.ref), "state": each.state, "title": each.title or None}


def _refusal(item: BacklogItem) -> dict[str, Any] | None:
    """The gate that refused the issue last, with what it looked at; None when none did.

    Only the last refusal is kept, so this says why the issue was not dispatched when it was last
    considered.
    """
    if item.refusal is None:
        return None
    refused = item.refusal
    return {"gate": refused.gate.value, "reason": refused.reason, "inputs": dict(refused.inputs)}


#: What `issue show` has of the item, in the order of its lines; `issue list --json` has the keys.
ISSUE: tuple[ShownField[BacklogItem], ...] = (
    ShownField("issue", "issue", lambda item: str(item.ref), lambda item: heading(str(item.ref))),
    ShownField("title", "title"),
    ShownField("state", "state", shown=lambda item: _state(item)),  # noqa: PLW0108 - defined below
    ShownField("in_review"),
    ShownField("reason", "reason"),
    ShownField("paused"),
    ShownField(
        "pausing",
        "pausing",
        value=lambda item: item.pausing or None,
        shown=lambda item: f"{item.pausing}: it leaves the queue when its job ends" if item.pausing else "",
    ),
    ShownField("priority", value=lambda item: item.metadata.priority),
    ShownField("refusal", value=_refusal),
    ShownField(
        "requested_by",
        "requested by",
        value=lambda item: item.requested_by or None,
        shown=lambda item: item.requested_by or "not known",
    ),
    ShownField("works_in", "work goes to", value=lambda item: item.works_in or None),  # None: its own place
    ShownField("", "held", shown=lambda item: item.metadata.held),
    ShownField("", "cycle", shown=lambda item: ", ".join(item.ring)),
    ShownField(
        "job",
        "job",
        value=lambda item: item.job or None,
        shown=lambda item: f"{item.job}; see `coalmine job show {item.job}`" if item.job else "",
    ),
    moment("added_at", "added"),
    moment("changed_at", "changed"),
    moment("started_at", "started"),
)
