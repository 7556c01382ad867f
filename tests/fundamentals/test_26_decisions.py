"""What people decide is noted: who, by which door, about what, and why.

The step itself writes its event, as every change of state does. The note is in a list of its own: it is
not lost among the events of a busy fleet, and outlives the jobs that it is about. A step that had been made
before changes nothing, and is not noted.
"""

from console.decisions.noting import DecisionDoor, note_decision
from routing.store.events.decision_store import NotedDecision
from tests.fleets.stepped_fleet import SteppedFleet


def test_a_decision_is_noted_with_who_and_why(fleet: SteppedFleet) -> None:
    """The newest first."""
    fleet.app.switch.pause("the forge is upgraded")
    note_decision(fleet.app, "pause", "", by="ada", way=DecisionDoor.COMMAND, reason="the forge is upgraded")
    fleet.clock.forward(60)
    fleet.app.switch.resume("it is back")
    note_decision(fleet.app, "resume", "", by="grace", way=DecisionDoor.PAGE)
    newest, before = fleet.app.decisions.newest(2)
    assert (newest.act, newest.by, newest.way) == ("resume", "grace", "page")
    assert (before.act, before.by, before.reason) == ("pause", "ada", "the forge is upgraded")
    assert newest.at - before.at == 60


def test_notes_are_read_page_by_page(fleet: SteppedFleet) -> None:
    """Each page goes on before the last one's end."""
    for number in range(3):
        fleet.app.decisions.note(NotedDecision(act="job cancel", thing=str(number), by="ada", way="api"))
    first = fleet.app.decisions.newest(2)
    rest = fleet.app.decisions.newest(2, before=first[-1].id)
    assert [each.thing for each in (*first, *rest)] == ["2", "1", "0"]
