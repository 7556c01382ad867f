"""The whole way of one issue on the local forge: a file, a commit, CI, a merge, and a closed issue.

The local forge is a folder of issues as Markdown files, a git repository, and a command that serves as CI.
It implements the same protocol as GitHub and Gitea, so that everything can be tried on a machine with
nothing but git. Here each step is taken by hand, which the fleet's ticks take in turn.
"""

from pathlib import Path

import pytest

from routing.forges.change_request import ChangeState
from routing.forges.commit_status import CiVerdict
from routing.forges.errors import ForgeRefusedError
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.issues.issue import IssueRef
from routing.sandbox.profile import SandboxKind
from tests.repositories import TemporaryRepository, new_repository

BRANCH = "coalmine/0123456789abcdef"
ISSUE = IssueRef(forge="local", repo="shop", number=3)


@pytest.fixture
def repository(tmp_path: Path) -> TemporaryRepository:
    """A real repository, with `main` checked out."""
    return new_repository(tmp_path)


@pytest.fixture
def forge(repository: TemporaryRepository, tmp_path: Path) -> LocalForge:
    """Its forge, with one issue; CI wants the file that the issue asks for."""
    issues = tmp_path / "issues"
    issues.mkdir()
    (issues / "3.md").write_text("---\ntitle: Greet\nlabels: [agent]\n---\nThe greeting is missing.\n")
    return LocalForge.of(
        LocalConfig(
            ci_sandbox=SandboxKind.NONE,
            repository=repository.path,
            issues=issues,
            state=tmp_path / "state",
            ci="test -e greeting.txt",
            ci_seconds=60,
            merge="green",
        )
    )


def test_an_issue_becomes_a_merged_commit(forge: LocalForge, repository: TemporaryRepository) -> None:
    """From the file to the main branch, and back to the file."""
    (issue,) = forge.list_issues("shop", "agent").issues
    assert (issue.ref, issue.title) == (ISSUE, "Greet")

    head = repository.work(BRANCH, {"greeting.txt": "hello\n"})  # what an agent pushes
    change = forge.change_of_branch("shop", BRANCH)
    assert change is not None
    assert change.head == head

    forge.run_ci(head)
    assert forge.statuses("shop", head).verdict is CiVerdict.GREEN

    merged = forge.merge(change, issue=ISSUE)
    assert merged.state is ChangeState.MERGED
    assert (repository.path / "greeting.txt").read_text() == "hello\n", "the checkout is kept in step"

    forge.close(ISSUE)
    assert forge.read_issue(ISSUE).state == "closed"


def test_red_work_is_not_merged(forge: LocalForge, repository: TemporaryRepository) -> None:
    """CI did not find the file; `main` stays where it was."""
    before = repository.tip()
    head = repository.work(BRANCH, {"farewell.txt": "bye\n"})
    change = forge.change_of_branch("shop", BRANCH)
    assert change is not None
    forge.run_ci(head)
    assert forge.statuses("shop", head).verdict is CiVerdict.RED
    with pytest.raises(ForgeRefusedError):
        forge.merge(change, issue=ISSUE)
    assert repository.tip() == before
