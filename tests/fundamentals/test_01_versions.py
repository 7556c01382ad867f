"""A template is a kind of agent, and a line of versions; one of them is its champion.

A version is an immutable snapshot of everything that makes the agent what it is: prompt, runtime, model,
tools. Its id is `implementer@v3`. A job that names the template gets the champion. A new version is proposed
first, which changes nothing; it becomes champion when a person promotes it, or when a trial graduates it.
"""

from tests.fleets.stepped_fleet import SteppedFleet


def test_the_first_version_is_the_champion(fleet: SteppedFleet) -> None:
    """There is nothing to compare it with, so it is used at once."""
    first = fleet.add("implementer", prompt="Repair what the issue describes.")
    assert first.id == "implementer@v1"
    assert fleet.app.templates.champion("implementer") == first


def test_a_proposal_changes_nothing_until_it_is_promoted(fleet: SteppedFleet) -> None:
    """The champion works on; promoting replaces it, and the one before can be reverted to."""
    first = fleet.add()
    second = fleet.propose("Repair it, and run the tests.")
    assert fleet.state(second) == "pending"
    assert fleet.app.templates.champion("implementer") == first
    fleet.app.templates.promote(second.id, by="ada")
    assert fleet.app.templates.champion("implementer").id == second.id
    assert fleet.state(first) == "superseded"
    fleet.app.templates.revert(first.id, by="ada", reason="it skips tests")
    assert fleet.app.templates.champion("implementer").id == first.id


def test_the_same_content_is_the_same_version(fleet: SteppedFleet) -> None:
    """A snapshot is known by its content hash: proposing it again makes no second version."""
    fleet.add()
    assert fleet.propose("two").id == fleet.propose("two").id == "implementer@v2"
