"""What we send to GitHub, and what the suite's own GitHub answers, against GitHub's own description."""

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from routing.forges.forge_client import Surroundings
from routing.forges.github import GitHubSettings, github_forge
from routing.issue import IssueRef
from tests.forge_server import Answer, Asked, ForgeServer
from tests.forge_world import TOKEN, ForgeWorld
from tests.github_server import github_server
from tests.repositories import new_repository

BRANCH = "coalmine/0123456789abcdef"


class Description:
    """GitHub's OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def resolved(self, value: Any) -> Any:
        """What a reference refers to."""
        while isinstance(value, dict) and "$ref" in value:
            found: Any = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def operation(self, asked: Asked) -> dict[str, Any]:
        """The operation that a request is."""
        path = asked.path
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and asked.method.lower() in operations:
                found: dict[str, Any] = operations[asked.method.lower()]
                return found
        message = f"GitHub describes no {asked.method} {path}"
        raise AssertionError(message)

    def wrong(self, value: Any, schema: Any, where: str) -> Iterator[str]:
        """Where a value has a member or a word that the schema does not know, or lacks one that it needs."""
        known = [self.resolved(one) for one in self._branches(schema)]
        words = [word for one in known for word in one.get("enum", ())]
        if words and value is not None and not isinstance(value, dict | list) and value not in words:
            yield f"{where}: {value!r} is none of {words}"
        if isinstance(value, list):
            items = [one["items"] for one in known if "items" in one]
            for item in value if items else []:
                yield from self.wrong(item, {"anyOf": items}, f"{where}[]")
        members: dict[str, list[Any]] = {}
        for one in known:
            for name, member in one.get("properties", {}).items():
                members.setdefault(name, []).append(member)
        if isinstance(value, dict) and members:
            for name, member in value.items():
                if name in members:
                    yield from self.wrong(member, {"anyOf": members[name]}, f"{where}.{name}")
                else:
                    yield f"{where}.{name} is not known"

    def _branches(self, schema: Any) -> list[Any]:
        schema = self.resolved(schema)
        found = [schema]
        for word in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(word, ()):
                found += self._branches(one)
        return found


@pytest.fixture(scope="session")
def description() -> Description:
    """GitHub's own."""
    package = Path(os.environ.get("REAL_PROGRAMS", ".real")) / "node_modules/@octokit/openapi"
    file = package / "generated" / "api.github.com.json"
    if not file.exists():
        pytest.fail(f"GitHub's description is not at {file}; run tests/real/install.sh first")
    return Description(json.loads(file.read_text(encoding="utf-8")))


@pytest.fixture
def played(tmp_path: Path) -> Iterator[ForgeServer]:
    """A server that was asked everything that the adapter can ask."""
    world = ForgeWorld(new_repository(tmp_path, bare=True))
    server = github_server(world)
    settings = GitHubSettings(base_url=server.address, token=SecretStr(TOKEN), merge="green")
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
    merged = forge.merge(change, issue=ref)
    forge.reviews(merged)
    forge.reverts_of(world.repo, merged.merge_commit)
    forge.close(ref)
    yield server
    forge.close_connections()
    server.stop()


def test_no_request_is_foreign_to_github(description: Description, played: ForgeServer) -> None:
    """Each is a described operation, with parameters and members that it knows, and those that it needs."""
    operations = set()
    for asked in played.asked:
        operation = description.operation(asked)
        operations.add(operation["operationId"])
        parameters = [description.resolved(one) for one in operation.get("parameters", ())]
        query = {one["name"]: one for one in parameters if one["in"] == "query"}
        assert set(asked.query) <= set(query), (asked.path, asked.query)
        for name, value in asked.query.items():
            words = query[name]["schema"].get("enum")
            assert words is None or value in words, (asked.path, name, value)
        body = operation.get("requestBody")
        assert (asked.body is None) or body, asked.path
        if body:
            schema = body["content"]["application/json"]["schema"]
            assert not list(description.wrong(asked.body, schema, asked.path))
            assert set(description.resolved(schema).get("required", ())) <= set(asked.body), asked.path
    assert len(operations) >= 25


def test_our_own_github_answers_as_described(description: Description, played: ForgeServer) -> None:
    """The suite's server says nothing that the real one has no word for, so its tests prove something."""
    for asked, answer in played.answered:
        assert _described(description, asked, answer) == [], asked.path


def _described(description: Description, asked: Asked, answer: Answer) -> list[str]:
    responses = description.operation(asked)["responses"]
    response = description.resolved(responses[str(answer.status)])
    content = response.get("content", {}).get("application/json", {})
    return list(description.wrong(answer.value, content.get("schema", {}), asked.path))
