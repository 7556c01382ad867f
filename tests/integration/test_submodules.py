"""Submodules are there: for agents as plain files, for CI as git makes them."""

from pathlib import Path

import pytest

from routing.errors import NotFoundError
from routing.forges.commit_status import StatusState
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
