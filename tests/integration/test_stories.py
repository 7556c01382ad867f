"""The end-to-end stories, through real Redis and real Celery workers; no outcome is seeded by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.events import AUTO_PROMOTED, CANARY_STARTED, ROLLED_BACK
from routing.job import JobRequest, JobState
from routing.store.private_server import PrivateServer
from routing.trial import TrialState
from routing.version import Snapshot, VersionState
from tasks.composition import Coalmine
from tests.scripted import Alternating
from tests.waiting import wait_until
from tests.worker_fleet import Fleet, fleet

#: An agent that does what its version's prompt says; it reads that from the prompt that it is given.
AGENT = 'read -r order; case "$order" in succeed) exit 0;; *) exit 1;; esac'

GOOD, BAD = Snapshot(prompt="succeed", command=AGENT), Snapshot(prompt="fail", command=AGENT)


@pytest.fixture
def running(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[Fleet]:
    """A worker on all queues, and beat."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url) as made:
        made.worker()
        made.beat()
        yield made


def play(parts: Coalmine, champion: Snapshot, canary: Snapshot, *, most: int = 120) -> TrialState:
    """Open a trial and enqueue jobs, a few at a time, until it has ended."""
    parts.templates.add("implementer", champion)
    step, _ = parts.proposals.propose("implementer", canary)
    trial = parts.proposals.open(step.version, parts.settings.canary.policy, by="a test").trial
    for _ in range(most // 4):
        requests = [JobRequest(template="implementer", task="work")] * 4
        jobs = [done.job for done in parts.mailbox.enqueue_many(requests)]
        wait_until(
            lambda jobs=jobs: all(parts.jobs.find(job).settled_at for job in jobs),
            description="the jobs are settled",
        )
        if not parts.trials.find(trial.id).is_open:
            break
    return wait_until(
        lambda: None if (now := parts.trials.find(trial.id)).is_open else now.state,
        description="the trial has ended",
    )


def kinds(parts: Coalmine) -> list[str]:
    """The kinds of all events, in order."""
    return [event.kind for event in parts.events.all()]


def test_a_canary_whose_outcomes_regress_is_rolled_back_once(running: Fleet) -> None:
    """The canary is rejected, the champion is what it was, and one event says so."""
    parts = running.coalmine(Alternating())
    assert play(parts, GOOD, BAD) is TrialState.ROLLED_BACK
    assert parts.templates.champion("implementer").number == 1
    assert parts.templates.find("implementer@v2").state is VersionState.REJECTED
    assert kinds(parts).count(ROLLED_BACK) == 1
    assert AUTO_PROMOTED not in kinds(parts)


def test_a_canary_with_healthy_outcomes_graduates_once(running: Fleet) -> None:
    """The canary is champion, the old champion superseded, and one event says so."""
    parts = running.coalmine(Alternating())
    assert play(parts, BAD, GOOD) is TrialState.GRADUATED
    assert parts.templates.champion("implementer").number == 2
    assert parts.templates.find("implementer@v1").state is VersionState.SUPERSEDED
    assert kinds(parts).count(AUTO_PROMOTED) == 1
    assert ROLLED_BACK not in kinds(parts)
    assert kinds(parts).count(CANARY_STARTED) == 1


def test_jobs_carry_the_version_that_their_draw_chose(running: Fleet) -> None:
    """With alternating draws every other job ran the canary, and the agent that ran was that version's."""
    parts = running.coalmine(Alternating())
    play(parts, GOOD, BAD)
    jobs = [job for job in parts.jobs.newest(most=500) if job.trial]
    assert {job.version for job in jobs if job.draw is not None and job.draw < 0.5} == {2}
    assert {job.version for job in jobs if job.draw is not None and job.draw >= 0.5} == {1}
    assert {job.state for job in jobs if job.version == 2} == {JobState.FAILED}
    assert {job.state for job in jobs if job.version == 1} == {JobState.SUCCEEDED}
