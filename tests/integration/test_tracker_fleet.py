"""An issue of Jira from its label to its end: real workers, beat and git, and the suite's own Jira.

The work goes to a repository of the local forge, whose CI judges it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from routing.embedded.private_server import PrivateServer
from routing.issues.issue import IssueRef
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.trackers.jira.document import as_markdown
from tests.fakes.forge_world import OWN_LOGIN, TOKEN
from tests.fakes.tracker_world import TrackedIssue, TrackerWorld
from tests.fleets.shop import ShopFleet, shop
from tests.servers.forge_server import ForgeServer
from tests.servers.jira_server import EMAIL, jira_server
from tests.servers.private_server import plain_client
from tests.waiting import wait_until

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("tracker-fleet")

#: An agent that does as the issue says; one whose issue says so waits until it is ended.
AGENT = 'grep -q "Take your time" "$COALMINE_PROMPT_FILE" && exec sleep 600; echo done > done.txt'


@pytest.fixture(scope="module")
def world() -> TrackerWorld:
    """The project."""
    return TrackerWorld()


@pytest.fixture(scope="module")
def server(world: TrackerWorld) -> Iterator[ForgeServer]:
    """Its Jira."""
    made = jira_server(world)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, redis_server: PrivateServer, server: ForgeServer
) -> Iterator[ShopFleet]:
    """A fleet that takes issues from it."""
    with plain_client(redis_server.url) as client:
        client.flushall()
    settings = {
        "BASE_URL": server.address,
        "EMAIL": EMAIL,
        "TOKEN": TOKEN,
        "PROJECT": "SHOP",
        "REPOSITORY": "local:shop",
        "KILL_SWITCH": "off",
        "POLL_INTERVAL_SECONDS": "0.5",
    }
    variables = {f"COALMINE_TRACKER__JIRA__{name}": value for name, value in settings.items()}
    folder: Path = tmp_path_factory.mktemp("jira")
    with shop(folder, redis_server.url, AGENT, variables=variables) as made:
        yield made


@pytest.mark.long
def test_an_issue_goes_from_its_label_to_done(
    world: TrackerWorld, server: ForgeServer, fleet: ShopFleet
) -> None:
    """Taken in by a look, worked on by an agent, judged by CI, merged; Jira shows each step and the end."""
    issue = world.open_issue("Finish it", "The file done.txt is missing.", labels=["coalmine"])
    job = fleet.until(JobState.SUCCEEDED)
    assert (job.request.issue, job.request.repository) == ("jira:SHOP#12", "local:shop")
    wait_until(lambda: issue.state == "Done", description="the issue is done", timeout=30)
    wait_until(lambda: "Done — issue closed" in said(issue), description="the checklist says so")
    assert issue.labels == ["coalmine"]
    assert fleet.repository.git("show", "main:done.txt") == "done"
    log = fleet.repository.git("log", "--format=%B", "main")
    assert "Finish it" in log
    assert SignalKind.MERGED in {fact.kind for fact in fleet.parts.signals.read(job.id)}
    assert fleet.until_scored(job) == 1.0
    refused = [answer.value for _, answer in server.answered if answer.status >= 400]
    assert refused == []


@pytest.mark.long
def test_a_label_that_is_taken_off_ends_the_agent(world: TrackerWorld, fleet: ShopFleet) -> None:
    """Within a look, while it runs; nothing is pushed."""
    issue = world.open_issue("Finish it", "Take your time.", labels=["coalmine"])
    reference = str(IssueRef(forge="jira", repo="SHOP", number=issue.number))

    def job_state() -> JobState | None:
        jobs = [one for one in fleet.parts.jobs.newest(most=10) if one.request.issue == reference]
        return jobs[0].state if jobs else None

    wait_until(lambda: job_state() is JobState.RUNNING, description="the agent is at work", timeout=30)
    wait_until(lambda: issue.state == "In Progress", description="the issue shows it")
    world.relabel(issue, [label for label in issue.labels if label != "coalmine"])
    wait_until(lambda: job_state() is JobState.CANCELLED, description="the job has ended", timeout=30)
    wait_until(lambda: issue.labels == [], description="its label is gone", timeout=30)
    assert issue.state == "In Progress"
    (branch,) = {one.branch for one in fleet.parts.jobs.newest(most=10) if one.request.issue == reference}
    assert fleet.repository.git("for-each-ref", f"refs/heads/{branch}") == ""


def said(issue: TrackedIssue) -> str:
    """Our comments on an issue."""
    return "\n".join(as_markdown(one.body) for one in issue.comments if one.author == OWN_LOGIN)
