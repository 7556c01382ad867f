"""`coalmine up --runtime …` with the real programs: from one command to a closed issue."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from routing.forges.local.issue_file import IssueFile
from routing.git.git import Git
from tasks.agents.runtimes.readiness import readiness_of
from tasks.agents.runtimes.registry import PROGRAMS, runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tests.real.model_stub import ModelStub
from tests.real.programs import ENVIRONMENTS, MODELS
from tests.waiting import run, until_ended, wait_until

ROOT = Path(__file__).parents[2]


def environment(folder: Path, programs: Path, **more: str) -> dict[str, str]:
    """A person's shell, with the programs on its PATH and a home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COALMINE_", "ANTHROPIC_", "CLAUDE_"))
    }
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return kept | {"PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT)} | more


def place(folder: Path) -> None:
    """A repository with one file, and one issue."""
    (folder / "shop").mkdir()
    (folder / "issues").mkdir()
    (folder / "shop" / "a").write_text("1\n")
    git = Git(folder / "shop")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    (folder / "issues" / "1.md").write_text("---\ntitle: Greet\n---\nWrite greeting.txt.\n")


@contextmanager
def up(folder: Path, words: Sequence[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`coalmine up` until the end of the block."""
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
        "test -e a",
    ]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, *words], cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        until_ended(process, timeout=60)


@pytest.mark.parametrize("runtime", sorted(ENVIRONMENTS))
def test_up_with_a_program_ends_with_the_issue_closed(
    runtime: str, tmp_path: Path, programs: Path, model: ModelStub
) -> None:
    """The program is looked at, does the work with its own settings and keys, and it is merged."""
    place(tmp_path)
    model.command = "echo hello > greeting.txt"
    variables = environment(tmp_path, programs, COALMINE_FORGE__LOCAL__POLL_INTERVAL_SECONDS="0.5")
    variables |= ENVIRONMENTS[runtime](tmp_path / "home", model.url)
    words = ["--runtime", runtime, "--model", MODELS[runtime]]
    if runtime == "codex":  # its model and its key are named in its own settings
        words += ["--secret", "STUB_KEY", "--allow", model.url.removeprefix("http://")]
    issue = tmp_path / "issues" / "1.md"

    def is_closed() -> bool:
        return IssueFile.parse(issue.read_bytes()).matter.state == "closed"

    with up(tmp_path, words, variables) as process:
        wait_until(
            lambda: is_closed() or process.poll() is not None,
            description="the issue is closed",
            timeout=90,
        )
    said = (tmp_path / "up.log").read_text()
    assert f"{PROGRAMS[runtime].name} {PROGRAMS[runtime].seen} is installed and logged in" in said
    assert is_closed(), said
    assert (tmp_path / "shop" / "greeting.txt").read_text() == "hello\n"
    assert "Write greeting.txt." in model.heard[0][0]


@pytest.mark.parametrize("runtime", sorted(PROGRAMS))
def test_a_program_that_nobody_logged_in_starts_nothing(runtime: str, tmp_path: Path, programs: Path) -> None:
    """Each real one says so itself, but for the one that has free models."""
    wanted = RuntimeSpec(runtime=runtime)
    ready = readiness_of(runtime_for(wanted), wanted, environment(tmp_path, programs))
    assert ready is not None
    assert ready.title == f"{PROGRAMS[runtime].name} {PROGRAMS[runtime].seen}"
    assert ready.lack == (
        f"{ready.title} is not logged in, as agents run it" if PROGRAMS[runtime].needs_login else ""
    )


@pytest.mark.parametrize("runtime", sorted(PROGRAMS))
def test_the_options_that_are_looked_for_are_in_the_help_of_each_program(
    runtime: str, tmp_path: Path, programs: Path
) -> None:
    """So an older one is refused for what it lacks, and not for how its help is written."""
    program = PROGRAMS[runtime]
    words = [str(programs / program.command), *program.usage]
    asked = run(words, env=environment(tmp_path, programs), cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert [option for option in program.options if option not in asked.stdout + asked.stderr] == []
