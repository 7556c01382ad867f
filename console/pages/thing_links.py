"""Which page a decision or an event leads to: that of the thing which it is about. Pure."""

from collections.abc import Collection
from urllib.parse import quote

from routing.events import Event
from routing.store.events.decision_store import NotedDecision

#: First words of acts and of kinds of events that are about a job.
_OF_JOBS = {"enqueue", "job"}


def jobs_decided(decisions: Collection[NotedDecision]) -> list[str]:
    """The jobs that decisions are about, which may have expired."""
    return sorted({each.thing for each in decisions if _act(each) in _OF_JOBS})


def jobs_of_events(events: Collection[Event]) -> list[str]:
    """The jobs that events are about, which may have expired."""
    return sorted({each.subject for each in events if _kind(each) in _OF_JOBS})


def decision_link(decision: NotedDecision, kept: Collection[str]) -> str:
    """The page of what was decided about; "" where there is none, as for a job that is not `kept`."""
    return _link(_act(decision), decision.thing, kept)


def event_link(event: Event, kept: Collection[str]) -> str:
    """The page of what an event is about; "" where there is none, as for a job that is not `kept`."""
    return _link(_kind(event), event.subject, kept)


def _act(decision: NotedDecision) -> str:
    return (decision.act.split() or [""])[0]


def _kind(event: Event) -> str:
    return event.kind.partition(".")[0]


def _link(group: str, name: str, kept: Collection[str]) -> str:
    thing = quote(name, safe="@")
    if not thing or (group in _OF_JOBS and name not in kept):
        return ""
    if "@" in name and group in {"trial", "template", "candidate"}:
        return f"/versions/{thing}"
    pages = {
        "enqueue": f"/jobs/{thing}",
        "job": f"/jobs/{thing}",
        "issue": f"/issue?ref={thing}",
        "trial": f"/trials/{thing}",
        "backtest": f"/backtests/{thing}",
        "template": f"/templates/{thing}",
        "account": "/accounts",
        "worker": "/workers",
    }
    return pages.get(group, "")
