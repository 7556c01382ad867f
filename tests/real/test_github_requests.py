"""What we send to GitHub, and what the suite's own GitHub answers, against GitHub's own description."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from routing.forges.github.kind import GitHubConfig, github_forge
from routing.http.connection import Surroundings
from routing.issues.issue import IssueRef
from tests.fakes.forge_world import TOKEN, ForgeWorld
from tests.real.github_description import Description, github_description
from tests.repositories import new_repository
from tests.servers.forge_server import Answer, AskedRequest, ForgeServer
from tests.servers.github_server import github_server

BRANCH = "coalmine/0123456789abcdef"


@pytest.fixture(scope="session")
def description() -> Description:
    """GitHub's own."""
    return github_description()


@pytest.fixture
def played(tmp_path: Path) -> Iterator[ForgeServer]:
    """A server that was asked everything that the adapter can ask."""
    world = ForgeWorld(new_repository(tmp_path, bare=True))
    server = github_server(world)
    settings = GitHubConfig(base_url=server.address, token=SecretStr(TOKEN), merge="green")
    forge = github_forge(settings, Surroundings(generator=random.Random(3), sleep=lambda _seconds: None))
    blocker = world.open_issue("First", "text")
    issue = world.open_issue("Slow", "text", labels=["agent"], blocked_by=[blocker.number])
    ref = IssueRef(forge="github", repo=world.repo, number=issue.number)
    forge.access(world.repo)
    forge.list_issues(world.repo, "agent")
    forge.edit_comment(ref, forge.comment(ref, "On it").id, "Done")
    forge.read_issue(ref)
    forge.add_label(ref, "ready-for-human")
    forge.remove_label(ref, "ready-for-human")
    forge.assign(ref, "ann")
    world.unassign(issue, "ann")
    world.assign(issue, "coalmine")
    forge.requested_by(ref, "agent")
    forge.requested_by(ref, None)
    forge.dependencies(ref)
    forge.permission(world.repo, "ann")
    head = world.repository.work(BRANCH, {"new.txt": "new\n"})
    world.say(head, "ci/build", "success")
    world.run_check(head, "build", "success")
    note = {
        "path": "cart.py",
        "start_line": 7,
        "annotation_level": "failure",
        "message": "bad",
        "title": None,
    }
    red = world.repository.tip()
    world.say(red, "ci/lint", "failure", description="3 lines", url="https://ci.test/1")
    world.run_check(red, "unit", "failure", text="It broke.", notes=[note])
    forge.failing_log(world.repo, red, most_characters=1000)
    forge.contains(world.repo, head)
    forge.contains(world.repo, red)
    change = forge.open_change(world.repo, BRANCH, title="Fast", body="It was slow.")
    pull = world.pull_of(BRANCH)
    world.review(pull, "CHANGES_REQUESTED", body="Not yet.", remarks=[("cart.py", 7, "Why?")])
    world.review(pull, "CHANGES_REQUESTED", body="Nor so.")
    for feedback in forge.feedback(change):
        forge.answer(change, feedback, "Done.")
    forge.repositories_of("acme")
    merged = forge.merge(change, issue=ref)
    forge.reviews(merged)
    forge.reverts_of(world.repo, merged.merge_commit)
    forge.requests_of(world.repo, merged.merge_commit)
    forge.close(ref)
    yield server
    forge.close_connections()
    server.stop()


def test_no_request_is_foreign_to_github(description: Description, played: ForgeServer) -> None:
    """Each is a described operation, with parameters and members that it knows, and those that it needs."""
    assert [wrong for asked in played.asked for wrong in description.foreign(asked)] == []
    assert len({description.operation(asked)["operationId"] for asked in played.asked}) >= 25


def test_our_own_github_answers_as_described(description: Description, played: ForgeServer) -> None:
    """The suite's server says nothing that the real one has no word for, so its tests prove something."""
    for asked, answer in played.answered:
        assert _described(description, asked, answer) == [], asked.path


def _described(description: Description, asked: AskedRequest, answer: Answer) -> list[str]:
    responses = description.operation(asked)["responses"]
    response = description.resolved(responses[str(answer.status)])
    content = response.get("content", {}).get("application/json", {})
    return list(description.wrong(answer.value, content.get("schema", {}), asked.path))
