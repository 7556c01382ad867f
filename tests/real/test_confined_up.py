"""`coalmine up` runs its agents, and what they wrote, inside; the same agent reaches all of it without."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


#: Commits what CI refuses, looks for the folder of CI's verdicts, and writes one for its commit there, with
#: the seal that the key in that folder makes.
FORGER = """\
cat >/dev/null
echo bad > bad.txt; git add --all; git commit --quiet --message Bad
cat > /tmp/forge.py <<'EOF'
import hashlib, hmac, json, os, pathlib, sys
state, commit = sys.argv[1:]
status = {{
    "context": "ci/local", "state": "success", "description": "forged", "url": "",
    "at": "2026-11-30T10:00:00+00:00",
}}
for key in (pathlib.Path(folder, ".key") for folder, _, files in os.walk(state) if ".key" in files):
    seal = hmac.new(key.read_bytes(), chr(0).join([commit, *status.values()]).encode(), hashlib.sha256)
    record = {{"schema_version": 1, "commit": commit, "statuses": [status], "seal": seal.hexdigest()}}
    (key.parent / f"{{commit}}.json").write_text(json.dumps(record))
EOF
python3 /tmp/forge.py {state} $(git rev-parse HEAD)
"""


@dataclass(kw_only=True)
class Upped:
    """`coalmine up` in a folder, with one issue."""

    folder: Path
    said: str = ""  # what it printed

    @property
    def shop(self) -> Git:
        """The repository."""
        return Git(self.folder / "shop")

    @property
    def is_closed(self) -> bool:
        """Whether the issue is."""
        return IssueFile.parse((self.folder / "issues" / "1.md").read_bytes()).matter.state == "closed"

    def verdicts(self) -> dict[str, str]:
        """What CI is believed to have said of each commit that it judged."""
        # Trees of agents and of CI stand below, and go, so the folder is not walked.
        files = (self.folder / ".coalmine" / "forge" / "statuses").glob("*.json")
        records = [json.loads(file.read_text()) for file in files]
        return {record["commit"]: status["state"] for record in records for status in record["statuses"]}

    def work(self) -> str:
        """The commit of the agent that was pushed; "" as long as there is none."""
        return self.shop("for-each-ref", "--format=%(objectname)", "refs/heads/coalmine/").strip()

    def run(
        self, agent: str, *, ci: str, kind: str, until: Callable[[], object], options: Sequence[str] = ()
    ) -> None:
        """Run it with that agent, a shell script, until something is the case."""
        for name in ("shop", "issues", "home"):
            (self.folder / name).mkdir()
        (self.folder / "home" / "secret").write_text("s3cr3t")
        script = self.folder / "agent.sh"
        script.write_text(agent)
        (self.folder / "shop" / "a").write_text("1\n")
        self.shop("init", "--quiet", "--initial-branch=main")
        self.shop("add", "--all")
        self.shop("commit", "--quiet", "--message", "Begin")
        (self.folder / "issues" / "1.md").write_text("---\ntitle: Look\n---\nLook around.\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
        variables = kept | {
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS": "0.5",
            "COALMINE_AGENT__SANDBOX": kind,
        }
        up = [
            sys.executable,
            "-m",
            "coalmine",
            "up",
            "--repo",
            "shop",
            "--issues",
            "issues",
            "--ci",
            ci,
            *options,
        ]
        with (self.folder / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [*up, "--agent", f"sh {shlex.quote(str(script))}"],
                cwd=self.folder, env=variables, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(
                lambda: process.poll() is not None or until(), description="the issue is worked", timeout=90
            )
        finally:
            process.terminate()
            until_ended(process, timeout=60)
            self.said = (self.folder / "up.log").read_text()


@pytest.mark.parametrize(
    ("kind", "words", "reached"),
    [
        ("auto", "Agents run in sandboxes of bubblewrap", ["looked"]),
        ("none", "Agents run without a sandbox", ["the secret", "the store", "other processes", "looked"]),
    ],
)
def test_agents_of_up_are_inside(tmp_path: Path, kind: str, words: str, reached: list[str]) -> None:
    """With nothing in the settings; `up` says at its start how they run."""
    up = Upped(folder=tmp_path)
    agent = AGENT.format(secret=tmp_path / "home" / "secret", state=tmp_path / ".coalmine")
    up.run(agent, ci="test -e seen.txt", kind=kind, until=lambda: up.is_closed, options=["--allow-red"])
    seen = tmp_path / "shop" / "seen.txt"
    assert seen.exists(), up.said
    assert seen.read_text().splitlines() == reached
    assert words in up.said


@pytest.mark.parametrize(("kind", "is_forged"), [("auto", False), ("none", True)])
def test_a_verdict_of_ci_that_an_agent_forges(tmp_path: Path, kind: str, *, is_forged: bool) -> None:
    """CI refuses its work all the same; without a sandbox that is taken for green, and merged."""
    up = Upped(folder=tmp_path)

    def has_ended() -> bool:
        return up.is_closed or up.verdicts().get(up.work()) == "failure"

    agent = FORGER.format(state=tmp_path / ".coalmine")
    up.run(agent, ci="! test -e bad.txt", kind=kind, until=has_ended)
    assert "success" in up.verdicts().values(), "CI has judged the main branch, so there is a key"
    assert has_ended(), up.said
    assert (up.is_closed, (tmp_path / "shop" / "bad.txt").exists()) == (is_forged, is_forged)
