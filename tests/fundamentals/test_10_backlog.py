"""The backlog is the issues that are known and not finished, with what each of them waits for.

Issues come in from a forge. "Blocked by: #1" in an issue's text is a dependency: the issue is ready when
its blocker was completed, and not before. What is ready runs by priority, then by number. When its job ends
the issue is completed, or handed to a person.
"""

from routing.backlog.item import BacklogState
from tests.fleets.forge_fleet import ForgeFleet


def test_an_issue_becomes_a_job_and_is_completed(forge_fleet: ForgeFleet) -> None:
    """A person writes it; poll, dispatch, work and watch do the rest."""
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.until_quiet()
    (job,) = forge_fleet.jobs(issue)
    assert job.state == "succeeded"
    assert forge_fleet.item(issue).state is BacklogState.COMPLETED
    assert forge_fleet.forge.issues[issue].state == "closed"


def test_a_blocked_issue_waits_for_its_blocker(forge_fleet: ForgeFleet) -> None:
    """Number 1 is worked on first; number 2 becomes ready when that is completed."""
    first = forge_fleet.forge.person_opens(1)
    second = forge_fleet.forge.person_opens(2, "Blocked by: #1")
    forge_fleet.poll()
    assert forge_fleet.item(second).state is BacklogState.BLOCKED
    forge_fleet.until_quiet()
    assert [job.request.issue for job in forge_fleet.jobs()] == [str(first), str(second)]


def test_work_that_fails_is_handed_to_a_person(forge_fleet: ForgeFleet) -> None:
    """An agent that commits nothing has not solved it; the issue says so, and waits under a label."""
    forge_fleet.acts[1] = ["fails"]
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.until_quiet()
    assert forge_fleet.item(issue).state is BacklogState.ESCALATED
    assert "ready-for-human" in forge_fleet.forge.issues[issue].labels
