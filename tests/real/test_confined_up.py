"""`coalmine up` runs its agents, and what they wrote, inside; the same agent reaches all of it without."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tests.waiting import until_ended, wait_until

ROOT = Path(__file__).parents[2]

#: Looks for a secret of the person, the files of the store, and the fleet's processes. What it reached it
#: says in the file that it commits.
AGENT = """\
cat >/dev/null
{{
  cat {secret} >/dev/null 2>&1 && echo the secret
  find {state} -name 'redis.*' 2>/dev/null | grep -q . && echo the store
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q '[c]oalmine up' && echo other processes
  echo looked
}} > seen.txt
"""


@pytest.mark.parametrize(
    ("kind", "words", "reached"),
    [
        ("auto", "Agents run in sandboxes of bubblewrap", ["looked"]),
        ("none", "Agents run without a sandbox", ["the secret", "the store", "other processes", "looked"]),
    ],
)
def test_agents_of_up_are_inside(tmp_path: Path, kind: str, words: str, reached: list[str]) -> None:
    """With nothing in the settings; `up` says at its start how they run."""
    for name in ("shop", "issues", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "secret").write_text("s3cr3t")
    agent = tmp_path / "agent.sh"
    agent.write_text(AGENT.format(secret=tmp_path / "home" / "secret", state=tmp_path / ".coalmine"))
    (tmp_path / "shop" / "a").write_text("1\n")
    git = Git(tmp_path / "shop")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    issue = tmp_path / "issues" / "1.md"
    issue.write_text("---\ntitle: Look\n---\nLook around.\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    variables = kept | {
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
        "COALMINE_AGENT__SANDBOX": kind,
    }
    argv = [
        sys.executable,
        "-m",
        "coalmine",
        "up",
        "--repo",
        "shop",
        "--issues",
        "issues",
        "--ci",
        "test -e seen.txt",
        "--allow-red",
    ]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--agent", f"sh {shlex.quote(str(agent))}"],
            cwd=tmp_path, env=variables, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: (
                process.poll() is not None or IssueFile.parse(issue.read_bytes()).matter.state == "closed"
            ),
            description="the issue is closed",
            timeout=90,
        )
    finally:
        process.terminate()
        until_ended(process, timeout=60)
    said = (tmp_path / "up.log").read_text()
    seen = tmp_path / "shop" / "seen.txt"
    assert seen.exists(), said
    assert seen.read_text().splitlines() == reached
    assert words in said
