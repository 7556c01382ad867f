"""What each process of a race does; importable by the processes that are started for it."""

from multiprocessing.synchronize import Barrier

from routing.jobs.job import JobRequest
from tests.fleets.stepped_fleet import ScriptedGenerator, SteppedFleet
from tests.servers.private_server import plain_client

#: Longest that a racer waits for the others at the line, in seconds.
LINE_SECONDS = 60.0


def harvest(url: str, line: Barrier) -> list[str]:
    """Harvest at the same moment as the others; returns the verdicts that this process carried out."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client)
        client.ping()
        line.wait(LINE_SECONDS)
        return [outcome.verdict.value for outcome in fleet.app.harvester.harvest().outcomes]


def enqueue(url: str, line: Barrier, draw: float) -> tuple[str, bool]:
    """Enqueue the same request at the same moment as the others; returns the job and whether it is new."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client, generator=ScriptedGenerator([draw]))
        client.ping()
        line.wait(LINE_SECONDS)
        request = JobRequest(template="implementer", task="fix the roof", idempotency_key="issue-7")
        done = fleet.app.mailbox.enqueue(request)
        return done.job, done.created


def claim(url: str, line: Barrier, job: str) -> bool:
    """Claim the same job at the same moment as the others; returns whether it was won."""
    with plain_client(url) as client:
        fleet = SteppedFleet(client)
        client.ping()
        line.wait(LINE_SECONDS)
        return not isinstance(fleet.app.jobs.claim(job, worker="w", lease_seconds=30.0), str)
