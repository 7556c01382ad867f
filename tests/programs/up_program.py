"""`coalmine up` as a process of its own, with a repository, issues and an agent to work on them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tests.waiting import until_ended

ROOT = Path(__file__).parents[2]

#: An agent as users write their first one: it does what the issue says and commits nothing itself.
AGENT = """#!/bin/sh
cat > /dev/null
case "$COALMINE_ISSUE" in
  *#1) echo 'hello' > greeting.txt ;;
  *#2) echo 'broken' > check.txt ;;
  *#3) : ;;
esac
"""


def up_environment() -> dict[str, str]:
    """Ours without settings of a person's, and with times that suit tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return kept | {
        "COALMINE_WEB__PORT": "0",  # several fleets may begin at once
        "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
        "COALMINE_TIMES__WATCH_INTERVAL_SECONDS": "0.5",
        "COALMINE_JOB__DRAIN_GRACE_SECONDS": "1",
        "COALMINE_FORGE__LOCAL__CI_SANDBOX": "none",
        "COALMINE_AGENT__SANDBOX": "none",  # its agents tell the tests how they are; others are in tests/real
        "PYTHONPATH": str(ROOT),
    }


def workplace(folder: Path) -> None:
    """A repository, three issues and an agent."""
    repository, issues = folder / "shop", folder / "issues"
    repository.mkdir()
    issues.mkdir()
    (repository / "check.txt").write_text("fine\n")
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    for number, title in ((1, "Greet"), (2, "Break the check"), (3, "Do nothing")):
        (issues / f"{number}.md").write_text(f"---\ntitle: {title}\n---\n{title}, please.\n")
    agent = folder / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)


@contextmanager
def running_up(
    folder: Path, arguments: Sequence[str] | None = None, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`coalmine up` in the foreground of its own session, ended with one SIGINT."""
    if arguments is None:
        arguments = ["--repo", "shop", "--issues", "issues", "--ci", "grep -q fine check.txt",
                     "--agent", str(folder / "agent.sh")]  # fmt: skip
    with (folder / "up.log").open("wb") as log, (folder / "events").open("wb") as events:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "coalmine",
                "up",
                *arguments,
                "--json",
            ],
            cwd=folder,
            env=up_environment() | variables,
            stdout=events,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        until_ended(process, timeout=40)


def issue_fields(folder: Path, number: int) -> dict[str, Any]:
    """The issue's front matter."""
    return dict(IssueFile.parse((folder / "issues" / f"{number}.md").read_bytes()).fields)
