"""`/api/v1`: the same documents as the command line's, by pages, with tags and with errors of one form."""

import json
from typing import Any

import httpx
import pytest
import redis
from typer.testing import CliRunner

from console.cli import app
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from routing.store.jobs.job_page import JobFilter, read_page
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet on trial with a settled job of each arm, one that runs and one that waits."""
    made = SteppedFleet(redis_client, draws=[0.1, 0.9, 0.1, 0.9, *[0.9] * 600])
    made.on_trial()
    made.end(made.enqueue(issue="local:shop#1").job)
    made.end(made.enqueue(issue="local:shop#2").job, SignalKind.AGENT_ERRORED)
    made.claim(made.enqueue(issue="local:shop#3", title="The third").job)
    made.enqueue(issue="local:shop#4")
    made.app.harvester.harvest()
    return made


def asked(fleet: SteppedFleet, path: str, **headers: str) -> httpx.Response:
    """The answer to a GET below `/api/v1`."""
    return fleet.web.get(f"/api/v1{path}", **headers)


def answered(fleet: SteppedFleet, path: str) -> dict[str, Any]:
    """The document of a path, which must be there."""
    answer = asked(fleet, path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_api_says_what_the_command_line_says(
    fleet: SteppedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key for key: both call the same reader."""
    monkeypatch.setattr("tasks.composition.composition.compose", lambda *_, **__: fleet.app)
    monkeypatch.setattr("tasks.logs.configure_logs", lambda _: None)
    job = fleet.app.jobs.newest(most=1)[0].id
    pairs = {
        "/templates": ["template", "list"],
        "/templates/implementer": ["template", "show", "implementer"],
        "/versions/implementer@v2": ["template", "show", "implementer@v2"],
        "/versions/implementer@v2/diff": ["template", "diff", "implementer@v2"],
        "/trials": ["trial", "list"],
        "/trials/implementer/explanation": ["trial", "explain", "implementer"],
        f"/jobs/{job}": ["job", "show", job],
        "/accounts": ["account", "list"],
    }
    for path, command in pairs.items():
        printed = CliRunner().invoke(app, ["--redis-url", "redis://127.0.0.1:1/0", *command, "--json"])
        assert printed.exit_code == 0, printed.output
        assert answered(fleet, path) == json.loads(printed.stdout), path


def test_jobs_come_by_pages(fleet: SteppedFleet) -> None:
    """`next` is given back as `after`; jobs of the same moment are neither left out nor shown twice."""
    for number in range(9):
        fleet.enqueue(issue=f"local:shop#{10 + number}")
    everything = [job.id for job in fleet.app.jobs.newest(most=100)]
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = answered(fleet, f"/jobs?limit=4&after={after}")
        found += [job["id"] for job in page["jobs"]]
        after = page["next"]
    assert found == everything
    assert len(everything) == 13
    running = answered(fleet, "/jobs?state=running")["jobs"]
    assert [job["request"]["title"] for job in running] == ["The third"]


def test_a_page_looks_at_so_many_jobs(fleet: SteppedFleet) -> None:
    """However rare what is asked for is: a page without any leads on to the next, and all are found."""
    for number in range(9):
        fleet.enqueue(issue=f"local:shop#{10 + number}")
    only = JobFilter(states=frozenset([JobState.RUNNING]))
    pages, start = [], 0
    while True:
        page = read_page(fleet.app.job_store, start, most=2, only=only, looked_at=5)
        pages.append([job.request.title for job in page.jobs])
        if not page.next:
            break
        start = fleet.app.job_store.place_after(page.next) or 0
    assert sorted(pages) == [[], [], ["The third"]]
    document = answered(fleet, "/jobs?state=running&limit=1")
    assert [job["request"]["title"] for job in document["jobs"]] == ["The third"]


def test_a_page_after_a_job_that_is_gone_is_an_error(fleet: SteppedFleet) -> None:
    """Rather than a first page that looks like the next one."""
    answer = asked(fleet, "/jobs?after=0123456789abcdef")
    assert answer.status_code == 404


def test_an_answer_that_is_known_is_not_sent_again(fleet: SteppedFleet) -> None:
    """By its ETag; when something changed it is sent whole."""
    first = asked(fleet, "/jobs")
    again = fleet.web.request("GET", "/api/v1/jobs", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    fleet.enqueue(issue="local:shop#9")
    changed = fleet.web.request("GET", "/api/v1/jobs", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_every_answer_has_an_etag(fleet: SteppedFleet) -> None:
    """Of every path without a thing in it: none is sent again for nothing."""
    client = fleet.web
    paths = [path for path, does in client.get("/openapi.json").json()["paths"].items() if "get" in does]
    lists = [
        path for path in paths if path.startswith("/api/v1/") and "{" not in path and path != "/api/v1/issue"
    ]
    assert len(lists) > 12
    assert [path for path in lists if not client.get(path).headers.get("ETag")] == []


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/jobs/0123456789abcdef", 404, "no job has the id"),
        ("/jobs/nope", 422, "16 hex digits"),
        ("/jobs?limit=0", 422, "greater than"),
        ("/jobs?state=sleeping", 422, "Input should be"),
        ("/templates/nobody", 404, "nobody"),
        ("/versions/implementer@v9", 404, "implementer"),
        ("/trials/nobody-t1", 404, "nobody-t1"),
        ("/issue?ref=nonsense", 422, "FORGE:REPOSITORY#NUMBER"),
        ("/issue?ref=local:shop%2377", 404, "not in the backlog"),
        ("/events?after=x", 422, "pattern"),
        ("/events?after=%D9%A1-%D9%A1", 422, "pattern"),  # digits, but not those of ASCII
        ("/events?after=99999999999999999999-0", 422, "pattern"),  # more than an id can be
    ],
)
def test_errors_are_problems(fleet: SteppedFleet, path: str, status: int, says: str) -> None:
    """problem+json, with what is wrong in words."""
    answer = asked(fleet, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in json.dumps(answer.json()["detail"])
    assert answer.json()["status"] == status


def test_events_can_be_followed(fleet: SteppedFleet) -> None:
    """From one `next` to the other, all of them once; a kind that is not asked for moves on as well."""
    seen: list[str] = []
    place = "0-0"
    while page := answered(fleet, f"/events?after={place}&limit=3&kind=job.*"):
        seen += [event["id"] for event in page["events"]]
        if page["next"] == place:
            break
        place = page["next"]
    assert seen == [event.id for event in fleet.app.events.all() if event.kind.startswith("job.")]


def test_every_path_is_described(fleet: SteppedFleet) -> None:
    """OpenAPI has each with its errors, and no page for people."""
    paths = fleet.web.get("/openapi.json").json()["paths"]
    ours = {path: each["get"] for path, each in paths.items() if path.startswith("/api/v1") and "get" in each}
    assert len(ours) >= 14
    for path, each in ours.items():
        assert each["summary"], path
        assert {"404", "422", "503"} <= set(each["responses"]), path
    assert "/jobs/{job}" not in paths


def test_asking_changes_nothing(fleet: SteppedFleet) -> None:
    """However often."""
    before = fleet.everything()
    for path in ("/status", "/trials/implementer", "/jobs", "/issues", "/accounts", "/events"):
        answered(fleet, path)
    assert fleet.everything() == before
