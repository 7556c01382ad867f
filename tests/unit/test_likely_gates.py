"""Gates that are taken for the next job's, too: fewer questions, and nobody passes who should not."""

import pytest
import redis

from routing.accounts.account import Account
from routing.accounts.limit import AccountLimit, LimitKind
from routing.jobs.lifecycle import Claim
from routing.store.jobs.job_store import ClaimRefusal
from routing.store.jobs.reader import JobReader
from routing.templates.version import Snapshot
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs whose records were read for their gate."""
    jobs: list[str] = []
    read = JobReader.gate_facts

    def noted(reader: JobReader, job: str) -> tuple[str, int, str] | None:
        jobs.append(job)
        return read(reader, job)

    monkeypatch.setattr(JobReader, "gate_facts", noted)
    return jobs


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """Two templates with an account each."""
    tables = (Account(name="ours", runtime="claude"), Account(name="theirs", runtime="claude"))
    made = SteppedFleet(redis_client, draws=[0.9] * 20, account=tables)
    for name, account in (("implementer", "ours"), ("reviewer", "theirs")):
        made.app.templates.add(name, Snapshot(runtime="claude", accounts=(account,)))
    return made


def tried(fleet: SteppedFleet, job: str) -> str:
    """The account that a job got, or the word of the refusal."""
    answer = fleet.app.jobs.claim(job, worker="w1", lease_seconds=30)
    return answer.job.account if isinstance(answer, Claim) else answer


def close(fleet: SteppedFleet, account: str, job: str) -> None:
    """An account meets a limit, while a job works with it."""
    met = AccountLimit(kind=LimitKind.USAGE, until=fleet.clock() + 3600, words="enough for today")
    fleet.app.breakers.met(account, "", met, job=job)


def test_jobs_of_one_version_in_a_row_are_not_asked(fleet: SteppedFleet, asked: list[str]) -> None:
    """The first two are; another version's is after it was refused, and the next is asked again."""
    mine = [fleet.enqueue().job for _ in range(5)]
    other = fleet.enqueue("reviewer").job
    assert [tried(fleet, job) for job in mine[:4]] == ["claude:ours"] * 4
    assert asked == mine[:2]
    assert tried(fleet, other) == "claude:theirs"
    assert tried(fleet, mine[4]) == "claude:ours"
    assert asked == [*mine[:2], other, mine[4]]


def test_a_likely_gate_is_as_shut_as_any(fleet: SteppedFleet, asked: list[str]) -> None:
    """What is closed meanwhile holds the job whose record nobody has read."""
    jobs = [fleet.enqueue().job for _ in range(3)]
    for job in jobs[:2]:
        tried(fleet, job)
    close(fleet, "claude:ours", jobs[1])
    assert tried(fleet, jobs[2]) == ClaimRefusal.LIMITED
    assert jobs[2] not in asked


def test_a_job_of_a_trial_is_always_asked(fleet: SteppedFleet, asked: list[str]) -> None:
    """Its version is the same as that of jobs in no trial, and it waits for the other arm, too."""
    pinned = [fleet.enqueue("implementer@v1").job for _ in range(3)]
    canary = fleet.app.templates.propose("implementer", Snapshot(runtime="claude", accounts=("theirs",)))
    fleet.open(canary.version)
    job = fleet.enqueue().job
    for each in pinned:
        assert tried(fleet, each) == "claude:ours"
    close(fleet, "claude:theirs", "another-job")
    assert tried(fleet, job) == ClaimRefusal.LIMITED
    assert "other arm" in fleet.app.jobs.find(job).reason
    assert asked[-1] == job
