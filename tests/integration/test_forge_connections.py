"""Sockets of forges and trackers are given back by those who asked: a console asks for years."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from pydantic import SecretStr

from console.decisions.issue_decisions import resume_issue
from console.decisions.job_decisions import retry_job
from routing.forges.github.kind import GitHubConfig
from routing.issues.issue import Issue, IssueRef
from routing.jobs.job import JobState
from routing.trackers.jira.kind import JiraConfig
from tasks.composition.forge_parts import ForgeParts
from tests.fakes.forge_world import TOKEN
from tests.fakes.issues import issue
from tests.fakes.tracker_world import TrackerWorld
from tests.fleets.stepped_fleet import SteppedFleet, fail_attempt
from tests.servers.forge_server import ForgeServer
from tests.servers.jira_server import EMAIL, jira_server
from tests.waiting import wait_until

REF = IssueRef(forge="jira", repo="SHOP", number=12)


@pytest.fixture
def server() -> Iterator[ForgeServer]:
    """A Jira with one issue that waits for a person."""
    world = TrackerWorld()
    world.open_issue(labels=["coalmine", "ready-for-human"])
    made = jira_server(world)
    yield made
    made.stop()


@pytest.fixture
def fleet(fake_redis: redis.Redis, server: ForgeServer) -> SteppedFleet:
    """A fleet that serves that Jira."""
    jira = JiraConfig(
        base_url=server.address, email=EMAIL, token=SecretStr(TOKEN), project="SHOP",
        repository="github:acme/shop", kill_switch=False,
    )  # fmt: skip
    forge = GitHubConfig(token=SecretStr(TOKEN), repositories=("acme/shop",))
    return SteppedFleet(fake_redis, draws=[0.5], forge=(forge,), tracker=(jira,), job={"max_attempts": 1})


def tracked() -> Issue:
    """The issue, as a poll has seen it."""
    return issue(12, ref=REF, labels=("coalmine", "ready-for-human"))


def test_parts_give_back_what_they_have_opened(fleet: SteppedFleet, server: ForgeServer) -> None:
    """Once, and again: what is asked after it opens another one. What was never asked opens none."""
    with closing(ForgeParts(coalmine=fleet.app, run_ci=lambda _: None)):
        pass
    assert server.asked == []
    forges = ForgeParts(coalmine=fleet.app, run_ci=lambda _: None)
    for _ in range(2):
        forges.sources["jira"].forge.read_issue(REF)
        assert len(server.connected) == 1
        forges.close()
        wait_until(lambda: not server.connected, description="the connection is closed", timeout=2)


def test_a_decision_leaves_no_connection(fleet: SteppedFleet, server: ForgeServer) -> None:
    """Each has parts of its own, which end with it."""
    with closing(ForgeParts(coalmine=fleet.app, run_ci=lambda _: None)) as forges:
        forges.backlog.accept(tracked(), requested_by="ann", works_in="github:acme/shop")
    assert resume_issue(fleet.app, REF, by="ada").label_off
    assert server.asked
    wait_until(lambda: not server.connected, description="the connection is closed", timeout=2)


def test_a_retry_leaves_no_connection(fleet: SteppedFleet, server: ForgeServer) -> None:
    """It asks whether the issue is open still."""
    fleet.add()
    job = fleet.enqueue(issue=str(REF), repository="github:acme/shop").job
    assert not fail_attempt(fleet.app.jobs, fleet.claim(job))
    assert retry_job(fleet.app, job, by="ada")[0].state is JobState.QUEUED
    assert server.asked
    wait_until(lambda: not server.connected, description="the connection is closed", timeout=2)
