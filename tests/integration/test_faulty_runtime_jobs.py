"""Jobs whose runtime raises where it may not: the attempt fails, and the worker goes on."""

from pathlib import Path

import pytest
import redis

from routing.jobs.job import JobState
from routing.templates.version import Snapshot
from tasks.agents.runtimes.registry import RUNTIMES
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.composition.worker import Worker
from tasks.settings.settings import AgentSettings
from tests.fleets.stepped_fleet import SteppedFleet
from tests.programs.faulty_runtime import Faulty


def _job(client: redis.Redis, folder: Path) -> tuple[SteppedFleet, Worker, str]:
    fleet = SteppedFleet(
        client, draws=[0.5], agent=AgentSettings(work_dir=folder / "work", kill_grace_seconds=0.3)
    )
    fleet.app.templates.add("implementer", Snapshot(prompt="work", runtime="faulty", command="echo hello"))
    return fleet, Worker(coalmine=fleet.app), fleet.enqueue().job


@pytest.mark.parametrize(
    ("where", "to"),
    [
        ("parse", SessionState.BETWEEN_TURNS),
        ("clean", SessionState.BETWEEN_TURNS),
        ("argv", SessionState.BOOTING),
        ("environment", SessionState.BOOTING),
        ("stdin", SessionState.BOOTING),
        ("check", None),
    ],
)
def test_job_whose_runtime_raises_is_tried_again(
    fake_redis: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str,
    to: SessionState | None,
) -> None:  # fmt: skip
    """The attempt counts as the version's failure, the lease is free, and the worker goes on."""
    monkeypatch.setitem(RUNTIMES, "faulty", lambda spec: Faulty(spec, where))
    fleet, worker, job = _job(fake_redis, tmp_path)
    assert worker.work.work(job, worker="w1") == "retry"
    found = fleet.app.jobs.find(job)
    assert (found.state, found.attempts) == (JobState.QUEUED, 1)
    assert "RuntimeError: the parser is broken" in found.reason
    assert [fact.kind for fact in fleet.app.signals.read(job)] == []
    fields = fleet.app.sessions.read(f"builder-{job[:8]}")
    record = SessionRecord.parse(fields) if fields else None
    assert (record and record.state) is to
    assert record is None or record.lease_until is None
