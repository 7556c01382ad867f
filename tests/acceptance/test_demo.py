"""`coalmine demo` as a newcomer runs it: one command, real processes, two verdicts."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from console.local.start_checks import sandbox_words
from routing.git.git import Git
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import SandboxKind
from tests.waiting import run, until_ended, wait_until

#: Seconds that the whole story may take on an idle machine: it takes 33 to 85, by how fast files are made.
DEMO_SECONDS = 270


#: A line of the demonstration after the first jobs have settled.
SETTLED = re.compile(rb"[1-9]\d* canary and \d+ champion jobs settled")

#: The line that says where a trial can be looked at.
PAGE = re.compile(rb"its page is (http://127\.0\.0\.1:\d+/trials/implementer-t\d+)")


def hostile(folder: Path) -> dict[str, str]:
    """A place in which nothing would work if its settings were obeyed: a file, variables, git's."""
    place, home, temporary = folder / "place", folder / "home", folder / "tmp"
    for made in (place, home, temporary):
        made.mkdir()
    (place / "coalmine.toml").write_text("kill_switch = true\nno_such_setting = 1\n")
    (place / "tasks.py").write_text("raise SystemExit('this is another project')\n")
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[core]\n\thooksPath = /no/such/place\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "COALMINE_KILL_SWITCH": "true",
        "COALMINE_REDIS_URL": "redis://127.0.0.1:1/0",
        "COALMINE_CONFIG": "/no/such/file",
        "COALMINE_NO_SUCH_SETTING": "1",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/1",
        "GIT_DIR": "/no/such/repository",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """No process, and no file among temporary ones; the exit code says which signal it was."""
    argv = [sys.executable, "-m", "coalmine", "demo"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            argv, env=hostile(tmp_path), cwd=tmp_path / "place", stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: PAGE.search(log.read_bytes()) or demo.poll() is not None,
            description="the first trial has begun, and says where its page is",
            timeout=60,
        )
        demo.send_signal(number)
    finally:
        until_ended(demo, timeout=60)
    assert demo.returncode == 128 + number, log.read_text()
    words = sandbox_words(find_bubblewrap(), SandboxKind.AUTO).split()[:5]
    assert " ".join(words) in " ".join(log.read_text().split()), "it says what its agents run in"
    assert PAGE.search(log.read_bytes()), "it says where its pages are, and that of the trial"
    assert not list((tmp_path / "tmp").iterdir())
    marked = os.fsencode(tmp_path / "tmp" / "coalmine-demo")
    assert not [pid for pid in psutil.pids() if marked in _arguments(pid)]


@pytest.mark.long
@pytest.mark.timeout(DEMO_SECONDS)
def test_two_at_once_and_another_after_them(tmp_path: Path) -> None:
    """Each is alone in one place, with one home and one folder for temporary files: none meets another."""
    environment, place = hostile(tmp_path), tmp_path / "place"
    argv = [sys.executable, "-m", "coalmine", "demo", "--seed", "1"]

    def goes_on(names: list[str]) -> None:
        """Start them, see the jobs of each settled, and end them."""
        demos = []
        for name in names:
            with (tmp_path / name).open("wb") as output:
                demos.append(
                    subprocess.Popen(
                        argv, env=environment, cwd=place, stdout=output, stderr=output, start_new_session=True
                    )
                )
        try:
            for name, demo in zip(names, demos, strict=True):
                wait_until(
                    lambda name=name, demo=demo: (  # type: ignore[misc]
                        SETTLED.search((tmp_path / name).read_bytes()) or demo.poll() is not None
                    ),
                    description=f"jobs of {name} have settled",
                    timeout=100,
                )
                assert demo.poll() is None, (tmp_path / name).read_text()
        finally:
            for demo in demos:
                demo.send_signal(signal.SIGTERM)
            for demo in demos:
                until_ended(demo, timeout=60)

    goes_on(["first", "second"])
    assert not list((tmp_path / "tmp").iterdir())
    goes_on(["third"])
    assert not list((tmp_path / "tmp").iterdir())


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.long
@pytest.mark.timeout(DEMO_SECONDS + 30)
def test_the_demo_rolls_one_version_back_and_graduates_the_next(tmp_path: Path) -> None:
    """Both verdicts are reached, with evidence above the threshold; git and the trials' pages agree.

    The pages are there after the report until Enter, and the story takes nothing from the place it runs in.
    """
    folder = tmp_path / "story"
    argv = [
        sys.executable,
        "-m",
        "coalmine",
        "demo",
        "--seed",
        "1",
        "--keep",
        str(folder),
        "--json",
        "--stay",
    ]
    log, answer = tmp_path / "log", tmp_path / "answer"
    with log.open("wb") as said, answer.open("wb") as output:
        demo = subprocess.Popen(
            argv, env=hostile(tmp_path), cwd=tmp_path / "place", stdin=subprocess.PIPE, stdout=output,
            stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: b"until you press Enter" in log.read_bytes() or demo.poll() is not None,
            description="the story is over",
            timeout=DEMO_SECONDS,
        )
        assert demo.poll() is None, log.read_text()[-3000:]
        pages = [
            httpx.get(found.decode(), headers={"Accept": "text/html"}, trust_env=False, timeout=30).text
            for found in PAGE.findall(log.read_bytes())
        ]
        assert ["graduated after" in page for page in pages] == [False, True]
        assert ["rolled back after" in page for page in pages] == [True, False]
        assert demo.stdin is not None
        demo.stdin.write(b"\n")
        demo.stdin.close()
        until_ended(demo, timeout=60)
    finally:
        demo.terminate()
        until_ended(demo, timeout=60)
    assert demo.returncode == 0, log.read_text()[-3000:]
    assert not list((tmp_path / "tmp").iterdir()), "nothing is left among temporary files"
    report = json.loads(answer.read_text())
    hasty, careful = report["trials"]
    assert (hasty["state"], careful["state"]) == ("rolled_back", "graduated")
    assert hasty["review"]["evidence"]["worse"] >= 20
    assert careful["review"]["evidence"]["not_worse"] >= 20
    assert report["champion"] == careful["canary"]
    merges = Git(folder / "shop")("rev-list", "--count", "--merges", "--first-parent", "main")
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
