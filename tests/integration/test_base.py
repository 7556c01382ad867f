"""Where work begins, and where it goes: the base of a job, with real git."""

from pathlib import Path

import pytest

from routing.base import Base
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.forge import LocalConfig
from routing.forges.local.git import LocalGit
from routing.forges.local.kind import LOCAL
from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree
from tests.repositories import TemporaryRepository, new_repository

JOB, OTHER_JOB = "00000000000000aa", "00000000000000bb"

#: How a person may leave the repository that agents work for.
CHECKED_OUT = {
    "detached": ["--detach"],
    "feature": ["-b", "wip"],
    "unborn": ["--orphan", "wip"],
}


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder."""
    return RepositoryPlace(work_dir=tmp_path / "work", repository="shop")


@pytest.fixture
def server(tmp_path: Path) -> TemporaryRepository:
    """A bare repository with one commit on `main`."""
    return new_repository(tmp_path, bare=True)


def opened(
    place: RepositoryPlace, server: TemporaryRepository, base: Base | None = None, job: str = JOB
) -> Worktree:
    """A job's work tree, with what is known of its base."""
    return open_worktree(place, remote=Remote(address=str(server.path)), job_id=job, base=base)


def work(tree: Worktree, name: str = "work.txt") -> str:
    """An agent's commit."""
    (tree.path / name).write_text("done\n")
    git = Git(tree.path)
    git("add", "--all")
    git("commit", "--quiet", f"--message=Add {name}")
    return git("rev-parse", "HEAD")


@pytest.mark.parametrize("checked_out", CHECKED_OUT)
@pytest.mark.parametrize("name", ["main", "master", "trunk"])
def test_work_begins_at_the_main_branch_whatever_is_checked_out(
    tmp_path: Path, place: RepositoryPlace, name: str, checked_out: str
) -> None:
    """A person's own branch, a detached HEAD or a branch without a commit is never where agents begin."""
    repository = new_repository(tmp_path)
    git = Git(repository.path)
    main = git("rev-parse", "HEAD")
    git("branch", "--move", "main", name)
    git("symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{name}")
    git("checkout", "--quiet", *CHECKED_OUT[checked_out])
    git("commit", "--quiet", "--allow-empty", "--message=Half done")
    remote = LOCAL.remote(LocalConfig(repository=repository.path, issues=tmp_path), "shop")
    tree = open_worktree(place, remote=remote, job_id=JOB)

    assert tree.base == Base(branch=name, commit=main)
    assert LocalGit(repository.path).main_tip() == main


def test_main_branch_is_not_guessed_among_several(tmp_path: Path) -> None:
    """Without `main` or `master` several branches are a question to a person; a bare HEAD answers it."""
    repository = new_repository(tmp_path)
    git = Git(repository.path)
    git("branch", "--move", "main", "trunk")
    git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    assert LocalGit(repository.path).main_branch() == "trunk"

    git("checkout", "--quiet", "-b", "feature")
    with pytest.raises(
        ForgeUnreachableError, match=r"feature, trunk; set it \(COALMINE_FORGE__LOCAL__MAIN\)"
    ):
        LocalGit(repository.path).main_branch()
    assert LocalGit(repository.path, "trunk").main_branch() == "trunk"

    git("config", "core.bare", "true")
    assert LocalGit(repository.path / ".git").main_branch() == "feature"


def test_base_stays_while_the_main_branch_moves(
    tmp_path: Path, place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """Work keeps the commit that it began from: on this host, on another one, and when nobody noted it."""
    first = opened(place, server)
    work(first)
    first.push()
    server.more_work("main", {"news.txt": "of a person\n"})
    elsewhere = RepositoryPlace(work_dir=tmp_path / "elsewhere", repository="shop")
    found = [opened(host, server, base).base for host in (place, elsewhere) for base in (first.base, None)]

    assert found == [first.base] * 4
    assert opened(place, server, first.base, OTHER_JOB).base.commit != first.base.commit


def test_work_keeps_its_branch_when_another_becomes_the_main_branch(
    place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """HEAD of the remote may name another branch in the middle of the work."""
    first = opened(place, server)
    work(first)
    first.push()
    git = Git(server.path)
    git("branch", "next", "main")
    git("symbolic-ref", "HEAD", "refs/heads/next")

    assert opened(place, server, first.base).base.branch == "main"
    assert opened(place, server, job=OTHER_JOB).base.branch == "next"
