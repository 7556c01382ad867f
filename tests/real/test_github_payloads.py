"""Every payload that GitHub publishes as an example, at the door."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from console.web.app import web_of
from tasks.composition.composition import compose
from tasks.settings.settings import Settings
from tests.fakes.deliveries import forges, sent
from tests.servers.web_client import WebClient

#: Where GitHub's own octocat works, in these payloads.
REPOSITORIES = ("Codertocat/Hello-World", "octo-org/octo-repo")


@pytest.fixture(scope="session")
def examples() -> list[tuple[str, dict[str, Any]]]:
    """Event and body of each example, of GitHub and of its Enterprise Server."""
    installed = Path(os.environ.get("REAL_PROGRAMS", ".real")) / "node_modules/@octokit/webhooks-examples"
    files = sorted(installed.glob("*/index.json"))
    if not files:
        pytest.fail(f"no examples are in {installed}; run tests/real/install.sh first")
    documents = [event for file in files for event in json.loads(file.read_text(encoding="utf-8"))]
    return [(event["name"], body) for event in documents for body in event["examples"]]


#: Events that are taken, by what is looked at then; the examples' pull requests are none of ours.
ABOUT_ISSUES = {"issues", "issue_comment"}
ABOUT_WORK = {"push"}


@pytest.fixture
def door() -> Iterator[WebClient]:
    """A door that hears of the examples' repositories."""
    with fakeredis.FakeRedis(decode_responses=True, server=fakeredis.FakeServer()) as client:
        given = forges(repositories=REPOSITORIES)
        yield WebClient(web_of(compose(Settings(forge=given), redis=client)))


def test_every_published_payload_is_answered(
    door: WebClient, examples: list[tuple[str, dict[str, Any]]]
) -> None:
    """200 each: accepted, a duplicate, or ignored with a reason; those about issues are understood."""
    counted: Counter[str] = Counter()
    for number, (event, body) in enumerate(examples):
        request = sent("github", body, event=event, delivery=str(number))
        answer = door.post("/webhook/github", request.body, request.headers)
        assert answer.status_code == 200, (event, body.get("action"), answer.text)
        said = answer.json()
        assert said["status"] != "ignored" or said["reason"]
        counted[f"{event} {said['status']}"] += 1
        if said["status"] == "success" and event in ABOUT_ISSUES:
            assert said["issue_number"] == body["issue"]["number"]
            assert said["action"] == body["action"]
    assert sum(counted.values()) >= 329
    assert counted["issues success"] > 10
    assert counted["issue_comment success"] > 1
    assert counted["ping ignored"] > 0
    accepted = {name.split()[0] for name in counted if name.endswith("success")}
    assert accepted == ABOUT_ISSUES | ABOUT_WORK


def test_payloads_without_their_event_are_not_our_fault(
    door: WebClient, examples: list[tuple[str, dict[str, Any]]]
) -> None:
    """Without the header the body must be that of an issue, or the field that is missing is named."""
    for event, body in examples:
        request = sent("github", body, event="")
        answer = door.post("/webhook/github", request.body, request.headers)
        assert answer.status_code in {200, 422}, (event, answer.text)
        assert answer.status_code == 200 or answer.json()["detail"][0]["loc"][0] == "body"
