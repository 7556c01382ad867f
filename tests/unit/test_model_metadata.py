"""A model fills gaps over HTTP; its answers are remembered, its failures are not, and neither is obeyed."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
import requests

from routing.backlog.item import BacklogState
from routing.issues.issue import Issue
from routing.issues.metadata import PARTS, IssueMetadata, read_metadata
from routing.issues.model_reader import (
    FAILURES_TO_OPEN,
    MAX_ANSWER_BYTES,
    OPEN_SECONDS,
    ModelReader,
)
from routing.issues.model_settings import ModelSettings
from routing.store.backlog.metadata_store import MetadataStore
from routing.store.redis.keys import Keys
from tasks.settings.issue_settings import IssueSettings
from tests.fakes.issues import issue, ref
from tests.fleets.forge_fleet import ForgeFleet
from tests.leaks import leaks

BODY = "Make the cart fast once #3 is in.\n\n## Difficulty\nhard"


def saying(**said: Any) -> bytes:
    """A message in which the model uses its tool."""
    use = {"type": "tool_use", "id": "t1", "name": "record_metadata", "input": said}
    return json.dumps({"type": "message", "content": [{"type": "text", "text": "so"}, use]}).encode()


class ModelServer(ThreadingHTTPServer):
    """A model that says what a test tells it to, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ModelHandler)
        self.status = 200
        self.answer = saying(blocked_by=["#3"], estimated_context=1234)
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _ModelHandler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_POST(self) -> None:
        """Give the prepared answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, body))
        self.send_response(self.server.status)
        self.send_header("location", f"{self.server.url}/elsewhere")
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model on this machine."""
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that asks no proxy."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


class ModelBench:
    """A reader with its model and its memory."""

    def __init__(self, model: ModelServer, session: requests.Session, client: redis.Redis) -> None:
        self.redis = client
        self.session = session
        self.settings = ModelSettings.model_validate(
            {"enabled": "on", "url": model.url, "api_key": "sk-1", "timeout_seconds": 5}
        )

    def fill(self, one: Issue, **settings: Any) -> IssueMetadata:
        """Read an issue and let the model fill its gaps."""
        return self.reader(time.monotonic, **settings).fill(one, read_metadata(one))

    def reader(self, clock: Callable[[], float], **settings: Any) -> ModelReader:
        """A reader with these settings and this clock."""
        return ModelReader(
            self.settings.model_copy(update=settings),
            session=self.session,
            cache=MetadataStore(self.redis, Keys()),
            clock=clock,
        )


@pytest.fixture
def bench(model: ModelServer, session: requests.Session, redis_client: redis.Redis) -> ModelBench:
    """A reader that is switched on."""
    return ModelBench(model, session, redis_client)


def test_gaps_are_filled_and_what_is_known_stays(bench: ModelBench, model: ModelServer) -> None:
    """The body's own words win; the source says which part is whose."""
    model.answer = saying(blocked_by=["#3"], estimated_context=1234, difficulty="easy")
    known = bench.fill(issue(1, BODY))
    assert (known.difficulty, known.estimated_context, known.blocked_by) == ("hard", 1234, (ref(3),))
    assert known.metadata_source["difficulty"] == "body"
    assert known.metadata_source["blocked_by"] == "model"
    assert known.metadata_source["blocks"] == "default"


def test_question_has_the_agreed_shape(bench: ModelBench, model: ModelServer) -> None:
    """Path, headers and body are those of the Messages API, with the tool that the model must use."""
    bench.fill(issue(1, BODY))
    ((path, headers, body),) = model.asked
    assert path == "/v1/messages"
    assert headers["x-api-key"] == "sk-1"
    assert headers["anthropic-version"] == "2023-06-01"
    assert body["model"] == bench.settings.model
    assert body["max_tokens"] == 1024
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][0]["name"]}
    assert BODY in body["messages"][0]["content"]


def test_off_by_default_and_nothing_to_ask(bench: ModelBench, model: ModelServer) -> None:
    """Switched off, and for a body that is empty or leaves no gap, no question is asked."""
    assert ModelSettings().enabled is False
    bench.fill(issue(1, BODY), enabled=False)
    bench.fill(issue(1, " "))
    bench.fill(issue(1, "Blocked by: None\nBlocks: None\nTotal estimated: 5 tokens\n\nDifficulty: easy"))
    assert model.asked == []


def test_a_new_part_is_asked_about_although_an_answer_is_remembered(
    bench: ModelBench, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer from before the part existed says nothing about it."""
    asked = {name: part.answer for name, part in PARTS.items() if part.answer is not None}
    with monkeypatch.context() as before:
        before.delitem(asked, "estimated_context")
        before.setattr("routing.issues.model_reader._ASKED", asked)
        bench.fill(issue(1, BODY))
    assert bench.fill(issue(1, BODY)).source("estimated_context") == "model"
    assert len(model.asked) == 2


def test_answer_is_remembered_by_body_and_model(bench: ModelBench, model: ModelServer) -> None:
    """The same body is asked about once, another body or model anew; what is remembered expires."""
    first = bench.fill(issue(1, BODY))
    assert bench.fill(issue(1, BODY)) == first
    assert len(model.asked) == 1
    bench.fill(issue(1, BODY + "!"))
    bench.fill(issue(1, BODY), model="another")
    assert len(model.asked) == 3
    assert leaks(bench.redis, Keys()) == []


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, b"{}"),
        (401, b"{}"),
        (307, b""),
        (200, b"no json"),
        (200, b"[]"),
        (200, json.dumps({"content": [{"type": "text", "text": "blocked by #3"}]}).encode()),
        (200, saying(estimated_context=-1)),
        (200, saying(difficulty="hard", command="reboot")),
        (200, saying() + b" " * MAX_ANSWER_BYTES),
    ],
    ids=["500", "401", "redirect", "text", "list", "no tool", "range", "extra", "long"],
)
def test_failure_leaves_the_defaults_and_is_not_remembered(
    bench: ModelBench, model: ModelServer, status: int, answer: bytes
) -> None:
    """The parser's reading stands, and the next time is asked again."""
    good, model.answer, model.status = model.answer, answer, status
    one = issue(1, BODY)
    assert bench.fill(one) == read_metadata(one)
    assert len(model.asked) == 1
    assert bench.redis.keys() == []
    model.answer, model.status = good, 200
    assert bench.fill(one).estimated_context == 1234


def test_server_that_is_not_there_is_a_failure(bench: ModelBench) -> None:
    """A refused connection is not an answer, and nothing is raised."""
    one = issue(1, BODY)
    assert bench.fill(one, url="http://127.0.0.1:9") == read_metadata(one)


def test_answer_that_drips_ends_in_time(bench: ModelBench, model: ModelServer) -> None:
    """Each byte comes soon enough, the whole does not: ticks wait for it."""
    seconds = itertools.count(step=2)
    model.answer = saying(estimated_context=1234) + b" " * 200_000
    reader = bench.reader(lambda: float(next(seconds)), timeout_seconds=3)
    one = issue(1, BODY)
    assert reader.fill(one, read_metadata(one)) == read_metadata(one)


@pytest.mark.parametrize("status", [500, 429, 401])
def test_model_that_fails_is_left_alone_for_a_while(
    bench: ModelBench, model: ModelServer, status: int
) -> None:
    """Many issues in one tick do not each wait for it; a minute later it is asked once more, then again."""
    now = [0.0]
    reader = bench.reader(lambda: now[0])
    model.status = status

    def ask() -> bool:
        one = issue(1, BODY)
        return reader.fill(one, read_metadata(one)) != read_metadata(one)

    for _ in range(10):
        assert not ask()
    assert len(model.asked) == FAILURES_TO_OPEN
    now[0] += OPEN_SECONDS
    assert not ask()
    assert not ask()
    assert len(model.asked) == FAILURES_TO_OPEN + 1
    model.status = 200
    now[0] += OPEN_SECONDS
    assert ask()


def test_body_that_the_model_refuses_hides_no_other(bench: ModelBench, model: ModelServer) -> None:
    """A question that makes no sense to it says nothing of the next one."""
    reader = bench.reader(lambda: 0.0)
    model.status = 400
    for number in range(1, 4):
        one = issue(number, BODY)
        assert reader.fill(one, read_metadata(one)) == read_metadata(one)
    assert len(model.asked) == 3


def test_model_that_is_switched_on_is_asked_by_the_fleet(
    model: ModelServer, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blocker that only the model reads holds its issue back; once the model is off, nobody asks it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    on = {"enabled": "on", "url": model.url, "api_key": "sk-1"}
    body = "Wants the schema, which is made in #3."
    for enabled, state in (("on", BacklogState.BLOCKED), ("off", BacklogState.READY)):
        redis_client.flushall()
        settings = IssueSettings(model=ModelSettings.model_validate(on | {"enabled": enabled}))
        fleet = ForgeFleet(redis_client, settings=settings, enabled=False)
        fleet.forge.person_opens(3)
        blocked = fleet.forge.person_opens(5, body)
        fleet.poll()
        assert fleet.item(blocked).state is state
        fleet.stop()
    assert len(model.asked) == 2


def test_model_cannot_make_up_issues(bench: ModelBench, model: ModelServer) -> None:
    """It may only name those that the body names."""
    model.answer = saying(blocked_by=["#3", "#4", "other/repo#3", "$(reboot)"], blocks=["#9"])
    known = bench.fill(issue(1, BODY))
    assert known.blocked_by == (ref(3),)
    assert known.blocks == ()


def test_remembered_answer_that_is_broken_is_asked_for_again(bench: ModelBench, model: ModelServer) -> None:
    """What stands in the memory is checked like any answer."""
    first = bench.fill(issue(1, BODY))
    for key in bench.redis.scan_iter():
        bench.redis.set(key, '{"difficulty": "purple"}', ex=60)
    assert bench.fill(issue(1, BODY)) == first
    assert len(model.asked) == 2


def test_hold_stays(bench: ModelBench) -> None:
    """A body that the parser did not get through waits for a person, whatever a model says."""
    assert bench.fill(issue(1, "- " * 40 + "depends on #3")).held
