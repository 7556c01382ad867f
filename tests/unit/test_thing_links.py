"""What events and decisions are about is a link, where it has a page."""

import re

import pytest
import redis

from console.pages.thing_links import event_link
from routing.events import Event
from routing.jobs.signal import SignalKind
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.mark.parametrize(
    ("kind", "subject", "link"),
    [
        ("job.settled", "0123456789abcdef", "/jobs/0123456789abcdef"),
        ("job.settled", "fedcba9876543210", ""),  # it has expired
        ("candidate.promoted", "implementer@v2", "/versions/implementer@v2"),
        ("template.added", "implementer@v1", "/versions/implementer@v1"),
        ("trial.held", "implementer-t1", "/trials/implementer-t1"),
        ("backtest.ended", "implementer-b1", "/backtests/implementer-b1"),
        ("issue.ready", "local:shop#7", "/issue?ref=local%3Ashop%237"),
        ("issue.ready", '"><b>', "/issue?ref=%22%3E%3Cb%3E"),
        ("fleet.paused", "fleet", ""),
        ("trial.held", "", ""),
    ],
)
def test_an_event_leads_to_its_thing(kind: str, subject: str, link: str) -> None:
    """By the first word of its kind."""
    event = Event(id="1-0", kind=kind, at=0.0, subject=subject, data={})
    assert event_link(event, {"0123456789abcdef"}) == link


def test_pages_have_the_links(redis_client: redis.Redis) -> None:
    """Of events, and of the decisions about versions."""
    fleet = SteppedFleet(redis_client, draws=[0.9, 0.9])
    fleet.on_trial()
    gone, kept = (fleet.enqueue(title=name).job for name in ("gone", "kept"))
    for job in (gone, kept):
        fleet.end(job, SignalKind.FINISHED)
    fleet.redis.delete(fleet.app.keys.job(gone))  # as when it expires
    page = fleet.web.get("/events", Accept="text/html").text
    assert (f'href="/jobs/{kept}"' in page, f'href="/jobs/{gone}"' in page, gone in page) == (
        True,
        False,
        True,
    )
    assert '<a href="/versions/implementer@v2">implementer@v2</a>' in page
    fleet.app.trials.stop(fleet.app.trials.find("implementer"), by="ada")
    fleet.app.templates.reject("implementer@v2", by="ada")
    page = fleet.web.get("/templates/implementer", Accept="text/html").text
    decisions = page.partition("Decisions, the newest first")[2].partition("</table>")[0]
    assert re.search(r'<td><a href="/versions/implementer%40v2">implementer@v2</a></td><td>reject', decisions)
