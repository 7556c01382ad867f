"""The work tree of an agent that awaits mail: left alone until a turn ends without waiting, then pushed."""

from pathlib import Path

from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.jobs.job import JobRequest
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import Attempts, awaiting
from routing.templates.version import Snapshot
from tasks.agents.mail.letter import Letter
from tasks.agents.turn.stop_signal import StopSignal
from tasks.composition.composition import Coalmine
from tasks.composition.worker import Worker
from tasks.work.outcome import NextStep, outcome
from tests.fleets.post import ADA
from tests.fleets.worker_fleet import fleet
from tests.repositories import new_repository

#: A first attempt, with two to follow.
FIRST = Attempts(used=1, allowed=3)

#: Begins its work and waits; when it is asked again, it ends it.
AGENT = 'if [ -e half.txt ]; then mv half.txt done.txt; else touch half.txt; "$COALMINE_MAIL" await; fi'


def claimed(parts: Coalmine, job: str) -> Claim:
    """Win the job's lease."""
    claim = parts.jobs.claim(job, worker="w1", lease_seconds=60)
    assert isinstance(claim, Claim), claim
    return claim


def test_what_was_begun_is_pushed_when_it_is_ended(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Nothing reaches the remote while the agent waits; its next turn finds what the first one left."""
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
        worker = Worker(coalmine=parts)
        parts.templates.add("implementer", Snapshot(prompt="work", command=AGENT))
        job = parts.mailbox.enqueue(
            JobRequest(template="implementer", task="work", repository="local:shop")
        ).job
        first = claimed(parts, job)
        ran = worker.agents.run(first, StopSignal())
        assert (outcome(ran, FIRST).step, ran.result.commit) == (NextStep.AWAIT, "")
        assert repository.git.attempt("rev-parse", "--verify", f"coalmine/{job}").returncode != 0
        parts.jobs.park(first, awaiting(3600), reason="it awaits mail", result=ran.result)

        letter = Letter.checked(to=f"builder-{job[:8]}", type_="status", subject="go on")
        parts.post_office.send(ADA, letter)
        ran = worker.agents.run(claimed(parts, job), StopSignal())
        worker.turns.mail_server.shut()
        assert outcome(ran, FIRST).step is NextStep.PUSHED
        files = repository.git("ls-tree", "--name-only", ran.result.commit).split()
        assert ("done.txt" in files, "half.txt" in files) == (True, False)
