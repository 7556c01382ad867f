"""Fixing forward: work whose CI is red goes back to its agent, as the job that it was.

A pushed job waits for CI, without a lease and without a worker. When CI is red the watcher sends the job
back for a corrective turn, in the same conversation and on the same branch, with the names of the checks
that failed. After a few corrections the issue is handed to a person instead, and what was pushed stays as
it is.
"""

from tests.fleets.forge_fleet import ForgeFleet


def test_red_work_is_repaired_and_merged(house: ForgeFleet) -> None:
    """One job from beginning to end, with one correction."""
    house.acts[1] = ["red", "green"]
    issue = house.forge.person_opens(1)
    house.until_quiet()
    (job,) = house.jobs(issue)
    assert (job.state, job.fix_forwards) == ("succeeded", 1)
    assert len(house.hands.events("job.fix_forward")) == 1
    assert house.signals(job)[:1] == ["ci_green"]


def test_a_correction_keeps_version_and_draw(house: ForgeFleet) -> None:
    """It is the same job: nothing is drawn again."""
    house.acts[1] = ["red", "green"]
    issue = house.forge.person_opens(1)
    house.round()
    (before,) = house.jobs(issue)
    house.until_quiet()
    (after,) = house.jobs(issue)
    assert (after.id, after.version, after.draw) == (before.id, before.version, before.draw)


def test_work_that_stays_red_is_handed_to_a_person(house: ForgeFleet) -> None:
    """Corrections are limited; the label says who is asked."""
    house.acts[1] = ["red"] * 20
    issue = house.forge.person_opens(1)
    house.until_quiet()
    (job,) = house.jobs(issue)
    assert job.state == "escalated"
    assert "ready-for-human" in house.forge.issues[issue].labels
