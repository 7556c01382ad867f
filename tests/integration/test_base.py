"""Where work begins, and where it goes: the base of a job, with real git."""

from pathlib import Path

import pytest

from routing.base import Base
from routing.forges.change_request import ChangeState
from routing.forges.errors import ForgeBaseGoneError, ForgeUnreachableError
from routing.forges.local.config import LocalConfig
from routing.forges.local.forge import LocalForge
from routing.forges.local.git import LocalGit
from routing.forges.local.kind import LOCAL
from routing.git.git import Git
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, kept_worktree, open_worktree
from tests.repositories import TemporaryRepository, new_repository

JOB, OTHER_JOB = "00000000000000aa", "00000000000000bb"
BRANCH = f"coalmine/{JOB}"

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


@pytest.mark.parametrize(
    ("name", "checked_out"), [("main", "feature"), ("master", "detached"), ("trunk", "unborn")]
)
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


def local_forge(repository: TemporaryRepository, **settings: str) -> LocalForge:
    """A local forge on the repository, whose CI passes everything."""
    (beside := repository.bench.parent / "issues").mkdir(exist_ok=True)
    state = repository.bench.parent / "state"
    config = {"repository": repository.path, "issues": beside, "state": state, "ci": "true", **settings}
    return LocalForge.of(LocalConfig.model_validate(config))


def merged(forge: LocalForge, base: Base | None) -> ChangeState:
    """What became of the work of a job after its CI and its merge."""
    change = forge.change_of_branch("shop", BRANCH)
    assert change is not None
    forge.run_ci(change.head)
    forge.merge(change, base=base)
    landed = forge.change_of_branch("shop", BRANCH)
    assert landed is not None
    return landed.state


def test_what_was_taken_out_of_main_does_not_come_back_with_a_merge(tmp_path: Path) -> None:
    """The branch has a commit of its base that main has no more: a person is asked, main stays as it is."""
    repository = new_repository(tmp_path, bare=True)
    bad = repository.more_work("main", {"password.txt": "s3cret\n"})
    repository.work(BRANCH, {"new.txt": "new\n"})
    repository.git("update-ref", "refs/heads/main", f"{bad}~1")
    forge = local_forge(repository)

    with pytest.raises(ForgeBaseGoneError, match=f"{BRANCH} began from {bad[:12]}, which main does not have"):
        merged(forge, Base(branch="main", commit=bad))
    assert repository.tip() == repository.git("rev-parse", f"{bad}~1")


def test_work_that_was_put_onto_the_rewritten_main_is_merged(tmp_path: Path) -> None:
    """A person may have moved the branch's own commits there: nothing of the old base is in it."""
    repository = new_repository(tmp_path, bare=True)
    bad = repository.more_work("main", {"password.txt": "s3cret\n"})
    repository.git("update-ref", "refs/heads/main", f"{bad}~1")
    repository.work(BRANCH, {"new.txt": "new\n"})

    assert merged(local_forge(repository), Base(branch="main", commit=bad)) is ChangeState.MERGED


def test_work_goes_to_the_branch_that_it_began_from(tmp_path: Path) -> None:
    """The main branch of the settings was changed since; what is only there stays there."""
    repository = new_repository(tmp_path, bare=True)
    base = Base(branch="main", commit=repository.tip())
    repository.work("develop", {"unreleased.txt": "new\n"})
    repository.work(BRANCH, {"new.txt": "new\n"})
    develop = repository.tip("develop")

    assert merged(local_forge(repository, main="develop"), base) is ChangeState.MERGED
    assert repository.git("ls-tree", "--name-only", "main").split() == ["README.md", "cart.txt", "new.txt"]
    assert repository.tip("develop") == develop


@pytest.mark.parametrize("name", ["trunk", "main/2.0"])
def test_work_goes_to_the_renamed_branch(tmp_path: Path, name: str) -> None:
    """Its branch has another name since: the main branch of today has the base, and takes the work."""
    repository = new_repository(tmp_path, bare=True)
    base = Base(branch="main", commit=repository.tip())
    repository.work(BRANCH, {"new.txt": "new\n"})
    repository.git("branch", "--move", "main", name)

    assert merged(local_forge(repository, main=name), base) is ChangeState.MERGED
    assert "new.txt" in repository.git("ls-tree", "--name-only", name)


def rewritten(server: TemporaryRepository, bad: str) -> str:
    """A person takes a commit out of main, and puts another one in its place; returns that one."""
    return server.work("main", {"news.txt": "of a person\n"}, onto=f"{bad}~1")


def test_only_its_own_commits_travel_when_main_was_rewritten(
    place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """What was taken out in the middle of the turn stays out, and the next turn begins without it."""
    bad = server.more_work("main", {"password.txt": "s3cret\n"})
    tree = opened(place, server)
    work(tree, "one.txt")
    work(tree, "two.txt")
    (tree.path / "left.txt").write_text("not committed\n")
    news = rewritten(server, bad)
    pushed = tree.push()

    files = ["README.md", "cart.txt", "left.txt", "news.txt", "one.txt", "two.txt"]
    assert pushed.base == Base(branch="main", commit=news)
    assert server.git("ls-tree", "--name-only", BRANCH).split() == files
    assert server.git("rev-list", "--count", f"main..{BRANCH}") == "3"
    assert not server.git("branch", "--contains", bad)
    again = opened(place, server, pushed.base)
    assert sorted(file.name for file in again.path.iterdir() if file.name != ".git") == files
    assert (again.base, again.start) == (pushed.base, pushed.commit)


def test_push_that_was_not_reported_is_made_again_as_it_was(
    place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """A worker may die between the push and its report: the same commits are there, and nothing older."""
    bad = server.more_work("main", {"password.txt": "s3cret\n"})
    tree = opened(place, server)
    work(tree)
    rewritten(server, bad)
    first = tree.push()
    remote = Remote(address=str(server.path))
    kept = kept_worktree(place, remote=remote, job_id=JOB, base=first.base)
    assert kept is not None

    second = kept.push()
    assert (second.commit, second.base) == (first.commit, first.base)


@pytest.mark.parametrize("why", ["it has conflicts in 'password.txt'", "it is a merge"])
def test_work_that_cannot_be_put_onto_the_rewritten_main_is_a_persons(
    place: RepositoryPlace, server: TemporaryRepository, why: str
) -> None:
    """Nothing is pushed: not the old commits, and not half of the new ones."""
    bad = server.more_work("main", {"password.txt": "s3cret\n"})
    tree = opened(place, server)
    if why == "it is a merge":
        Git(tree.path)("checkout", "--quiet", "-b", "side")
        work(tree, "side.txt")
        Git(tree.path)("checkout", "--quiet", BRANCH)
        work(tree)
        Git(tree.path)("merge", "--quiet", "-m", "Both", "side")
    else:
        (tree.path / "password.txt").write_text("better\n")
        work(tree)
    rewritten(server, bad)

    with pytest.raises(PushRefusedError, match=why) as caught:
        tree.push()
    assert caught.value.kind is RefusalKind.REWRITTEN
    assert not server.git("branch", "--list", BRANCH)


def test_unreleased_work_does_not_travel_when_its_branch_was_deleted(
    place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """It was the default branch, and was never merged: only the job's own commits go to main."""
    server.work("develop", {"unreleased.txt": "new\n"})
    server.git("symbolic-ref", "HEAD", "refs/heads/develop")
    tree = opened(place, server)
    work(tree)
    server.git("symbolic-ref", "HEAD", "refs/heads/main")
    server.git("update-ref", "-d", "refs/heads/develop")

    assert tree.push().base == Base(branch="main", commit=server.tip())
    assert server.git("diff", "--name-only", "main", BRANCH) == "work.txt"


def test_work_on_a_main_that_moved_forward_is_pushed_as_it_is(
    place: RepositoryPlace, server: TemporaryRepository
) -> None:
    """Nothing was taken out, so the agent's commit keeps its name, and its base."""
    tree = opened(place, server)
    commit = work(tree)
    server.more_work("main", {"news.txt": "of a person\n"})
    pushed = tree.push()

    assert (pushed.commit, pushed.base) == (commit, tree.base)
