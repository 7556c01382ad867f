"""People are notified of what needs them, by a consumer of the event stream.

Every change of state writes its event in the same step, into one stream. A notifier reads the stream from
where it stopped, picks what people want to hear of, and hands it to a sink: a webhook, a chat, a command.
Delivery is at least once, with an id to recognise repeats by. What a sink refuses for good is a dead
letter, and holds up nothing.
"""

from typing import Any

import pytest

from routing.back_off import BackOff
from routing.jobs.signal import SignalKind
from tasks.notify.facts import FactReader
from tasks.notify.notices import dead_letters
from tasks.notify.notification import Notification, NotificationKind
from tasks.notify.notifier import Notifier, NotifierRules
from tasks.notify.sink import UndeliveredError
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet


class Inbox:
    """A sink that keeps what it is sent."""

    name = "webhook"

    def __init__(self) -> None:
        self.sent: list[Notification] = []
        self.refuses = False

    def send(self, notification: Notification) -> None:
        """Take it, or refuse it for good."""
        if self.refuses:
            raise UndeliveredError("no such channel", final=True)
        self.sent.append(notification)


@pytest.fixture
def inbox() -> Inbox:
    """An empty one."""
    return Inbox()


@pytest.fixture
def notifier(fleet: SteppedFleet, inbox: Inbox) -> Notifier:
    """The consumer of a new sink: it hears of what happens from now on."""
    fleet.add()
    app = fleet.app
    rules: dict[str, Any] = {"kinds": tuple(NotificationKind), "attempts": 3, "max_age_seconds": 3600.0}
    made = Notifier(
        sink=inbox,
        rules=NotifierRules(back_off=BackOff(first_seconds=4, cap_seconds=60), **rules),
        store=app.notices,
        events=app.events,
        facts=FactReader(jobs=app.job_store, signals=app.signals, backlog=app.backlog_store),
        generator=ScriptedGenerator([0.5] * 10),
        monotonic=lambda: 0.0,
    )
    made.tick()
    return made


def test_a_person_hears_of_a_job_that_needs_one(
    fleet: SteppedFleet, notifier: Notifier, inbox: Inbox
) -> None:
    """Once, however often the stream is read."""
    job = fleet.enqueue(title="Repair the roof").job
    fleet.end(job, SignalKind.ESCALATED)
    notifier.tick()
    notifier.tick()
    assert [(each.kind, each.subject) for each in inbox.sent] == [(NotificationKind.NEEDS_HUMAN, job)]


def test_what_a_sink_refuses_is_a_dead_letter(fleet: SteppedFleet, notifier: Notifier, inbox: Inbox) -> None:
    """It is kept with the reason, and what comes later is delivered."""
    inbox.refuses = True
    fleet.end(fleet.enqueue().job, SignalKind.ESCALATED)
    notifier.tick()
    inbox.refuses = False
    fleet.end(fleet.enqueue().job, SignalKind.ESCALATED)
    notifier.tick()
    assert ["no such channel" in letter.reason for letter in dead_letters(fleet.app.notices)] == [True]
    assert len(inbox.sent) == 1
