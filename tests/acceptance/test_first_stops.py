"""What stops a first `coalmine up` before it costs much: a red main branch, an agent that never starts."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tests.waiting import run, until_ended, wait_until

ROOT = Path(__file__).parents[2]

#: An agent that lacks a key of its own, until somebody lays that down beside it.
AGENT = """#!/bin/sh
cat > /dev/null
test -e "$(dirname "$0")/key" || { echo 'error: SHOP_KEY is not set' >&2; exit 3; }
echo done > "done-$COALMINE_JOB_ID"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a repository, four issues and an agent."""
    repository, issues = tmp_path / "shop", tmp_path / "issues"
    repository.mkdir()
    issues.mkdir()
    (repository / "a").write_text("1\n")
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    for number in range(1, 5):
        (issues / f"{number}.md").write_text(f"---\ntitle: Step {number}\n---\nDo it.\n")
    agent = tmp_path / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    return tmp_path


def environment() -> dict[str, str]:
    """Short intervals, no sandbox: the agent looks beside its own program."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return kept | {
        "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
        "COALMINE_TIMES__WATCH_INTERVAL_SECONDS": "0.5",
        "COALMINE_FORGE__LOCAL__CI_SANDBOX": "none",
        "COALMINE_AGENT__SANDBOX": "none",
        "COALMINE_JOB__DRAIN_GRACE_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
    }


def coalmine(*words: str) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-m", "coalmine", *words]


def up(place: Path, ci: str, *more: str) -> list[str]:
    """`coalmine up` on the place."""
    options = ["--repo", "shop", "--issues", "issues", "--ci", ci, "--agent", str(place / "agent.sh")]
    return coalmine("up", *options, *more)


def answer(place: Path, *words: str) -> Any:
    """What a command says as JSON."""
    asked = run(coalmine(*words, "--json"), cwd=place, env=environment())
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def test_a_person_is_asked_before_anything_starts_on_a_red_main(place: Path) -> None:
    """On a terminal; with no for an answer nothing was started, and the words say what to do."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            up(place, "false"), cwd=place, env=environment(), stdin=slave, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, text=True,
        )  # fmt: skip
        os.write(master, b"n\n")
        said, error = process.communicate(timeout=90)
    finally:
        os.close(slave)
        os.close(master)
    assert process.returncode == 4, error
    assert "CI is red on main already" in said
    assert "Start all the same?" in said + error
    assert "the main branch is red, so nothing was started: repair it, or give --allow-red" in error
    assert not (place / ".coalmine" / "running.json").exists()


def test_a_script_starts_nothing_on_a_red_main(place: Path) -> None:
    """Nobody can be asked: the first start says which option means it, and a second one is not let off."""
    for _ in range(2):
        refused = run(up(place, "false"), cwd=place, env=environment())
        assert refused.returncode == 4, refused.stdout
        assert (
            "the main branch is red, so nothing was started: repair it, or give --allow-red" in refused.stderr
        )
    assert not (place / ".coalmine" / "running.json").exists()


@pytest.mark.long
def test_agents_that_do_not_start_use_up_a_few_attempts_and_one_command_resumes_all(place: Path) -> None:
    """The fleet stops trying, says why in each place where people look, and goes on when asked to."""
    with (place / "up.log").open("wb") as log:
        process = subprocess.Popen(
            up(place, "true"), cwd=place, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        said = (place / "up.log").read_text
        words = "its agents fail as soon as they start"
        wait_until(lambda: words in said(), description="`up` says it", timeout=60)
        assert "exit code 3: error: SHOP_KEY is not set" in said()
        wait_until(
            lambda: [each for each in answer(place, "status")["held"] if "fail as soon" in each["why"]],
            description="`status` says what is held",
        )
        doctor = run(coalmine("doctor"), cwd=place, env=environment() | {"COLUMNS": "200"})
        assert "SHOP_KEY is not set" in doctor.stdout
        jobs = answer(place, "job", "list")["jobs"]
        assert sum(job["attempts"] for job in jobs) <= 3
        (place / "key").touch()
        assert answer(place, "resume")["tried_again"] == ["implementer@v1"]
        issues = [place / "issues" / f"{number}.md" for number in range(1, 5)]

        def closed() -> bool:
            return all(IssueFile.parse(file.read_bytes()).fields.get("state") == "closed" for file in issues)

        wait_until(closed, description="all four issues are closed", timeout=90)
    finally:
        process.terminate()
        until_ended(process, timeout=40)
