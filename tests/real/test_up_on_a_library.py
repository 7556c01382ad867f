"""`coalmine up` on a repository that is not ours: the source distribution of a small library."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tests.real.library import unpacked_library
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

ISSUES = {
    1: ("Name the licence in the readme", "The README does not say under which licence the library is."),
    2: ("Test the ordinal of 1111", "Add a test for `ordinal(1111)` to `test_inflection.py`."),
    3: ("Camelize nothing", "`camelize('')` raises IndexError; let it return an empty string. Test it."),
}

#: The agent: a shell script that does what each issue asks, as a person would by hand.
AGENT = r"""#!/bin/sh
cat > /dev/null
case "$COALMINE_ISSUE" in
  *#1)
    printf '\nLicence\n-------\n\nMIT, see LICENSE.\n' >> README.rst ;;
  *#2)
    printf '\n\ndef test_ordinal_1111():\n' >> test_inflection.py
    printf '    assert inflection.ordinal(1111) == "th"\n' >> test_inflection.py ;;
  *#3)
    if_empty='    if not string:\n        return string'
    sed -i "/^def camelize/,/^def /s/^    if uppercase_first_letter:/$if_empty\n&/" inflection/__init__.py
    printf 'import inflection\n\n\ndef test_nothing():\n' > test_nothing.py
    printf '    assert inflection.camelize("", False) == ""\n' >> test_nothing.py ;;
esac
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The unpacked library as a git repository."""
    repository = unpacked_library(tmp_path)
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Unpack the source distribution")
    return repository


def test_hand_written_issues_end_closed_with_commits_and_statuses(library: Path) -> None:
    """Three issues, a shell script as agent, the library's own suite as CI: all green, merged, closed."""
    folder = library.parent
    issues = folder / "issues"
    issues.mkdir()
    for number, (title, body) in ISSUES.items():
        (issues / f"{number}.md").write_text(f"---\ntitle: {title}\n---\n{body}\n")
    agent = folder / "agent.sh"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    ci = f"{sys.executable} -m pytest -q test_inflection.py test_*.py"
    log = (folder / "up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "coalmine", "up", "--repo", str(library), "--issues", str(issues), "--ci", ci,
         "--agent", str(agent)],
        cwd=folder, env=environment | {"PYTHONPATH": str(ROOT)}, stdout=log, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip

    def closed() -> list[int]:
        return [
            number
            for number in ISSUES
            if IssueFile.parse((issues / f"{number}.md").read_bytes()).matter.state == "closed"
        ]

    try:
        wait_until(
            lambda: len(closed()) == 3 or process.poll() is not None,
            description="the three issues are closed",
            timeout=100,
        )
        assert process.poll() is None, (folder / "up.log").read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        log.close()
    git = Git(library)
    assert "Agents run in sandboxes of bubblewrap" in (folder / "up.log").read_text()
    subjects = git("log", "--merges", "--format=%s", "main")
    assert all(f"#{number}" in subjects for number in ISSUES)
    assert "MIT, see LICENSE" in (library / "README.rst").read_text()
    folder_of_statuses = folder / ".coalmine" / "forge" / "statuses"
    statuses = {status.stem: status for status in folder_of_statuses.glob("*.json")}
    first = git("rev-list", "--max-parents=0", "main").strip()
    parents = git("log", "--first-parent", "--merges", "--format=%P", "main").splitlines()
    merged = [line.split()[1] for line in parents]
    assert len(merged) == 3
    assert statuses.keys() >= {first, *merged}, "main as it was, and each commit that was merged"
    assert all('"success"' in status.read_text() for status in statuses.values())
