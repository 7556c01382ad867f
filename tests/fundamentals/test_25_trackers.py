"""A tracker, such as Jira or Linear, has issues and no repository: the work on them goes to one of a forge.

An item of the backlog has a place, the repository that its work goes to. It is the issue's own on a forge,
and a tracker's routes say it. Slots, red main branches and the budget of a repository are of the place, so
issues of a tracker and of a forge share them.
"""

from routing.backlog.backlog import WITHOUT_PLACE
from routing.backlog.item import BacklogState
from routing.issues.issue import Issue, IssueRef
from tests.fakes.issues import issue
from tests.fleets.forge_fleet import ForgeFleet

SHOP = "github:acme/shop"


def tracked(number: int) -> Issue:
    """An issue of a tracker."""
    return issue(number, "It is slow.", ref=IssueRef(forge="jira", repo="SHOP", number=number))


def test_issues_of_a_tracker_share_the_slots_of_a_repository(forge_fleet: ForgeFleet) -> None:
    """While one of them is worked on there, an issue of the forge waits; and the other way round."""
    backlog = forge_fleet.parts.backlog
    backlog.accept(tracked(12), requested_by="ann", works_in=SHOP)
    found = backlog.find(tracked(12).ref)
    assert (found.state, found.place) == (BacklogState.READY, SHOP)
    own = forge_fleet.forge.person_opens(1)
    forge_fleet.poll()
    assert backlog.start(own, per_repo=1)
    assert backlog.busy() == {SHOP: 1}
    assert backlog.start(tracked(12).ref, per_repo=1) is None
    backlog.release(own, fence=backlog.find(own).fence, reason="later")
    assert backlog.start(tracked(12).ref, per_repo=1)
    assert backlog.busy() == {SHOP: 1}
    assert backlog.start(own, per_repo=1) is None


def test_an_issue_that_nothing_gives_a_place_waits_for_a_person(forge_fleet: ForgeFleet) -> None:
    """It says why, and is ready as soon as a route fits."""
    backlog = forge_fleet.parts.backlog
    backlog.accept(tracked(12), requested_by="ann", works_in="")
    found = backlog.find(tracked(12).ref)
    assert (found.state, WITHOUT_PLACE in found.reason) == (BacklogState.BLOCKED, True)
    backlog.accept(tracked(12), requested_by="ann", works_in=SHOP)
    assert backlog.find(tracked(12).ref).state is BacklogState.READY


def test_a_place_stays_while_work_is_done_there(forge_fleet: ForgeFleet) -> None:
    """A component that changes meanwhile moves neither the agent nor its slot."""
    backlog = forge_fleet.parts.backlog
    backlog.accept(tracked(12), requested_by="ann", works_in=SHOP)
    backlog.start(tracked(12).ref, per_repo=1)
    backlog.accept(tracked(12), requested_by="ann", works_in="github:acme/cart")
    assert backlog.find(tracked(12).ref).place == SHOP
