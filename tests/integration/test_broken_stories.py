"""The stories can fail: with routing or attribution broken by one line, they do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import run

ROOT = Path(__file__).parents[2]

PACKAGES = ("routing", "harvest", "tasks", "console", "coalmine", "tests")

STORIES = (
    "test_a_canary_whose_outcomes_regress_is_rolled_back_once",
    "test_a_canary_with_healthy_outcomes_graduates_once",
)

#: File, the line as it is, and the line that breaks it.
NEVER_ROUTE = (
    "routing/templates/route.py",
    "    return enabled and not pinned and ",
    "    return False and ",
)
CREDIT_THE_CHAMPION = (
    "harvest/draws/draw_ledger.py",
    "            arm=self.arm,\n",
    "            arm=Arm.CHAMPION,\n",
)


def copied(folder: Path) -> Path:
    """A copy of the project, with what was compiled of it: only the broken file is compiled again."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("recordings")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def mutate(folder: Path, mutation: tuple[str, str, str]) -> None:
    """Change one line of a copy."""
    name, line, broken = mutation
    file = folder / name
    text = file.read_text()
    assert text.count(line) == 1, f"{name} has changed: {line.strip()!r} is to occur once"
    file.write_text(text.replace(line, broken))


def play_stories(copy: Path) -> subprocess.CompletedProcess[str]:
    """Run both stories in a copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    stories = [f"tests/integration/test_stories.py::{story}" for story in STORIES]
    pytest_of_copy = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment["PYTHONPATH"] = str(copy)
    return run([*pytest_of_copy, *stories], cwd=copy, env=environment, timeout=110)


@pytest.mark.long
@pytest.mark.parametrize(
    "mutation", [NEVER_ROUTE, CREDIT_THE_CHAMPION], ids=["never route", "credit the champion"]
)
def test_a_one_line_break_fails_both_stories(tmp_path: Path, mutation: tuple[str, str, str]) -> None:
    """Never routing to the canary, or crediting its outcomes to the champion, is noticed by both stories.

    That they pass where no line is broken is what `test_stories` shows, on the same files.
    """
    copy = copied(tmp_path / "copy")
    mutate(copy, mutation)
    done = play_stories(copy)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-1000:]
    assert "2 failed" in done.stdout, done.stdout[-3000:]
    assert "error" not in done.stdout.splitlines()[-1], "the stories failed, not their fleets"
