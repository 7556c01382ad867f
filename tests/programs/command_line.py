"""The command line in this process, against a real server."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import redis
import structlog
from typer.main import get_command
from typer.testing import CliRunner, Result

from console.cli import app
from console.command_table import ListedCommands
from routing.generator import Generator
from tasks.composition.composition import Coalmine, compose
from tasks.settings.settings import Settings


@cache
def whole_command_line() -> Any:
    """The root with all commands below it, imported."""
    root = get_command(app)
    assert isinstance(root, ListedCommands)
    for name in list(root.commands):
        root.load(name)
    return root


class CommandLine:
    """Runs commands with variables of the test's own, and looks at what is stored."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.url = redis_url
        self.folder = folder
        self._runner = CliRunner(env={"COALMINE_REDIS_URL": redis_url, "COLUMNS": "200"})

    def __call__(self, *arguments: str, stdin: str | bytes | None = None, **variables: str) -> Result:
        """Run `coalmine ARGUMENTS`, with further variables."""
        return self._runner.invoke(app, arguments, input=stdin, env=variables or None)

    def shown(self, *arguments: str, stdin: str | None = None, **variables: str) -> str:
        """What a command prints that must succeed."""
        result = self(*arguments, stdin=stdin, **variables)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def document(self, *arguments: str, stdin: str | None = None, **variables: str) -> Any:
        """The same as JSON."""
        return json.loads(self.shown(*arguments, "--json", stdin=stdin, **variables))

    def lines(self, *arguments: str, **variables: str) -> list[Any]:
        """The same as one JSON document a line."""
        return [json.loads(line) for line in self.shown(*arguments, "--json", **variables).splitlines()]

    def stored(self) -> Mapping[bytes, bytes | None]:
        """Every key with its value, to see whether anything was written."""
        with redis.Redis.from_url(self.url) as client:
            return {key: client.dump(key) for key in client.scan_iter()}

    @contextmanager
    def coalmine(self, generator: Generator | None = None, **job: float) -> Iterator[Coalmine]:
        """The parts on the same server, to do what workers and ticks do."""
        parts = compose(Settings.model_validate({"redis_url": self.url, "job": job}), generator=generator)
        try:
            yield parts
        finally:
            parts.redis.close()
            parts.app.close()


@contextmanager
def own_surroundings() -> Iterator[None]:
    """No COALMINE_… variable of the machine's, and logging as it was when a command has set it up."""
    kept = _taken_away()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        _taken_away()  # `coalmine up` leaves some for its children
        os.environ.update(kept)
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()


def _taken_away() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COALMINE_")}
