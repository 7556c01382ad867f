"""The judge of pairs in a real sandbox: it scores as before, and code of agents reaches nothing else."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from routing.base import Base
from routing.forges.local.ci_sandbox import CiSandbox
from routing.git.git import Git
from routing.sandbox.bubblewrap_here import Bubblewrap
from routing.sandbox.profile import SandboxKind
from tasks.agents.pairs.handed_work import packed
from tasks.agents.pairs.judge import Judge, Judgement
from tests.repositories import new_repository

CONFINED, OPEN = CiSandbox(kind=SandboxKind.BUBBLEWRAP), CiSandbox(kind=SandboxKind.NONE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A commit of an agent's, and where it began."""

    git: Git
    commit: str
    base: Base
    folder: Path  # with all that is beside it

    def judged(self, command: str, sandbox: CiSandbox = CONFINED) -> Judgement:
        """What a command says of it."""
        judge = Judge(command=command, timeout_seconds=60, sandbox=sandbox)
        return judge.judge(self.git, self.commit, self.base, work_dir=self.folder / "judge", name="shop")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Work on a branch of a repository."""
    repository = new_repository(tmp_path)
    base = Base(branch="main", commit=repository.tip())
    commit = repository.work("coalmine/canary", {"done.txt": "done\n"})
    return Work(git=Git(repository.path / ".git"), commit=commit, base=base, folder=tmp_path)


SCORES = {
    "test -e done.txt && git diff --quiet HEAD~1 -- README.md && touch made && echo coalmine-score: 0.5": 0.5,
    "git show HEAD:cart.txt && test -e missing.txt": 0.0,
}


@pytest.mark.parametrize("command", SCORES)
def test_work_is_scored_in_its_sandbox(work: Work, command: str) -> None:
    """In a clone that borrows, of a job's repository and of work that was handed over."""
    assert work.judged(command).value == SCORES[command]
    handed = packed(work.git, work.commit, work.base)
    judge = Judge(command=command, timeout_seconds=60, sandbox=CONFINED)
    found = judge.judge_handed(handed, work.git.directory, work_dir=work.folder / "judge", name="shop")
    assert found.value == SCORES[command], found


def test_code_that_is_judged_reaches_nothing_beside_it(work: Work) -> None:
    """The user's files, the branches that say whose work it is, the worker, and what listens here."""
    (work.folder / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f'("127.0.0.1", {listening.getsockname()[1]})'
        # Quoted, as a file that the command names would be shown.
        aims = {
            "a secret": f'cat "{work.folder}/sec""ret"',
            "its branch": f'git --git-dir "{work.git.directory}" rev-parse coalmine/canary',
            "the worker": f"ls /proc/{os.getpid()}/root/",
            "the network": f"python3 -c 'import socket; socket.create_connection({address})'",
        }
        line = "; ".join(f"({aim}) >/dev/null 2>&1 && echo '{what}'" for what, aim in aims.items())
        line += "; test -e done.txt"
        without, within = work.judged(line, OPEN), work.judged(line)
    assert (without.value, set(aims) - set(without.last_lines)) == (1.0, set())
    assert (within.value, set(aims) & set(within.last_lines)) == (1.0, set())


def test_where_the_sandbox_does_not_work_nothing_is_judged(work: Work) -> None:
    """The code is not run without: a score would be the work's, and this is not its fault."""
    missing = Bubblewrap(why_not="bwrap is not installed", remedy="install it")
    mark = work.folder / "mark"
    sandbox = CiSandbox(kind=SandboxKind.BUBBLEWRAP, bubblewrap=missing)
    found = work.judged(f'touch "{mark}"', sandbox)
    assert (found.value, mark.exists()) == (None, False)
    assert "bwrap is not installed" in found.note
