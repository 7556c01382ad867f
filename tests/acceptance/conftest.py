"""Fixtures of the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from routing.embedded.private_server import PrivateServer
from tests.programs.command_line import CommandLine, own_surroundings


@pytest.fixture
def coalmine(
    redis_server: PrivateServer, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """The command line on an empty server, in an empty folder."""
    assert redis_client.dbsize() == 0
    monkeypatch.chdir(tmp_path)
    with own_surroundings():
        yield CommandLine(redis_server.url, tmp_path)


@pytest.fixture
def template(coalmine: CommandLine) -> str:
    """A template with a champion and a pending version."""
    coalmine.shown("template", "add", "implementer", "--prompt", "be good", "--command", "./agent.sh")
    coalmine.shown("template", "propose", "implementer", "--prompt", "be better")
    return "implementer"
