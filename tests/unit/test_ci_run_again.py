"""Checks that people run again: what is green then is seen, as long as the job has no score."""

import redis

from harvest.settling.score import Score, ScoreRules, score
from routing.forges.commit_status import StatusState
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.signal import SignalKind
from tasks.settings.issue_settings import IssueSettings, WatchSettings
from tests.fleets.forge_fleet import ForgeFleet

DAY = 86_400.0


def red_work(client: redis.Redis, *, fix_forwards: int) -> ForgeFleet:
    """A fleet whose only job has pushed red work, at which the watcher has looked; people merge."""
    settings = IssueSettings(fleet_size=10, watch=WatchSettings(fix_forwards=fix_forwards))
    fleet = ForgeFleet(client, merge="never", settings=settings, acts={1: ["red"]})
    fleet.forge.person_opens(1)
    fleet.round()
    return fleet


def job_of(fleet: ForgeFleet) -> Job:
    """That job."""
    (job,) = fleet.jobs()
    return job


def run_again(fleet: ForgeFleet) -> None:
    """A person has CI judge the same commit once more, and it passes."""
    fleet.forge.say(job_of(fleet).result.commit, StatusState.SUCCESS, text="it was the network")


def worth(fleet: ForgeFleet) -> Score:
    """What the job is worth by its facts."""
    facts = fleet.hands.app.signals.read(job_of(fleet).id)
    return score(facts, created_at=job_of(fleet).created_at, now=fleet.clock(), rules=ScoreRules())


def test_a_check_that_turns_green_during_the_corrective_turn_counts(redis_client: redis.Redis) -> None:
    """The turn finds nothing to repair and leaves the commit: it was judged red, and is green now."""
    fleet = red_work(redis_client, fix_forwards=2)
    before = job_of(fleet)
    assert (before.state, before.judged) == (JobState.QUEUED, (before.result.commit,))
    run_again(fleet)
    claim = fleet.hands.claim(before.id)
    fleet.hands.app.jobs.pushed(claim, JobResult(commit=before.result.commit, branch=before.branch))
    fleet.watch()
    assert (job_of(fleet).is_in_review, job_of(fleet).result.commit) == (True, before.result.commit)
    fleet.forge.person_merges(before.branch)
    fleet.clock.forward(3700)
    fleet.watch()
    assert job_of(fleet).state is JobState.SUCCEEDED
    fleet.clock.forward(DAY)
    assert (worth(fleet).status, worth(fleet).value) == ("settled", 1.0)


def test_frozen_work_that_turns_green_and_is_merged_counts_until_it_is_scored(
    redis_client: redis.Redis,
) -> None:
    """Green alone changes nothing: a person has the job. Landing counts more than having been frozen."""
    fleet = red_work(redis_client, fix_forwards=0)
    assert job_of(fleet).state is JobState.ESCALATED
    run_again(fleet)
    fleet.clock.forward(3700)
    fleet.watch()
    assert (worth(fleet).status, worth(fleet).value) == ("settled", 0.0)
    fleet.forge.person_merges(job_of(fleet).branch)
    fleet.clock.forward(3700)
    fleet.watch()
    kinds = set(fleet.signals(job_of(fleet)))
    assert {SignalKind.FROZEN, SignalKind.MERGED, SignalKind.CI_GREEN} <= kinds
    fleet.clock.forward(DAY)
    assert (worth(fleet).status, worth(fleet).value) == ("settled", 1.0)
