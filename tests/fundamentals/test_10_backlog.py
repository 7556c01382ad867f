"""The backlog is the issues that are known and not finished, with what each of them waits for.

Issues come in from a forge. "Blocked by: #1" in an issue's text is a dependency: the issue is ready when
its blocker was completed, and not before. What is ready runs by priority, then by number. When its job ends
the issue is completed, or handed to a person.
"""

from routing.backlog.item import BacklogState
from tests.fleets.forge_fleet import ForgeFleet


def test_an_issue_becomes_a_job_and_is_completed(house: ForgeFleet) -> None:
    """A person writes it; poll, dispatch, work and watch do the rest."""
    issue = house.forge.person_opens(1)
    house.until_quiet()
    (job,) = house.jobs(issue)
    assert job.state == "succeeded"
    assert house.item(issue).state is BacklogState.COMPLETED
    assert house.forge.issues[issue].state == "closed"


def test_a_blocked_issue_waits_for_its_blocker(house: ForgeFleet) -> None:
    """Number 1 is worked on first; number 2 becomes ready when that is completed."""
    first = house.forge.person_opens(1)
    second = house.forge.person_opens(2, "Blocked by: #1")
    house.poll()
    assert house.item(second).state is BacklogState.BLOCKED
    house.until_quiet()
    assert [job.request.issue for job in house.jobs()] == [str(first), str(second)]


def test_work_that_fails_is_handed_to_a_person(house: ForgeFleet) -> None:
    """An agent that commits nothing has not solved it; the issue says so, and waits under a label."""
    house.acts[1] = ["fails"]
    issue = house.forge.person_opens(1)
    house.until_quiet()
    assert house.item(issue).state is BacklogState.ESCALATED
    assert "ready-for-human" in house.forge.issues[issue].labels
