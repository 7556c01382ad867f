"""The end-to-end stories, through real Redis and real Celery workers; no outcome is seeded by hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import AUTO_PROMOTED, CANARY_STARTED, ROLLED_BACK
from routing.jobs.job import JobRequest, JobState
from routing.templates.trial import TrialState
from routing.templates.version import Snapshot, VersionState
from tasks.composition.composition import Coalmine
from tests.fakes.scripted import Alternating
from tests.fleets.worker_fleet import WorkerFleet, fleet
from tests.waiting import wait_until

#: An agent that does what its version's prompt says; it reads that from the prompt that it is given.
AGENT = 'read -r order; case "$order" in succeed) exit 0;; *) exit 1;; esac'

GOOD, BAD = Snapshot(prompt="succeed", command=AGENT), Snapshot(prompt="fail", command=AGENT)


@pytest.fixture
def running(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[WorkerFleet]:
    """A worker on all queues, and beat."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url) as made:
        made.worker()
        made.beat()
        yield made


def play(parts: Coalmine, champion: Snapshot, canary: Snapshot, *, most: int = 80) -> TrialState:
    """Open a trial and enqueue jobs, a few at a time, until it has ended or `most` jobs are scored."""
    parts.templates.add("implementer", champion)
    step, _ = parts.proposals.propose("implementer", canary)
    trial = parts.proposals.open(step.version, parts.settings.canary.policy, by="a test").trial
    for _ in range(most // 8):
        requests = [JobRequest(template="implementer", task="work")] * 8
        enqueue_and_settle(parts, requests)
        if not parts.trials.find(trial.id).is_open:
            break
    wait_until(lambda: not parts.trials.find(trial.id).is_open, description="the trial has ended", timeout=5)
    return parts.trials.find(trial.id).state


def enqueue_and_settle(parts: Coalmine, requests: list[JobRequest]) -> list[str]:
    """Enqueue a batch and wait until each of its jobs is scored."""
    jobs = [done.job for done in parts.mailbox.enqueue_many(requests)]
    wait_until(
        lambda: all(parts.jobs.find(job).settled_at for job in jobs),
        description="the jobs are settled",
    )
    return jobs


def kinds(parts: Coalmine) -> list[str]:
    """The kinds of all events, in order."""
    return [event.kind for event in parts.events.all()]


def credited(parts: Coalmine) -> dict[str, float]:
    """The mean score of each arm in the verdict: outcomes go to the version that made them."""
    arms = json.loads(parts.trials.find("implementer").review)["arms"]
    return {arm: counts["mean"] for arm, counts in arms.items()}


def test_a_canary_whose_outcomes_regress_is_rolled_back_once(running: WorkerFleet) -> None:
    """The canary is rejected, the champion is what it was, and one event says so."""
    parts = running.coalmine(Alternating())
    assert play(parts, GOOD, BAD) is TrialState.ROLLED_BACK
    assert parts.templates.champion("implementer").number == 1
    assert parts.templates.find("implementer@v2").state is VersionState.REJECTED
    assert kinds(parts).count(ROLLED_BACK) == 1
    assert AUTO_PROMOTED not in kinds(parts)
    assert credited(parts) == {"champion": 1.0, "canary": 0.0}


def test_a_canary_with_healthy_outcomes_graduates_once(running: WorkerFleet) -> None:
    """The canary is champion, the old champion superseded, and one event says so."""
    parts = running.coalmine(Alternating())
    assert play(parts, BAD, GOOD) is TrialState.GRADUATED
    assert parts.templates.champion("implementer").number == 2
    assert parts.templates.find("implementer@v1").state is VersionState.SUPERSEDED
    assert kinds(parts).count(AUTO_PROMOTED) == 1
    assert ROLLED_BACK not in kinds(parts)
    assert kinds(parts).count(CANARY_STARTED) == 1
    assert credited(parts) == {"champion": 0.0, "canary": 1.0}


def test_jobs_carry_the_version_that_their_draw_chose(running: WorkerFleet) -> None:
    """With alternating draws every other job ran the canary, and the agent that ran was that version's."""
    parts = running.coalmine(Alternating())
    play(parts, GOOD, BAD)
    jobs = [job for job in parts.jobs.newest(most=500) if job.trial]
    assert {job.version for job in jobs if job.draw is not None and job.draw < 0.5} == {2}
    assert {job.version for job in jobs if job.draw is not None and job.draw >= 0.5} == {1}
    assert {job.state for job in jobs if job.version == 2} == {JobState.FAILED}
    assert {job.state for job in jobs if job.version == 1} == {JobState.SUCCEEDED}


def configured(folder: Path, *, enabled: bool) -> dict[str, str]:
    """Settings that come from a file alone; the variable only says where the file is."""
    file = folder / "coalmine.toml"
    switch = "true" if enabled else "false"
    file.write_text(
        f"[canary]\nenabled = {switch}\nharvest_interval_seconds = 1\n"
        "[canary.policy]\nshare = 0.5\nrevert_window_seconds = 0\n[job]\nmax_attempts = 1\n"
    )
    return {"COALMINE_CONFIG": str(file)}


def test_a_file_switches_routing_and_harvest_on(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """With nothing but the file, a bad canary is found and rolled back."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url, **configured(tmp_path, enabled=True)) as running:
        running.worker()
        running.beat()
        assert play(running.coalmine(Alternating()), GOOD, BAD) is TrialState.ROLLED_BACK


def test_the_same_file_switches_both_off(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Switched off: nothing is drawn, nothing decided, and the trial that was open is stopped visibly."""
    assert redis_client.ping()
    on = WorkerFleet(tmp_path, redis_server.url, **configured(tmp_path, enabled=True)).coalmine()
    on.templates.add("implementer", GOOD)
    step, _ = on.proposals.propose("implementer", BAD)
    trial = on.proposals.open(step.version, on.settings.canary.policy, by="a test").trial
    generator = Alternating()
    with fleet(tmp_path, redis_server.url, **configured(tmp_path, enabled=False)) as running:
        running.worker()
        running.beat()
        parts = running.coalmine(generator)
        requests = [JobRequest(template="implementer", task="work")] * 8
        jobs = [done.job for done in parts.mailbox.enqueue_many(requests)]
        wait_until(
            lambda: all(parts.jobs.find(job).state is JobState.SUCCEEDED for job in jobs),
            description="the champion did the jobs",
        )
        wait_until(
            lambda: parts.trials.find(trial.id).state is TrialState.STOPPED,
            description="the stranded trial is stopped",
        )
    assert generator.asked == 0
    assert {parts.jobs.find(job).version for job in jobs} == {1}
    assert all(parts.jobs.find(job).settled_at is None for job in jobs)
    assert parts.templates.find("implementer@v2").state is VersionState.PENDING
    assert not {ROLLED_BACK, AUTO_PROMOTED} & set(kinds(parts))
