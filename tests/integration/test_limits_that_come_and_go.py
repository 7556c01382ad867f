"""Fifty jobs, two arms with an account each, and limits that come and go: as if nothing had happened."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import tests.programs.metered_agent
from routing.events import Event
from routing.jobs.job import JobRequest, JobState
from routing.templates.version import Snapshot
from tests.fleets.worker_fleet import fleet
from tests.programs.metered_agent import CALLS
from tests.servers.private_server import private_server
from tests.waiting import wait_until

JOBS = 50

#: No verdict within fifty jobs.
POLICY = '{"share": 0.5, "revert_window_seconds": 0, "delta": 0.01}'


def agent(book: Path, account: str) -> Snapshot:
    """A version whose agents use one account."""
    program = [sys.executable, str(tests.programs.metered_agent.__file__), str(book)]
    return Snapshot(prompt=f"with {account}", command=shlex.join(program), accounts=(account,))


@pytest.mark.long
def test_every_job_is_done_and_both_arms_count_alike(tmp_path: Path) -> None:
    """No attempt is lost, nobody asks a closed account, and one job at a time tries it."""
    book = tmp_path / "book"
    book.mkdir()
    accounts = [{"name": name, "runtime": "command", "environment": {"ACCOUNT": name}} for name in ("a", "b")]
    settings = {
        "COALMINE_ACCOUNT": json.dumps(accounts),
        "COALMINE_CANARY__POLICY": POLICY,
        "COALMINE_SEED": "7",
    }
    with private_server(tmp_path) as server, fleet(tmp_path, server.url, **settings) as made:
        parts = made.coalmine()
        parts.templates.add("agent", agent(book, "a"))
        canary = parts.templates.propose("agent", agent(book, "b")).version
        trial = parts.proposals.open(canary, parts.settings.canary.policy, by="ada").trial
        jobs = [parts.mailbox.enqueue(JobRequest(template="agent", task="work")).job for _ in range(JOBS)]
        made.worker(concurrency=8)
        made.beat()
        wait_until(
            lambda: all(job.state.is_final for job in parts.jobs.newest(most=JOBS)),
            description="every job has ended", timeout=120,
        )  # fmt: skip
        ended = [parts.jobs.find(job) for job in jobs]
        wait_until(
            lambda: all(parts.jobs.find(job).settled_at for job in jobs), description="all are settled"
        )
        parts.harvester.harvest()
        found = parts.trials.find(trial.id)
        evidence = parts.harvester.evidence(found)
        events = list(parts.events.all())
    assert {job.state for job in ended} == {JobState.SUCCEEDED}
    assert {job.attempts for job in ended} == {1}
    for arm in (evidence.champion, evidence.canary):
        assert (arm.settled, arm.excluded, arm.mean) == (arm.dispatched, 0, 1.0)
        assert arm.dispatched > 2 * CALLS
    assert len((book / "book.jsonl").read_text().splitlines()) > JOBS, "limits were met"
    _one_tries_at_a_time(events, {job.id: job.account for job in ended})
    for account in ("command:a", "command:b"):
        heard = [event.kind for event in events if event.data.get("account") == account]
        assert heard == ["account.limited", "account.reopened"] * (len(heard) // 2), "one each"
        assert len(heard) >= 4


def _one_tries_at_a_time(events: Sequence[Event], account_of: Mapping[str, str]) -> None:
    """While an account is closed no job begins on it but one, until that has met the limit or opened it."""
    tried_by: dict[str, str] = {}  # account -> the job that tries it, "" for none; those that are closed
    for event in events:
        match event.kind:
            case "account.limited":
                tried_by[event.data["account"]] = ""
            case "account.reopened":
                del tried_by[event.data["account"]]
            case "job.claimed" if (account := account_of[event.subject]) in tried_by:
                assert not tried_by[account], f"{account} was tried by two"
                tried_by[account] = event.subject
            case "job.limited" if tried_by.get(account_of[event.subject]) == event.subject:
                tried_by[account_of[event.subject]] = ""
