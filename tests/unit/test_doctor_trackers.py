"""`coalmine doctor` on trackers: what keeps issues of Jira and Linear from work, and where to correct it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from console.doctor.trackers import trackers
from routing.store.redis.health import Status
from tasks.settings.settings import Settings
from tests.fakes.forge_world import TOKEN
from tests.fakes.tracker_world import TrackerWorld
from tests.servers.jira_server import EMAIL, jira_server

Examine = Callable[..., dict[str, tuple[Status, str]]]


@pytest.fixture
def world() -> TrackerWorld:
    """The project."""
    return TrackerWorld()


@pytest.fixture
def examine(world: TrackerWorld) -> Iterator[Examine]:
    """Looks at a Jira with these settings; its findings by their checks."""
    server = jira_server(world)
    plain = {
        "kind": "jira", "base_url": server.address, "email": EMAIL, "token": TOKEN, "project": "SHOP",
        "repository": "github:acme/shop", "kill_switch": False,
    }  # fmt: skip
    forge = {"kind": "github", "token": "t", "repositories": ["acme/*"]}

    def found(**changes: Any) -> dict[str, tuple[Status, str]]:
        settings = Settings.model_validate({"forge": [forge], "tracker": [plain | changes]})
        return {one.check: (one.status, f"{one.message}; {one.remedy}") for one in trackers(settings)}

    yield found
    server.stop()


def test_without_a_tracker_it_says_so() -> None:
    """In one line."""
    (finding,) = trackers(Settings())
    assert (finding.check, finding.status) == ("trackers", Status.OK)
    assert finding.message == "Jira Cloud and Linear are not set up"


def test_a_tracker_that_is_right(world: TrackerWorld, examine: Examine) -> None:
    """Each check says what it saw."""
    world.open_issue(labels=["coalmine"])
    found = examine()
    assert {status for status, _ in found.values()} == {Status.OK}
    assert list(found) == ["tracker-jira", "places-jira", "access-jira", "states-jira", "issues-jira"]
    assert found["issues-jira"][1].startswith("1 open issues")


@pytest.mark.parametrize(
    ("changes", "check", "status", "words"),
    [
        ({"project": None}, "tracker-jira", Status.WARNING, "set tracker.jira.project"),
        ({"kill_switch": True}, "tracker-jira", Status.WARNING, "kill_switch = false"),
        ({"enabled": False}, "tracker-jira", Status.WARNING, "enabled = true"),
        ({"label": ""}, "tracker-jira", Status.WARNING, "every open issue"),
        ({"repository": None}, "places-jira", Status.WARNING, "all issues wait for a person"),
        ({"repository": "github:other/shop"}, "places-jira", Status.PROBLEM, "serves github:other/shop"),
        ({"repository": "corp:acme/shop"}, "places-jira", Status.PROBLEM, "serves corp:acme/shop"),
        ({"token": "old"}, "access-jira", Status.PROBLEM, "give tracker.jira.token a valid one"),
        ({"project": "NOPE"}, "access-jira", Status.PROBLEM, "no project NOPE"),
        ({"states": {"done": "Fertig"}}, "states-jira", Status.PROBLEM, "no state called Fertig"),
        ({"filter": "priorty = x"}, "issues-jira", Status.PROBLEM, "and the filter if it has one"),
        ({"base_url": "http://127.0.0.1:9"}, "access-jira", Status.PROBLEM, "does not answer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_setting(
    examine: Examine, changes: dict[str, Any], check: str, status: Status, words: str
) -> None:
    """One finding each, and no traceback."""
    found = examine(**changes)
    assert found[check][0] is status
    assert words in found[check][1]


@pytest.mark.parametrize("lacks", ["EDIT_ISSUES", "ADMINISTER_PROJECTS"])
def test_a_right_that_is_missing_is_named(world: TrackerWorld, examine: Examine, lacks: str) -> None:
    """As Jira names it."""
    world.lacks.add(lacks)
    status, said = examine()["access-jira"]
    assert status is Status.PROBLEM
    assert lacks.replace("_", " ").capitalize() in said
