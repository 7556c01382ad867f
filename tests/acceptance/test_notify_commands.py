"""`coalmine notify …`: trying out sinks, and what they did not take."""

import json
from collections.abc import Iterator

import pytest

from routing.store.events.notice_store import SinkProgress
from tests.programs.command_line import CommandLine
from tests.servers.sink_server import SinkServer, Word, sink_server

DEAD = "1700000000000-0:needs-human"


@pytest.fixture
def server() -> Iterator[SinkServer]:
    """A receiver."""
    with sink_server() as made:
        yield made


def sinks(server: SinkServer, **more: str) -> dict[str, str]:
    """Variables of a webhook and a channel."""
    return {
        "COALMINE_NOTIFY__WEBHOOK__URL": server.address,
        "COALMINE_NOTIFY__WEBHOOK__SECRET": "a-secret-of-this-test",
        "COALMINE_NOTIFY__SLACK__URL": server.address,
        **more,
    }


def bury(coalmine: CommandLine) -> None:
    """One dead letter of the webhook, and one of the channel."""
    with coalmine.coalmine() as parts:
        dead = {"id": DEAD, "kind": "needs-human", "subject": "x", "title": "[red]x[/]", "at": 1_700_000_000}
        record = json.dumps({"notification": dead, "attempts": 12, "reason": "it answered 410"})
        for sink in ("webhook", "slack"):
            parts.notices.collect(sink, SinkProgress(before="", place="0-0", written=0), {DEAD: record})
            parts.notices.settle(sink, DEAD, "dead", record=record)


def test_a_sample_goes_to_every_sink(coalmine: CommandLine, server: SinkServer) -> None:
    """Each says that it took it; no server of ours is needed, and nothing is stored."""
    before = coalmine.stored()
    lines = coalmine.lines(
        "notify", "test", "frozen", **sinks(server, COALMINE_REDIS_URL="redis://127.0.0.1:1")
    )
    assert [line["sink"] for line in lines] == ["webhook", "slack"]
    assert json.loads(server.deliveries[0].body)["type"] == "frozen"
    assert "Nothing happened" in json.loads(server.deliveries[1].body)["text"]
    assert coalmine.stored() == before


def test_an_unknown_kind_is_an_error_before_anything_is_sent(
    coalmine: CommandLine, server: SinkServer
) -> None:
    """Exit 2, with the kinds that there are."""
    result = coalmine("notify", "test", "finished", **sinks(server))
    assert result.exit_code == 2
    assert "is not a kind of notification and nothing was sent; use one of: done" in result.stderr
    assert server.deliveries == []


def test_a_kind_that_no_sink_takes_says_what_to_set(coalmine: CommandLine, server: SinkServer) -> None:
    """Without a sink, or with none that takes the kind."""
    assert "COALMINE_NOTIFY__LOG__ENABLED" in coalmine("notify", "test", "done").stderr
    only = {f"COALMINE_NOTIFY__{name}__KINDS": "frozen" for name in ("WEBHOOK", "SLACK")}
    result = coalmine("notify", "test", "done", **sinks(server, **only))
    assert (result.exit_code, server.deliveries) == (2, [])


def test_a_sink_that_does_not_take_it_is_an_error(coalmine: CommandLine, server: SinkServer) -> None:
    """Exit 5, with what it said and without its address."""
    server.always = Word(status=404, body=b"no_service at /services/T000SECRET/path")
    result = coalmine("notify", "test", "done", **sinks(server))
    assert result.exit_code == 5
    assert "127.0.0.1 answered 404 no_service" in result.stderr
    assert "T000SECRET" not in result.stderr


def test_the_log_takes_a_sample(coalmine: CommandLine) -> None:
    """On standard error, beside the answer."""
    result = coalmine("notify", "test", "done", COALMINE_NOTIFY__LOG__ENABLED="on")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "log")


def test_dead_letters_are_shown_and_sent_again(coalmine: CommandLine) -> None:
    """Doctor warns of them until a person has them sent again."""
    bury(coalmine)
    (first, second) = coalmine.document("notify", "list-dead")["dead"]
    assert (first["sink"], first["id"], first["attempts"], first["reason"]) == (
        "webhook", DEAD, 12, "it answered 410",
    )  # fmt: skip
    assert second["sink"] == "slack"
    assert "[red]x[/]" in coalmine.shown("notify", "list-dead")
    found = json.loads(coalmine("doctor", "--wait", "0.1", "--json").stdout)["findings"]
    (finding,) = [each for each in found if each["check"] == "notifications"]
    assert (finding["status"], "webhook did not take 1" in finding["message"]) == ("warning", True)
    assert coalmine("notify", "retry-dead", "1-1:done").exit_code == 3
    assert len(coalmine.document("notify", "retry-dead", DEAD)["revived"]) == 2
    assert coalmine.document("notify", "retry-dead") == {"revived": []}
    with coalmine.coalmine() as parts:
        assert [parts.notices.depths(sink) for sink in ("webhook", "slack")] == [(1, 0), (1, 0)]
    assert coalmine.shown("notify", "list-dead") == "There are no dead letters.\n"
