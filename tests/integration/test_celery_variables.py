"""Celery's own variables and options name another broker: every process uses ours, and says so once."""

import sys
from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import ROOT, fleet, until_state
from tests.waiting import run

#: Nobody listens there.
ELSEWHERE = "redis://127.0.0.1:1/0"

#: What another project has left in the environment; Celery's program makes more of them of the last two.
LEFT = {
    "CELERY_BROKER_READ_URL": ELSEWHERE,
    "CELERY_BROKER_WRITE_URL": ELSEWHERE,
    "CELERY_CONFIG_MODULE": "no_such_module",
    "CELERY_LOADER": "default",
    "BROKER_URL": ELSEWHERE,
    "RESULT_BACKEND": ELSEWHERE,
}


@pytest.mark.long
def test_no_variable_of_celerys_leads_to_another_broker(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Worker, beat and Celery's commands, started as users do, meet at the fleet's own server."""
    assert redis_client.ping()
    with fleet(tmp_path, redis_server.url, **LEFT) as made:
        made.by_command = True
        made.worker()
        made.beat()
        parts = made.coalmine()
        parts.templates.add("implementer", Snapshot(prompt="work", command="true"))
        job = parts.mailbox.enqueue(JobRequest(template="implementer", task="work")).job
        until_state(parts, job, JobState.SUCCEEDED)
        asked = [sys.executable, "-m", "celery", "-A", "coalmine", "--broker", ELSEWHERE, "inspect", "ping"]
        found = run(asked, cwd=ROOT, env=made.environment)
        assert "pong" in found.stdout, found.stderr
        for said in (made.log("w1"), made.log("beat"), found.stderr):
            assert said.count("is not read") == 1
            assert "CELERY_BROKER_URL, CELERY_BROKER_READ_URL, CELERY_BROKER_WRITE_URL" in said
