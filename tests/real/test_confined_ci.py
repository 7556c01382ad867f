"""CI of the local forge in a real sandbox: it judges as before, and code of agents reaches nothing else."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from routing.forges.commit_status import StatusState
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.ci import LocalCI
from routing.forges.local.ci_sandbox import CiSandbox
from routing.git.git import Git
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import NetworkMode, SandboxKind
from tests.real.sandbox_bench import long_sleep, sleepers
from tests.repositories import TemporaryRepository, new_repository

#: Waits for a file.
THERE = "until test -e there; do sleep 0.05; done"

CONNECT = "python3 -c 'import socket; socket.socket(2).connect((\"127.0.0.1\", {port}))'"


@pytest.fixture
def repository(tmp_path: Path) -> TemporaryRepository:
    """A repository with a commit on its main branch."""
    return new_repository(tmp_path)


def ci(repository: TemporaryRepository, line: str, **sandbox: Any) -> LocalCI:
    """CI that is a shell line, in a sandbox."""
    folder = repository.bench.parent
    given: dict[str, Any] = {"kind": SandboxKind.BUBBLEWRAP, **sandbox}
    return LocalCI(
        repo=repository.path, command=line, timeout_seconds=60, work_dir=folder / "ci",
        state_dir=folder / "state", sandbox=CiSandbox(**given),
    )  # fmt: skip


def state(made: LocalCI, repository: TemporaryRepository) -> StatusState:
    """The verdict on the main branch."""
    return made.run(repository.tip()).state


def log(made: LocalCI, repository: TemporaryRepository) -> str:
    """What CI printed."""
    return (made.state_dir / "logs" / f"{repository.tip()}.log").read_text()


def test_ci_judges_in_its_sandbox(repository: TemporaryRepository) -> None:
    """With the whole repository and programs of the PATH, it builds in its clone; the log says in what."""
    line = "git log -1 && git diff --stat HEAD && python3 -c 'print(1)' && make --version && touch made"
    made = ci(repository, line)
    assert state(made, repository) is StatusState.SUCCESS, log(made, repository)
    assert "in a sandbox, network: none" in log(made, repository).splitlines()[0]


def test_a_repository_that_borrows_objects_is_whole(repository: TemporaryRepository) -> None:
    """As a clone of the user's with `--shared` does."""
    folder = repository.bench.parent / "borrower"
    Git(repository.path)("clone", "--quiet", "--shared", str(repository.path), str(folder))
    borrowing = TemporaryRepository(folder, repository.bench)
    made = replace(ci(repository, "git log -p >/dev/null"), repo=folder)
    assert made.run(borrowing.git("rev-parse", "HEAD")).state is StatusState.SUCCESS


def test_code_under_test_reaches_nothing_beside_it(repository: TemporaryRepository) -> None:
    """The user's files, the forge's own state, and what listens on the machine."""
    folder = repository.bench.parent
    (folder / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connect = CONNECT.format(port=listening.getsockname()[1])
        lines = [
            f'cat "{folder}/sec""ret"',
            f'ls "{folder}/state"',
            "cat ~/.gitconfig",
            connect,
            "touch /usr/x",
        ]
        made = ci(repository, "; ".join(f"({line}) 2>/dev/null && echo reached" for line in lines) + "; true")
        assert state(made, repository) is StatusState.SUCCESS
        assert "reached" not in log(made, repository)
        whole = ci(repository, f"{connect} && echo reached", network=NetworkMode.FULL)
        assert state(replace(whole, state_dir=folder / "other"), repository) is StatusState.SUCCESS


def test_what_the_settings_show_is_there(repository: TemporaryRepository) -> None:
    """Read-only, or writable for a cache."""
    folder = repository.bench.parent
    for name in ("shown", "cache"):
        (folder / name).mkdir()
    line = f'touch "{folder}/cache/new" && ls "{folder}/shown" && ! touch "{folder}/shown/new"'
    made = ci(repository, line, read=[folder / "shown"], write=[folder / "cache"])
    assert state(made, repository) is StatusState.SUCCESS, log(made, repository)
    assert (folder / "cache" / "new").exists()


def test_no_process_outlives_ci(repository: TemporaryRepository) -> None:
    """Whatever it did to escape."""
    long = long_sleep()
    made = ci(repository, f"setsid env -i sh -c 'touch there; sleep {long}' >/dev/null 2>&1 & {THERE}")
    assert state(made, repository) is StatusState.SUCCESS
    assert not sleepers(long)
    assert Git(repository.path)("status", "--porcelain") == ""


@pytest.mark.parametrize("kind", [SandboxKind.AUTO, SandboxKind.BUBBLEWRAP])
def test_where_no_sandbox_works_it_is_said(repository: TemporaryRepository, kind: SandboxKind) -> None:
    """`auto` goes on without and says so; what was asked for by name judges nothing."""
    missing = Bubblewrap(why_not="bwrap is not installed", remedy="install it")
    made = ci(repository, "true", kind=kind, bubblewrap=missing)
    if kind is SandboxKind.AUTO:
        assert state(made, repository) is StatusState.SUCCESS
        assert "without a sandbox, as bwrap is not installed" in log(made, repository)
        return
    with pytest.raises(ForgeUnreachableError, match="bwrap is not installed"):
        state(made, repository)
    assert not made.statuses(repository.tip()).statuses
