"""Git LFS: agents get the files, and what they add arrives, without a server of LFS's."""

import hashlib
from pathlib import Path

import pytest

from routing.git.git import Git
from routing.git.lfs import LfsStore, lfs_objects, uses_lfs
from routing.git.own_settings import lfs_filters
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import Remote
from tasks.agents.repository.agent_repository import deliver_lfs_objects
from tasks.agents.repository.our_git import our_git
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB = "00000000000000aa"
BRANCH = f"coalmine/{JOB}"


def pointer(content: bytes) -> tuple[str, str]:
    """The name of an object, and the pointer that stands for it."""
    name = hashlib.sha256(content).hexdigest()
    return name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {len(content)}\n"


def put(tree: Path, file: str, content: bytes, *, git_dir: Path | None) -> str:
    """Commit a file as git-lfs does: a pointer, and the object beside the repository."""
    name, text = pointer(content)
    (tree / file).write_text(text)
    if git_dir is not None:
        path = LfsStore.of(git_dir).path_of(name)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    Git(tree)("add", "--all")
    Git(tree)("commit", "--quiet", f"--message=Add {file}")
    return name


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with one file in LFS."""
    path = tmp_path / "shop"
    path.mkdir()
    Git(path)("init", "--quiet", "--initial-branch=main")
    (path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    put(path, "old.bin", b"old", git_dir=path / ".git")
    return path


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder."""
    return RepositoryPlace(work_dir=tmp_path / "work", repository="shop")


def opened(place: RepositoryPlace, shop: Path) -> Worktree:
    """The job's tree."""
    return open_worktree(place, remote=Remote(address=str(shop)), job_id=JOB)


def test_objects_of_a_commit_are_found_by_their_pointers(shop: Path) -> None:
    """Those of its files, or of all commits since another one."""
    git = Git(shop)
    first, old = git("rev-parse", "HEAD"), pointer(b"old")[0]
    new = put(shop, "new.bin", b"new", git_dir=None)

    assert uses_lfs(git, "HEAD")
    assert set(lfs_objects(git, "HEAD")) == {old, new}
    assert lfs_objects(git, "HEAD", [f"^{first}"]) == [new]


def test_mirror_lends_the_objects_of_the_remote(place: RepositoryPlace, shop: Path) -> None:
    """Git LFS finds them beside the objects that a tree borrows."""
    opened(place, shop)

    assert LfsStore.of(place.mirror).path_of(pointer(b"old")[0]).read_bytes() == b"old"


def test_no_server_that_a_commit_names_is_asked(place: RepositoryPlace, shop: Path) -> None:
    """The worker's git-lfs takes what is here: an agent's `.lfsconfig` may name any address."""
    tree = opened(place, shop)
    access = our_git(tree.git_dir, tree.path).access
    assert access is not None
    assert access.environment["GIT_LFS_SKIP_DOWNLOAD_ERRORS"] == "1"
    assert not lfs_filters() or "lfs.url=file:///nonexistent" in access.options


@pytest.mark.parametrize("turns", [1, 2])
def test_content_that_an_agent_adds_arrives(place: RepositoryPlace, shop: Path, turns: int) -> None:
    """Also when it was added in an earlier turn, whose `.git` is gone."""
    tree = opened(place, shop)
    name = put(tree.path, "new.bin", b"new", git_dir=tree.path / ".git")
    if turns > 1:
        tree = opened(place, shop)
    tree.push()

    assert LfsStore.of(shop / ".git").path_of(name).read_bytes() == b"new"


@pytest.mark.parametrize("fault", ["not there", "forged", "a link"])
def test_content_that_is_nowhere_is_asked_of_the_agent(
    place: RepositoryPlace, shop: Path, fault: str
) -> None:
    """A pointer alone would be a file that nobody can read: the push waits for a corrective turn."""
    tree = opened(place, shop)
    git_dir = tree.path / ".git"
    name = put(tree.path, "new.bin", b"new", git_dir=None if fault == "not there" else git_dir)
    there = LfsStore.of(git_dir).path_of(name)
    if fault == "forged":
        there.write_bytes(b"other")
    if fault == "a link":
        there.rename(shop.parent / "elsewhere")
        there.symlink_to(shop.parent / "elsewhere")

    with pytest.raises(PushRefusedError, match="their content is nowhere") as caught:
        tree.push()
    assert caught.value.kind is RefusalKind.OBJECT
    assert not Git(shop)("branch", "--list", BRANCH)


def test_server_that_takes_no_objects_gets_no_pointers(shop: Path) -> None:
    """Forges over HTTP: what is new in LFS is refused by name, before it is pushed."""
    forge = Remote(address="https://forge.test/acme/shop.git")

    with pytest.raises(PushRefusedError, match="takes no files in Git LFS"):
        deliver_lfs_objects(Git(shop / ".git"), forge, [pointer(b"new")[0]], lenders=[])
    deliver_lfs_objects(Git(shop / ".git"), forge, [], lenders=[])
