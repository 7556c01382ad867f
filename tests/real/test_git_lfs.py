"""Git LFS itself, as the worker, its agents and CI have it installed: what is in a tree and what arrives."""

import os
import shutil
from pathlib import Path

import pytest

from routing.forges.commit_status import StatusState
from routing.forges.local.ci import LocalCI
from routing.git.git import Git
from routing.git.lfs import LfsStore
from routing.git.remote import Remote
from tasks.agents.repository.hand_out import sweep_worktrees
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB, BRANCH = "00000000000000aa", "coalmine/00000000000000aa"
POINTER = b"version https://git-lfs.github.com/spec/v1\n"
OLD, NEW = b"old\0" * 1000, b"new\0" * 1000


@pytest.fixture
def lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the program, which is on the PATH; the user who has it set up is not the worker's."""
    folder = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "lfs" / "git_lfs" / "bin"
    if not (folder / "git-lfs").exists():
        pytest.fail(f"git-lfs is not in {folder}; run tests/real/install.sh first")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def shop(lfs: Path, tmp_path: Path) -> Path:
    """A repository with one file in LFS, set up for it as a person does."""
    del lfs
    path = tmp_path / "shop"
    path.mkdir()
    git = Git(path)
    git("init", "--quiet", "--initial-branch=main")
    git("lfs", "install", "--local")
    git("lfs", "track", "*.bin")
    (path / "old.bin").write_bytes(OLD)
    git("add", "--all")
    git("commit", "--quiet", "--message=Begin")
    assert stored(path, "main", "old.bin").startswith(POINTER)
    return path


def stored(repository: Path, commit: str, file: str) -> bytes:
    """What a commit has of a file, as git keeps it."""
    return Git(repository).raw("cat-file", "blob", f"{commit}:{file}")


def opened(shop: Path, tmp_path: Path) -> Worktree:
    """The job's tree."""
    place = RepositoryPlace(work_dir=tmp_path / "work", repository="shop")
    return open_worktree(place, remote=Remote(address=str(shop)), job_id=JOB)


def arrived(shop: Path, file: str) -> bytes:
    """The content of a file that is in LFS on the job's branch."""
    pointer = stored(shop, BRANCH, file)
    assert pointer.startswith(POINTER)
    return LfsStore.of(shop / ".git").path_of(pointer.split(b"sha256:")[1][:64].decode()).read_bytes()


def without_lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker, on which the program is not installed."""
    assert os.environ["PATH"].partition(":")[2]
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(":")[2])
    assert shutil.which("git-lfs") is None
    del tmp_path


def test_agent_has_the_files_and_idles(shop: Path, tmp_path: Path) -> None:
    """Content is in the tree, turn after turn, and who does nothing has done nothing."""
    for _ in range(2):
        tree = opened(shop, tmp_path)
        assert (tree.path / "old.bin").read_bytes() == OLD
        assert tree.push().commit is None
    assert sweep_worktrees(tmp_path / "work", is_wanted=lambda _: False) == [JOB]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("turns", [1, 2])
def test_work_arrives_as_pointers_with_their_content(
    shop: Path, tmp_path: Path, *, commits: bool, turns: int
) -> None:
    """What an agent commits by git-lfs, and what it leaves for us to commit; CI has the files of it."""
    for turn in range(turns):
        tree = opened(shop, tmp_path)
        (tree.path / "new.bin").write_bytes(NEW + bytes([turn]))
        (tree.path / "old.bin").write_bytes(OLD + b"changed")
        if commits:
            git = Git(tree.path)
            git("lfs", "install", "--local", "--force")
            git("add", "--all")
            git("commit", "--quiet", "--message=Add content", "--allow-empty")
    pushed = tree.push()

    assert arrived(shop, "new.bin") == NEW + bytes([turns - 1])
    assert arrived(shop, "old.bin") == OLD + b"changed"
    assert not pushed.left_out
    again = opened(shop, tmp_path)
    assert (again.path / "new.bin").read_bytes() == NEW + bytes([turns - 1])
    assert again.push().commit == pushed.commit
    ci = LocalCI(
        repo=shop, command="! grep -q git-lfs.github.com new.bin old.bin", timeout_seconds=60,
        work_dir=tmp_path / "ci", state_dir=tmp_path / "state",
    )  # fmt: skip
    assert ci.run(pushed.commit or "").state is StatusState.SUCCESS


def test_server_that_a_commit_names_is_not_asked(shop: Path, tmp_path: Path) -> None:
    """An agent may name any address in `.lfsconfig`; what is not here stays a pointer, and is not work."""
    git = Git(shop)
    asked = tmp_path / "asked"
    asked.mkdir()
    (shop / ".lfsconfig").write_text(f"[lfs]\n\turl = file://{asked}\n")
    git("add", "--all")
    git("commit", "--quiet", "--message=Name a server")
    name = stored(shop, "main", "old.bin").split(b"sha256:")[1][:64].decode()
    there = LfsStore.of(shop / ".git").path_of(name)
    copy = LfsStore(asked / "lfs" / "objects").path_of(name)
    copy.parent.mkdir(parents=True)
    there.rename(copy)

    for _ in range(2):
        tree = opened(shop, tmp_path)
        assert (tree.path / "old.bin").read_bytes().startswith(POINTER)
        assert tree.push().commit is None


def test_worker_without_the_program_commits_no_content(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trees have pointers; content that an agent leaves there is named, and the rest arrives."""
    without_lfs(tmp_path, monkeypatch)
    tree = opened(shop, tmp_path)
    assert (tree.path / "old.bin").read_bytes().startswith(POINTER)
    (tree.path / "new.bin").write_bytes(NEW)
    (tree.path / "left.py").write_text("left\n")
    pushed = tree.push()

    assert stored(shop, BRANCH, "left.py") == b"left\n"
    assert "new.bin" not in Git(shop)("ls-tree", "-r", "--name-only", BRANCH).split()
    assert "files in Git LFS, as git-lfs is not installed here: new.bin" in pushed.left_out


def test_tree_may_change_its_worker(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lfs: Path
) -> None:
    """The program is installed, or taken away, between two turns: an idle agent has done nothing still."""
    with_lfs = os.environ["PATH"]
    assert opened(shop, tmp_path).push().commit is None
    without_lfs(tmp_path, monkeypatch)
    assert opened(shop, tmp_path).push().commit is None
    monkeypatch.setenv("PATH", with_lfs)
    assert opened(shop, tmp_path).push().commit is None
    assert lfs.is_dir()
