"""Fixing forward: work whose CI is red goes back to its agent, as the job that it was.

A pushed job waits for CI, without a lease and without a worker. When CI is red the watcher sends the job
back for a corrective turn, in the same conversation and on the same branch, with the names of the checks
that failed. After a few corrections the issue is handed to a person instead, and what was pushed stays as
it is.
"""

from tests.fleets.forge_fleet import ForgeFleet


def test_red_work_is_repaired_and_merged(forge_fleet: ForgeFleet) -> None:
    """One job from beginning to end, with one correction."""
    forge_fleet.acts[1] = ["red", "green"]
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.until_quiet()
    (job,) = forge_fleet.jobs(issue)
    assert (job.state, job.fix_forwards) == ("succeeded", 1)
    assert len(forge_fleet.hands.events("job.fix_forward")) == 1
    assert forge_fleet.signals(job)[:1] == ["ci_green"]


def test_a_correction_keeps_version_and_draw(forge_fleet: ForgeFleet) -> None:
    """It is the same job: nothing is drawn again."""
    forge_fleet.acts[1] = ["red", "green"]
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.round()
    (before,) = forge_fleet.jobs(issue)
    forge_fleet.until_quiet()
    (after,) = forge_fleet.jobs(issue)
    assert (after.id, after.version, after.draw) == (before.id, before.version, before.draw)


def test_work_that_stays_red_is_handed_to_a_person(forge_fleet: ForgeFleet) -> None:
    """Corrections are limited; the label says who is asked."""
    forge_fleet.acts[1] = ["red"] * 20
    issue = forge_fleet.forge.person_opens(1)
    forge_fleet.until_quiet()
    (job,) = forge_fleet.jobs(issue)
    assert job.state == "escalated"
    assert "ready-for-human" in forge_fleet.forge.issues[issue].labels
