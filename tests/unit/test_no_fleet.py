"""Commands in a folder without a fleet: they say what to do first, and not what a server lacks."""

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.input.first_settings import FirstSettings

EMPTY = {name: "" for name in os.environ if name.startswith("COALMINE_")}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with no word of Coalmine in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in EMPTY:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [["status"], ["job", "list"], ["issue", "list"], ["trial", "list"], ["cost"], ["resume"],
     ["enqueue", "implementer", "hello"], ["account", "list"], ["mail", "list"]],
    ids=" ".join,
)  # fmt: skip
def test_each_says_how_a_fleet_begins(words: list[str]) -> None:
    """With the two commands that a newcomer needs."""
    said = CliRunner().invoke(app, words).stderr
    assert said.startswith("coalmine: no fleet was found")
    assert "`coalmine up`" in said
    assert "`coalmine init`" in said


def test_one_that_has_ended_is_named(folder: Path) -> None:
    """A command that changes something does not start it: it says where it was."""
    (folder / ".coalmine").mkdir()
    noted = {"pid": 1, "variables": {}, "ended_at": time.time()}
    (folder / ".coalmine" / "last-run.json").write_text(json.dumps(noted))
    said = CliRunner().invoke(app, ["resume"]).stderr
    assert f"the fleet of {folder} is not running, last seen" in said
    assert "`coalmine up` there" in said


@pytest.mark.parametrize(
    ("answers", "limit"),
    [
        (FirstSettings(runtime="codex"), "\nday_tokens = 0\n"),
        (FirstSettings(runtime="gemini"), "\nday_tokens = 0\n"),
        (FirstSettings(runtime="claude"), "\nday_cost_usd = 0\n"),
        (FirstSettings(agent="./agent.sh"), "\nday_cost_usd = 0\n"),
    ],
    ids=["codex", "gemini", "claude", "another"],
)
def test_init_limits_a_day_in_what_the_program_reports(answers: FirstSettings, limit: str) -> None:
    """Codex and Gemini CLI report tokens and no dollars."""
    text = answers.text()
    assert limit in text
    assert text.count("\nday_") == 1
