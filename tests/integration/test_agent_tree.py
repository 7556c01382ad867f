"""What an agent can leave in its work tree, and what our git, which has to look at it, makes of that."""

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree, sweep_worktrees

JOB = "00000000000000aa"
OTHER_JOB = "00000000000000bb"
BRANCH = f"coalmine/{JOB}"


class Shop:
    """A repository, one host that works on it, and an agent's tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.place = RepositoryPlace(work_dir=folder / "work", repository="shop")
        self.seed = folder / "seed"
        self.seed.mkdir()
        Git(self.seed)("init", "--quiet", "--initial-branch=main")
        (self.seed / "sum.py").write_text("2 + 2\n")
        (self.seed / "lib.py").write_text("lib\n")
        self.publish("Begin")

    def publish(self, message: str) -> None:
        """Commit what is in the seed, and make the remote's main branch of it."""
        git = Git(self.seed)
        git("add", "--all")
        git("commit", "--quiet", f"--message={message}")
        if not self.remote.exists():
            Git(self.folder)("clone", "--quiet", "--bare", str(self.seed), str(self.remote))
        git("push", "--quiet", "--force", str(self.remote), "HEAD:refs/heads/main")

    def open(self, job: str = JOB) -> Worktree:
        """Hand out a job's tree."""
        return open_worktree(self.place, remote=Remote(address=str(self.remote)), job_id=job)

    def files(self) -> set[str]:
        """What the job's branch has on the remote; empty when it is not there."""
        done = Git(self.remote).attempt("ls-tree", "-r", "--name-only", BRANCH)
        return set(done.stdout.split())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop."""
    return Shop(tmp_path)


def commit(tree: Path, name: str, text: str = "x\n") -> str:
    """Commit a file as an agent does."""
    (tree / name).write_text(text)
    git = Git(tree)
    git("add", "--", name)
    git("commit", "--quiet", f"--message=Add {name}")
    return git("rev-parse", "HEAD")


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def _away(path: Path) -> None:
    path.rename(path.parents[3] / f"away-{path.name}")  # out of the tree


def _socket(path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{short}/s")  # the path of a socket may not be long
        Path(short, "s").rename(path)


def _pipe_instead(path: Path) -> None:
    _away(path)
    os.mkfifo(path)


def _socket_instead(path: Path) -> None:
    _away(path)
    _socket(path)


def _loop_instead(path: Path) -> None:
    _away(path)
    path.symlink_to(path)


def _pipe_included(git: Path) -> None:
    _pipe(git / "pipe")
    (git / "config").write_text("[include]\n\tpath = pipe\n")


def _pipe_in_nested(git: Path) -> None:
    Git(git.parent)("init", "--quiet", "nested")
    _pipe(git.parent / "nested" / ".git" / "HEAD")


def _garbage(git: Path) -> None:
    (git / "HEAD").write_bytes(b"\xff\0" * 4000)


#: What is put in the place of `.git`, or of a part of it. None of it is a repository that git wrote.
BROKEN: dict[str, Callable[[Path], None]] = {
    "a pipe for .git": _pipe_instead,
    "a socket for .git": _socket_instead,
    "a loop for .git": _loop_instead,
    "a pipe for HEAD": lambda git: _pipe(git / "HEAD"),
    "a pipe for config": lambda git: _pipe(git / "config"),
    "a pipe that config includes": _pipe_included,
    "a pipe for packed-refs": lambda git: _pipe(git / "packed-refs"),
    "a pipe for a branch": lambda git: _pipe(git / "refs" / "heads" / BRANCH),
    "a pipe for objects": lambda git: _pipe_instead(git / "objects"),
    "a pipe for an object": lambda git: _pipe(git / "objects" / "ab" / ("0" * 38)),
    "a pipe for alternates": lambda git: _pipe(git / "objects" / "info" / "alternates"),
    "a pipe for the index": lambda git: _pipe(git / "index"),
    "a pipe for a nested HEAD": _pipe_in_nested,
    "a pipe for a nested .git": lambda git: _pipe(git.parent / "nested" / ".git"),
    "a pipe for .gitignore": lambda git: _pipe(git.parent / ".gitignore"),
    "a pipe for attributes below": lambda git: _pipe(git.parent / "below" / ".gitattributes"),
    "a pipe for .gitmodules": lambda git: _pipe(git.parent / ".gitmodules"),
    "a pipe for a tracked file": lambda git: _pipe(git.parent / "lib.py"),
    "garbage for HEAD": _garbage,
}


@pytest.mark.parametrize("how", BROKEN)
def test_nothing_in_a_tree_is_waited_for(shop: Shop, how: str) -> None:
    """The files that can be committed are, the next turn has a whole tree, and upkeep removes it."""
    tree = shop.open()
    (tree.path / "left.py").write_text("left\n")
    BROKEN[how](tree.path / ".git")

    tree.push()
    assert {"left.py", "sum.py", "lib.py"} <= shop.files()
    again = shop.open()
    assert Git(again.path)("rev-parse", "HEAD") == again.start
    assert sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: False) == [JOB]
    assert not tree.path.exists()


@pytest.mark.parametrize("how", ["a link", "a gitfile", "a commondir", "alternates", "a link for objects"])
def test_no_other_repository_is_read(shop: Shop, tmp_path: Path, how: str) -> None:
    """An agent that is kept out of a repository cannot have us push what is in there."""
    secret = tmp_path / "secret"
    secret.mkdir()
    Git(secret)("init", "--quiet", "--initial-branch=main")
    Git(secret)("pull", "--quiet", str(shop.remote), "main")
    hidden = commit(secret, "hidden.txt", "top secret\n")
    tree = shop.open()
    git = tree.path / ".git"
    if how == "a link":
        _away(git)
        git.symlink_to(secret / ".git")
    elif how == "a gitfile":
        _away(git)
        git.write_text(f"gitdir: {secret / '.git'}\n")
    else:
        (git / "HEAD").write_text(f"{hidden}\n")
        if how == "a commondir":
            (git / "commondir").write_text(f"{secret / '.git'}\n")
        elif how == "alternates":
            (git / "objects" / "info" / "alternates").write_text(f"{secret / '.git' / 'objects'}\n")
        else:
            _away(git / "objects")
            (git / "objects").symlink_to(secret / ".git" / "objects")

    assert tree.push().commit is None
    assert not Git(shop.remote)("for-each-ref", "refs/heads/coalmine")
    assert shop.open().start == tree.start


def test_a_program_of_the_users_settings_is_not_run(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent of the same user can write there, and name the program in the tree."""
    mark, home = tmp_path / "ran", tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    tree = shop.open()
    (home / ".gitconfig").write_text(
        f'[filter "x"]\n\tclean = touch {mark}; cat\n\tsmudge = touch {mark}; cat\n\trequired = true\n'
        f"[core]\n\tfsmonitor = touch {mark}\n"
    )
    (tree.path / ".gitattributes").write_text("* filter=x\n")
    (tree.path / "left.py").write_text("left\n")
    tree.push()
    shop.open()
    shop.open(OTHER_JOB)
    assert {"left.py", ".gitattributes"} <= shop.files()
    assert not mark.exists()


def test_damaged_objects_never_reach_us(shop: Shop) -> None:
    """A commit whose objects are not what they are called is not taken; the files are."""
    tree = shop.open()
    first = commit(tree.path, "one.py")
    blob = Git(tree.path)("rev-parse", "HEAD:one.py")
    other = Git(tree.path)("hash-object", "-w", "--stdin", stdin="something else\n")
    objects = tree.path / ".git" / "objects"
    target = objects / blob[:2] / blob[2:]
    target.chmod(stat.S_IRWXU)
    target.write_bytes((objects / other[:2] / other[2:]).read_bytes())

    pushed = tree.push()
    assert pushed.commit != first
    assert pushed.kept_leftovers
    assert Git(shop.remote)("show", f"{BRANCH}:one.py") == "x"
    Git(shop.remote)("fsck", "--strict")
