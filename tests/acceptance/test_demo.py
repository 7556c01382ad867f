"""`coalmine demo` as a newcomer runs it: one command, real processes, two verdicts."""

import json
import os
import sys
from pathlib import Path

from routing.git.git import Git
from tests.waiting import run


def test_the_demo_rolls_one_version_back_and_graduates_the_next(tmp_path: Path) -> None:
    """Both verdicts are reached, with evidence above the threshold, and git agrees with the report."""
    folder = tmp_path / "story"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    argv = [sys.executable, "-m", "coalmine", "demo", "--seed", "1", "--keep", str(folder), "--json"]
    done = run(argv, env=environment, cwd=Path(__file__).parents[2], timeout=90)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    hasty, careful = report["trials"]
    assert (hasty["state"], careful["state"]) == ("rolled_back", "graduated")
    assert hasty["review"]["evidence"]["worse"] >= 20
    assert careful["review"]["evidence"]["not_worse"] >= 20
    assert report["champion"] == careful["canary"]
    merges = Git(folder / "shop")("rev-list", "--count", "--merges", "main")
    assert report["merges"] == int(merges) > 10
    ends = [file.read_text() for file in (folder / "issues").glob("*.md")]
    assert sum("state: closed" in text for text in ends) == report["merges"], "each merge closed its issue"


def test_a_folder_that_exists_is_not_written_to(tmp_path: Path) -> None:
    """The demonstration refuses it in one line and leaves it as it was."""
    kept = tmp_path / "mine"
    kept.mkdir()
    (kept / "file").write_text("mine")
    argv = [sys.executable, "-m", "coalmine", "demo", "--keep", str(kept)]
    done = run(argv, cwd=Path(__file__).parents[2])
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert [path.name for path in kept.iterdir()] == ["file"]
