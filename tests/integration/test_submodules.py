"""Submodules are there: for agents as plain files, for CI as git makes them."""

from pathlib import Path

import pytest

from routing.errors import NotFoundError
from routing.forges.commit_status import StatusState
from routing.forges.errors import ForgeUnreachableError
from routing.forges.local.ci import LocalCI
from routing.git.git import Git
from routing.git.remote import Remote
from routing.git.submodules import Submodule, SubmoduleError, Submodules, resolved
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB = "00000000000000aa"
BRANCH = f"coalmine/{JOB}"


def made(path: Path, name: str) -> Path:
    """A repository with one file."""
    path.mkdir(parents=True)
    Git(path)("init", "--quiet", "--initial-branch=main")
    committed(path, name)
    return path


def committed(path: Path, name: str, text: str = "1\n") -> None:
    """One more commit."""
    (path / name).write_text(text)
    Git(path)("add", "--all")
    Git(path)("commit", "--quiet", f"--message=Add {name}")


def with_submodule(outer: Path, url: str, path: str) -> None:
    """Add a submodule as people do."""
    git = Git(outer)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, path)
    git("commit", "--quiet", "--message=A submodule")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with a submodule, beside it, that has one itself."""
    made(tmp_path / "deep", "deep.py")
    with_submodule(made(tmp_path / "lib", "lib.py"), "../deep", "inner")
    shop = made(tmp_path / "shop", "shop.py")
    with_submodule(shop, "../lib", "vendor/lib")
    return shop


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder."""
    return RepositoryPlace(work_dir=tmp_path / "work", repository="shop")


def opened(place: RepositoryPlace, shop: Path) -> Worktree:
    """The job's tree."""
    return open_worktree(place, remote=Remote(address=str(shop)), job_id=JOB)


def test_agent_finds_the_files_of_submodules(place: RepositoryPlace, shop: Path) -> None:
    """Also those of submodules in submodules; git sees nothing changed, in the next turn neither."""
    tree = opened(place, shop)

    assert (tree.path / "vendor/lib/lib.py").is_file()
    assert (tree.path / "vendor/lib/inner/deep.py").is_file()
    assert Git(tree.path)("status", "--porcelain") == ""
    assert tree.push().commit is None
    committed(tree.path, "work.py")
    (tree.path / "vendor/lib/lib.py").write_text("changed\n")
    pushed = tree.push()
    assert Git(shop)("diff", "--name-only", "main", BRANCH) == "work.py"
    again = opened(place, shop)
    assert (again.start, (again.path / "vendor/lib/lib.py").exists()) == (pushed.commit, True)


def test_submodule_that_is_gone_is_named_before_an_agent_is_paid(
    place: RepositoryPlace, shop: Path, tmp_path: Path
) -> None:
    """By its path and its address."""
    Git(shop)("submodule", "--quiet", "deinit", "--all")
    for path in (tmp_path / "lib", shop / ".git" / "modules"):
        path.rename(tmp_path / f"{path.name}-elsewhere")

    with pytest.raises(NotFoundError, match=r"the submodule vendor/lib could not be fetched .* from ../lib"):
        opened(place, shop)


def test_submodules_that_are_not_wanted_stay_empty(
    place: RepositoryPlace, shop: Path, tmp_path: Path
) -> None:
    """Then nobody asks for them, and one that is gone stops nothing."""
    (tmp_path / "lib").rename(tmp_path / "elsewhere")
    remote = Remote(address=str(shop), submodules=False)
    tree = open_worktree(place, remote=remote, job_id=JOB)

    assert not list((tree.path / "vendor/lib").iterdir())


def test_address_of_an_agents_choice_is_not_fetched(
    place: RepositoryPlace, shop: Path, tmp_path: Path
) -> None:
    """What the branch says is the agent's word; main says where a submodule is."""
    made(tmp_path / "private", "secret.py")
    tree = opened(place, shop)
    Git(tree.path)("config", "--file", ".gitmodules", "submodule.vendor/lib.url", str(tmp_path / "private"))
    private = Git(tmp_path / "private")("rev-parse", "HEAD")
    Git(tree.path)("add", ".gitmodules")
    Git(tree.path)("update-index", "--cacheinfo", f"160000,{private},vendor/lib")
    Git(tree.path)("commit", "--quiet", "--message=Look")
    tree.push()
    elsewhere = RepositoryPlace(work_dir=tmp_path / "elsewhere", repository="shop")

    assert not list((opened(elsewhere, shop).path / "vendor/lib").iterdir())


def test_ci_has_the_submodules_in_its_clone(shop: Path, tmp_path: Path) -> None:
    """A command that updates them by itself still works."""
    ci = LocalCI(
        repo=shop,
        command="git submodule update --init && test -f vendor/lib/lib.py -a -f vendor/lib/inner/deep.py",
        timeout_seconds=60,
        work_dir=tmp_path / "ci",
        state_dir=tmp_path / "state",
    )

    assert ci.run(Git(shop)("rev-parse", "HEAD")).state is StatusState.SUCCESS


def ci_of(shop: Path, tmp_path: Path) -> LocalCI:
    """CI whose command always passes."""
    return LocalCI(
        repo=shop, command="true", timeout_seconds=60, work_dir=tmp_path / "ci", state_dir=tmp_path / "state"
    )


def on_a_branch(shop: Path, path: str, url: str, commit: str) -> str:
    """A commit of a work branch that sets a submodule, as an agent may without having it."""
    git = Git(shop)
    git("checkout", "--quiet", "-B", BRANCH, "main")
    git("config", "--file", ".gitmodules", f"submodule.{path}.path", path)
    git("config", "--file", ".gitmodules", f"submodule.{path}.url", url)
    git("add", ".gitmodules")
    git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git("commit", "--quiet", "--message=A submodule of the agent's")
    made_there = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "--force", "main")
    return made_there


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("vendor/new", "../nowhere"),  # a submodule that main does not have
        ("vendor/new", "https://127.0.0.1:1/nobody/listens"),
        ("vendor/lib", "../nowhere"),  # main's, with another address
        ("vendor/lib", "../lib"),  # main's, at a commit that nobody pushed
        ("vendor/new", "ext::sh -c true"),  # one that would run a program
    ],
)
def test_submodule_that_the_work_brought_and_nobody_can_fetch_is_red(
    shop: Path, tmp_path: Path, path: str, url: str
) -> None:
    """With the reason where the agent finds what CI said; the verdict stands."""
    ci, commit = ci_of(shop, tmp_path), on_a_branch(shop, path, url, "1" * 40)

    verdict = ci.run(commit)

    assert verdict.state is StatusState.FAILURE
    assert f"the submodule {path} could not be fetched at 111111111111 from {url}" in verdict.description
    assert path in ci.end_of_log(commit, most_characters=2000)
    assert not ci.needs_run(commit)


@pytest.mark.parametrize("commit", ["HEAD", "1" * 40])
def test_submodule_that_main_cannot_fetch_either_blames_no_work(
    shop: Path, tmp_path: Path, commit: str
) -> None:
    """Neither when it is as on main, nor at another commit while its address does not answer."""
    Git(shop)("submodule", "--quiet", "deinit", "--all", "--force")
    theirs = Git(tmp_path / "lib")("rev-parse", "HEAD") if commit == "HEAD" else commit
    work = on_a_branch(shop, "vendor/lib", "../lib", theirs) if commit != "HEAD" else None
    for path in (tmp_path / "lib", shop / ".git" / "modules"):
        path.rename(tmp_path / f"{path.name}-elsewhere")
    if work is None:
        Git(shop)("checkout", "--quiet", "-b", BRANCH)
        committed(shop, "work.py")
        work = Git(shop)("rev-parse", "HEAD")
    ci = ci_of(shop, tmp_path)

    with pytest.raises(ForgeUnreachableError, match="vendor/lib could not be fetched"):
        ci.run(work)
    assert ci.needs_run(work)


def test_agent_can_repair_a_submodule_at_a_commit_that_nobody_has(place: RepositoryPlace, shop: Path) -> None:
    """Its next turn finds an empty folder: CI says why, and nothing keeps it from working."""
    on_a_branch(shop, "vendor/lib", "../lib", "1" * 40)

    assert not list((opened(place, shop).path / "vendor/lib").glob("*"))


@pytest.mark.parametrize(
    ("url", "outer", "address"),
    [
        ("../lib", "/home/ann/shop", "/home/ann/lib"),
        ("../lib", "/home/ann/shop/", "/home/ann/lib"),
        ("./lib", "https://forge.test/acme/shop.git", "https://forge.test/acme/shop.git/lib"),
        ("../../other/lib.git", "https://forge.test/acme/shop.git", "https://forge.test/other/lib.git"),
        ("../lib", "git@forge.test:acme/shop", "git@forge.test:acme/lib"),
        ("https://forge.test/x", "/home/ann/shop", "https://forge.test/x"),
    ],
)
def test_relative_address_is_beside_the_outer_repository(url: str, outer: str, address: str) -> None:
    """As git does it."""
    assert resolved(url, outer) == address


@pytest.mark.parametrize("url", ["ext::sh -c id", "--upload-pack=id", "/home/ann/private", "file:///private"])
def test_repository_on_a_server_reads_nothing_of_this_disk(tmp_path: Path, url: str) -> None:
    """Nor does it run a program."""
    remote = Remote(address="https://forge.test/acme/shop.git")
    lib = Submodule(name="lib", path="lib", url=url, commit="1" * 40)
    modules = Submodules(remote=remote, cache=tmp_path / "modules")

    with pytest.raises(SubmoduleError):
        modules._write(lib, tmp_path / "lib", remote.address, levels=1)  # noqa: SLF001 - what every way ends in
