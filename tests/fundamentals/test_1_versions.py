"""1. A template is a line of versions; one of them is the champion."""

from tests.fleets.stepped_fleet import SteppedFleet


def test_the_first_version_is_the_champion(fleet: SteppedFleet) -> None:
    """Whoever asks for the template gets it."""
    first = fleet.add("implementer", prompt="Mend what the issue says.")
    assert first.id == "implementer@v1"
    assert fleet.app.templates.champion("implementer") == first


def test_a_new_version_changes_nothing_until_it_is_promoted(fleet: SteppedFleet) -> None:
    """Proposing is free of risk: the champion works on."""
    first = fleet.add()
    second = fleet.propose("Mend it, and run the tests.")
    assert fleet.state(second) == "pending"
    assert fleet.app.templates.champion("implementer") == first
    fleet.app.templates.promote(second.id, by="ada")
    assert fleet.app.templates.champion("implementer").id == second.id
    assert fleet.state(first) == "superseded"
