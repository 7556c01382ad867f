"""The first program in a sandbox of bubblewrap: what it becomes, and under which limits."""

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from routing.sandbox.launcher import launched, system_limiter
from routing.sandbox.mount import ProcessLimits

LIMITS = ProcessLimits(file_bytes=1_000_000)


#: By our own few lines, and by the system's program where it has one.
LIMITERS = [None, *filter(None, [system_limiter()])]


@pytest.fixture(params=LIMITERS)
def limiter(request: pytest.FixtureRequest) -> str | None:
    """What sets the limits."""
    return request.param  # type: ignore[no-any-return]


def run(*argv: str, path: str, limiter: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program through it."""
    line = launched(argv, limits=LIMITS, limiter=limiter)
    return subprocess.run(line, capture_output=True, text=True, check=False, env={"PATH": path})


def test_nothing_to_do_is_nothing_before_the_program() -> None:
    """It costs the start of a Python."""
    assert launched(["agent"], limits=ProcessLimits()) == ["agent"]


def test_it_becomes_the_program_with_its_limits(limiter: str | None) -> None:
    """The shell that it becomes has the limit, in blocks of 512 or 1024 bytes."""
    done = run("sh", "-c", "ulimit -f", path=os.environ["PATH"], limiter=limiter)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) in {1_000_000 // 512, 1_000_000 // 1024}


def test_no_limit_is_above_that_of_this_process(limiter: str | None) -> None:
    """Only root may raise it."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    line = launched(["sh", "-c", "ulimit -Hf"], limits=ProcessLimits(file_bytes=1 << 62), limiter=limiter)
    own = subprocess.run(["sh", "-c", "ulimit -Hf"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert most == resource.RLIM_INFINITY or done.stdout == own


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ])
def test_the_program_ends_by_signals_that_python_ignores(limiter: str | None, number: signal.Signals) -> None:
    """As it does when nothing is before it: `yes | head` ends, and so does what writes a file too large."""
    done = run("sh", "-c", f"kill -{number.value} $$; true", path=os.environ["PATH"], limiter=limiter)
    assert done.returncode == -number


@pytest.mark.parametrize(("mode", "why"), [(0o644, "Permission denied"), (None, "No such file")])
def test_a_program_that_cannot_be_run_is_said(
    tmp_path: Path, mode: int | None, why: str, limiter: str | None
) -> None:
    """As a shell would: 127 or 126, with the reason that says most."""
    if mode is not None:
        (tmp_path / "agent").touch(mode=mode)
    done = run("agent", path=f"/nowhere:{tmp_path}", limiter=limiter)
    assert done.returncode in {126, 127}
    assert "agent" in done.stderr
    assert why in done.stderr


def test_the_first_program_of_the_path_is_run(tmp_path: Path, limiter: str | None) -> None:
    """One that may not be run is passed over; an absolute path is not looked for."""
    for name, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "agent").write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name / "agent").chmod(mode)
    path = ":".join(str(tmp_path / name) for name in "abc")
    assert run("agent", "1", "ä", path=path, limiter=limiter).stdout == "b 1 ä\n"
    assert run(str(tmp_path / "c" / "agent"), path=path, limiter=limiter).stdout == "c\n"
