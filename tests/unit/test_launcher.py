"""The first program in a sandbox of bubblewrap: what it becomes, and under which limits."""

import os
import subprocess
from pathlib import Path

import pytest

from routing.sandbox.launcher import launched
from routing.sandbox.mount import ProcessLimits

LIMITS = ProcessLimits(file_bytes=1_000_000)


def run(*argv: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run a program through it."""
    line = launched(argv, limits=LIMITS)
    return subprocess.run(line, capture_output=True, text=True, check=False, env={"PATH": path})


def test_nothing_to_do_is_nothing_before_the_program() -> None:
    """It costs the start of a Python."""
    assert launched(["agent"], limits=ProcessLimits()) == ["agent"]


def test_it_becomes_the_program_with_its_limits() -> None:
    """The shell that it becomes has the limit, in blocks of 512 or 1024 bytes."""
    done = run("sh", "-c", "ulimit -f", path=os.environ["PATH"])
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) in {1_000_000 // 512, 1_000_000 // 1024}


@pytest.mark.parametrize(("mode", "why"), [(0o644, "Permission denied"), (None, "No such file")])
def test_a_program_that_cannot_be_run_is_said(tmp_path: Path, mode: int | None, why: str) -> None:
    """As a shell would: 127, with the reason that says most."""
    if mode is not None:
        (tmp_path / "agent").touch(mode=mode)
    done = run("agent", path=f"/nowhere:{tmp_path}")
    assert done.returncode == 127
    assert f"agent cannot be run: {why}" in done.stderr


def test_the_first_program_of_the_path_is_run(tmp_path: Path) -> None:
    """One that may not be run is passed over; an absolute path is not looked for."""
    for name, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "agent").write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name / "agent").chmod(mode)
    path = ":".join(str(tmp_path / name) for name in "abc")
    assert run("agent", "1", "ä", path=path).stdout == "b 1 ä\n"
    assert run(str(tmp_path / "c" / "agent"), path=path).stdout == "c\n"
