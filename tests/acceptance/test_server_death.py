"""`coalmine up` whose own server is killed."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from routing.errors import UnavailableError
from tests.programs.up_program import issue_fields, running_up, up_environment, workplace
from tests.servers.private_server import plain_client, process_runs
from tests.waiting import run, until_ended, wait_until


@pytest.mark.long
def test_a_killed_server_is_started_again_and_ends_the_fleet_when_it_cannot_be(tmp_path: Path) -> None:
    """Its job goes on, is paid once, and no event is missing; with broken files all ends with the reason."""
    workplace(tmp_path)
    for number in (2, 3):
        (tmp_path / "issues" / f"{number}.md").unlink()
    go, book, log = tmp_path / "go", tmp_path / "book", tmp_path / "up.log"
    (tmp_path / "agent.sh").write_text(
        f"#!/bin/sh\ncat > /dev/null\necho $$ >> {book}\n"
        f"while [ ! -e {go} ]; do sleep 0.1; done\necho hello > greeting.txt\n"
    )
    data = tmp_path / ".coalmine" / "redis"
    with running_up(tmp_path, COALMINE_JOB__DRAIN_GRACE_SECONDS="120") as process:
        wait_until(book.exists, description="the agent is at work", timeout=60)
        killed = _kill_server(data)
        wait_until(lambda: _server(data) != killed, description="another server has the files", timeout=30)
        go.touch()
        wait_until(
            lambda: issue_fields(tmp_path, 1).get("state") == "closed" or process.poll() is not None,
            description="the job has ended",
            timeout=60,
        )
        assert process.poll() is None, log.read_text()
        argv = [sys.executable, "-m", "coalmine", "job", "list", "--json"]
        (job,) = json.loads(run(argv, cwd=tmp_path, env=up_environment()).stdout)["jobs"]
        assert (job["state"], job["attempts"]) == ("succeeded", 1)
        assert len(book.read_text().split()) == 1, "it was paid once"
        _keeps_at_work(tmp_path, go, book)
        kept = _kept_events(data)
        wait_until(lambda: kept[-1] in _events_of(tmp_path), description="the events are shown")
        shown = _events_of(tmp_path)
        assert shown[: shown.index(kept[-1]) + 1] == kept[kept.index(shown[0]) :], "each once, in order"
        for manifest in (data / "appendonlydir").glob("*.manifest"):
            manifest.write_text("broken\n")
        _kill_server(data)
        until_ended(process, timeout=60)
    said = log.read_text()
    assert process.returncode == UnavailableError.exit_code, said
    assert "redis died" in said
    assert "it could not be started" in said
    assert said.count("reading events failed") == said.count("The server answers again.") + 1 <= 2
    last = int(book.read_text().split()[-1])
    assert not process_runs(last), "the agent at work was ended too"
    assert set(kept) & set(_events_of(tmp_path)), "standard output has events alone to the end"


def _server(data: Path) -> str:
    """The pid of the last server that had the files."""
    return (data / "redis.lock").read_text()


def _kill_server(data: Path) -> str:
    """Kill the server as the kernel does when memory is short; returns its pid."""
    pid = _server(data)
    os.kill(int(pid), signal.SIGKILL)
    return pid


def _keeps_at_work(folder: Path, go: Path, book: Path) -> None:
    """Give the fleet another issue, at which its agent works until it is ended."""
    go.unlink()
    (folder / "issues" / "4.md").write_text("---\ntitle: Go on\n---\nGo on, please.\n")
    wait_until(lambda: len(book.read_text().split()) == 2, description="it is at work again", timeout=60)


def _url(data: Path) -> str:
    """Its address, by a socket or, where the path of that would be too long, by TCP."""
    settings = dict(line.split(" ", 1) for line in (data / "redis.conf").read_text().splitlines())
    if "unixsocket" in settings:
        return f"unix://{data}/redis.sock"
    return f"redis://:{settings['requirepass']}@127.0.0.1:{settings['port']}/0"


def _kept_events(data: Path) -> list[str]:
    """The ids of all events of the store."""
    with plain_client(_url(data)) as client:
        streams: Any = client.keys("*events")
        entries: Any = client.xrange(streams[0])
        return [identifier for identifier, _ in entries]


def _events_of(folder: Path) -> list[str]:
    """The ids of all events that `up` printed, in their order."""
    return [json.loads(line)["id"] for line in (folder / "events").read_text().splitlines()]
