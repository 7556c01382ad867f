"""Git knows no fence: the worker that lost a job must not push over the work of the one that has it."""

from pathlib import Path

from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.templates.version import Snapshot
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.worker import Worker
from tests.fleets.worker_fleet import fleet
from tests.repositories import new_repository
from tests.waiting import wait_until


def test_nothing_is_pushed_after_the_lease_was_lost(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """The first holder's agent ends well, too late; the second holder's push goes through."""
    assert redis_client.ping()
    repository = new_repository(tmp_path)
    (tmp_path / "issues").mkdir()
    settings = {
        "COALMINE_FORGE__LOCAL__REPOSITORY": str(repository.path),
        "COALMINE_FORGE__LOCAL__ISSUES": str(tmp_path / "issues"),
        "COALMINE_FORGE__LOCAL__STATE": str(tmp_path / "forge"),
    }
    with fleet(tmp_path, redis_server.url, **settings) as made:
        parts = made.coalmine()
        agents = Worker(coalmine=parts).agents
        parts.templates.add("implementer", Snapshot(prompt="work", command="echo done > done.txt"))
        request = JobRequest(template="implementer", task="work", repository="local:shop", max_attempts=2)
        job = parts.mailbox.enqueue(request).job
        branch = f"refs/heads/coalmine/{job}"
        first = parts.jobs.claim(job, worker="w1", lease_seconds=0.1)
        assert isinstance(first, Claim)

        def taken() -> Claim | None:
            found = parts.jobs.claim(job, worker="w2", lease_seconds=60)
            return found if isinstance(found, Claim) else None

        second = wait_until(taken, description="the lease has run out, and another worker has the job")
        assert second is not None
        ran = agents.run(first, StopSignal())
        assert (ran.ended_by, ran.result.commit) == ("lease_lost", "")
        assert repository.git.attempt("rev-parse", "--verify", branch).returncode != 0
        ran = agents.run(second, StopSignal())
        assert (ran.ended_by, ran.result.commit) == ("result", repository.git("rev-parse", branch))
