"""A fleet as two users: its worker is one, and its agents are another, by `sudo`, as docs/secrets.md says.

The users, their group and the rule of `sudo` exist in a mount namespace of the test's own: nothing of the
machine is changed. That takes root, as CI is.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from routing.git.git import Git
from tests.real.passages import passages
from tests.waiting import until_ended, wait_until

ROOT = Path(__file__).parents[2]
GROUP, WORKER, AGENT = "coalmine-agents", "coalmine-worker", "coalmine-agent"
IDS = {GROUP: 64103, WORKER: 64101, AGENT: 64102}

#: The rule of docs/secrets.md.
SUDOERS = f"""
Defaults:{WORKER} umask=0002, umask_override, env_keep += "COALMINE_* GIT_*"
{WORKER} ALL=({AGENT}) NOPASSWD: ALL
"""

#: Says who it is, tries to read what is the worker's alone and to write into its git directory, and does its
#: work in two turns: CI is red at the first. It leaves a folder that nobody but it can empty.
PROGRAM = """#!/bin/sh
cat > /dev/null
mine=$COALMINE_JOB_ID
id -un >> "who-$mine"
cat SECRET >> "taken-$mine" 2> /dev/null
touch OURS/taken 2> /dev/null && echo written >> "taken-$mine"
touch "taken-$mine" "first-$mine"
mkdir -p cache && touch cache/file && chmod a-w cache && echo cache > .gitignore
[ "$COALMINE_TURN_KIND" = first ] || touch "good-$mine"
git add -A && git commit -q -m "Work of $COALMINE_TURN_KIND"
echo left > "left-$mine"
"""

#: Red while a job has made its first turn alone.
CI = """for one in first-*; do [ ! -e "$one" ] || [ -e "good-${one#first-}" ] || exit 1; done"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder of the worker's user with everything that `coalmine up` needs."""

    folder: Path

    def git(self, *words: str) -> str:
        """What the repository says, which belongs to the worker's user."""
        return Git(self.folder / "shop")("-c", "safe.directory=*", *words)

    @property
    def hidden(self) -> Path:
        """What the worker's user alone may read."""
        return self.folder / "secret"

    @property
    def trees(self) -> Path:
        """The folder of work trees."""
        return self.folder / "work" / "local@shop"

    def issue(self, number: int) -> None:
        """Open one."""
        file = self.folder / "issues" / f"{number}.md"
        file.write_text(f"---\ntitle: Do {number}\n---\nDo {number}.\n")
        os.chown(file, IDS[WORKER], IDS[WORKER])

    def finished(self, number: int) -> bool:
        """Whether an issue is closed."""
        return "state: closed" in (self.folder / "issues" / f"{number}.md").read_text()

    @property
    def said(self) -> str:
        """What was printed."""
        return (self.folder / "up.log").read_text(errors="replace")


def accounts(folder: Path) -> Sequence[str]:
    """Files of /etc with the two users, and the commands that put them there."""
    rows = {
        "passwd": [f"{user}:*:{IDS[user]}:{IDS[user]}::/nonexistent:/bin/sh" for user in (WORKER, AGENT)],
        "group": [*(f"{user}:x:{IDS[user]}:" for user in (WORKER, AGENT)),
                  f"{GROUP}:x:{IDS[GROUP]}:{WORKER},{AGENT}"],
    }  # fmt: skip
    for name, lines in rows.items():
        text = Path("/etc", name).read_text()
        (folder / name).write_text("\n".join([text.rstrip("\n"), *lines, ""]))
    (folder / "sudoers").write_text(SUDOERS)
    (folder / "sudoers").chmod(0o440)
    return [f"mount --bind {folder / name} /etc/{name}" for name in (*rows, "sudoers")]


@pytest.fixture
def place() -> Iterator[Place]:
    """A repository, two issues, and the agent's program."""
    if os.getuid() != 0:
        pytest.skip("users of a namespace are made by root alone")
    with tempfile.TemporaryDirectory(prefix="two-users-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for path in (folder, *(folder / name for name in ("shop", "issues", "agent-home"))):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        (folder / "shop" / "a").write_text("1\n")
        git = Git(folder / "shop")
        git("init", "--quiet", "--initial-branch=main")
        git("add", "--all")
        git("commit", "--quiet", "--message", "Begin")
        made = Place(folder=folder)
        for number in (1, 2):
            made.issue(number)
        made.hidden.write_text("the worker's alone")
        made.hidden.chmod(0o600)
        program = folder / "agent.sh"
        ours = folder / "work" / "local@shop" / ".coalmine"
        program.write_text(PROGRAM.replace("SECRET", str(made.hidden)).replace("OURS", str(ours)))
        program.chmod(0o755)
        (folder / "coalmine.toml").write_text(
            f'[agent]\ngroup = "{GROUP}"\nwork_dir = "work"\nsandbox = "none"\n\n'
            '[[forge]]\nkind = "local"\nper_repo = 2\n'
        )
        for path in (folder, *folder.rglob("*")):
            os.chown(path, IDS[WORKER], IDS[WORKER])
        os.chown(folder / "agent-home", IDS[AGENT], IDS[AGENT])
        begin = folder / "begin.sh"
        become = f'exec setpriv --reuid {WORKER} --regid {WORKER} --init-groups -- "$@"'
        lines = [*accounts(folder), *passages(folder, [Path(sys.base_prefix), ROOT]), become]
        begin.write_text("\n".join(["set -e", *lines, ""]))
        yield made


@contextmanager
def up(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """`coalmine up` as the worker's user until the end of the block."""
    folder = place.folder
    agent = f"sudo -n -u {AGENT} -- env HOME={folder}/agent-home {folder}/agent.sh"
    argv = [
        *("unshare", "--mount", "--propagation", "private", "sh", str(folder / "begin.sh")),
        *(sys.executable, "-m", "coalmine", "up", "--repo", "shop", "--issues", "issues"),
        *("--ci", CI, "--agent", agent),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    home = {"HOME": str(folder), "PYTHONPATH": str(ROOT), "TMPDIR": tempfile.gettempdir(), "USER": WORKER}
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            argv, cwd=folder, env=kept | home, stdout=log, stderr=log, start_new_session=True, umask=0o022
        )
    try:
        yield process
    finally:
        process.terminate()
        until_ended(process, timeout=60)


def until_closed(place: Place, *numbers: int) -> None:
    """Wait for issues to be closed; what was printed is added to the error."""
    try:
        for number in numbers:
            wait_until(partial(place.finished, number), description=f"{number} is closed", timeout=60)
    except AssertionError as error:
        error.add_note(place.said)
        raise


def test_a_fleet_whose_agents_are_another_user_works_and_tidies(place: Place) -> None:
    """Second turns are made, work is merged, nothing of the worker's is read, and trees are removed.

    Each tree has a folder that only its agent can empty: that one is put aside, and stops nothing.
    """
    with up(place):
        until_closed(place, 1, 2)
    place.issue(3)
    with up(place):
        until_closed(place, 3)
        wait_until(
            lambda: [path.name for path in place.trees.iterdir()] == [".coalmine"],
            description="trees are removed",
            timeout=90,
        )
    said = place.git("log", "--format=%s", "--no-merges", "main").splitlines()
    assert (said.count("Work of first"), said.count("Work of fix_forward")) == (3, 3)
    left = [file.parts[-3] for file in (place.trees / ".coalmine" / "left").glob("*/cache/file")]
    jobs = {folder.partition("-")[0] for folder in left}
    assert len(left) == len(jobs) == 3
    assert {place.git("show", f"main:who-{job}") for job in jobs} == {f"{AGENT}\n{AGENT}"}
    assert {place.git("show", f"main:taken-{job}") for job in jobs} == {""}
    assert {place.git("show", f"main:left-{job}") for job in jobs} == {"left"}
    logs = [path.read_text(errors="replace") for path in (place.folder / ".coalmine" / "logs").iterdir()]
    assert any("tree.not_removed" in text for text in logs)
    assert not any("Traceback" in text for text in logs)
