"""What an agent can leave in its work tree, and what our git, which has to look at it, makes of that."""

import os
import socket
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from shutil import which

import pytest

from routing.folder_removal import remove_all
from routing.git.git import Git, GitAccess, GitError
from routing.git.push_refusal import PushRefusedError
from routing.git.remote import Remote
from tasks.agents.repository import agent_repository, agent_work
from tasks.agents.repository.hand_out import open_to_group, sweep_worktrees
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import WorkNotTakenError, Worktree, open_worktree
from tests.case_names import cases
from tests.waiting import run

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


def _pipes_in_git(git: Path) -> None:
    """All that git would read in a repository, but for HEAD."""
    for name in ("packed-refs", "index", "included", f"refs/heads/{BRANCH}", "refs/stash", "logs/refs/stash"):
        _pipe(git / name)
    _pipe(git / "objects" / "ab" / ("0" * 38))
    _pipe(git / "objects" / "info" / "alternates")
    _pipe(git / "worktrees" / "one" / "HEAD")
    (git / "config").write_text("[include]\n\tpath = included\n")


def _pipes_in_files(git: Path) -> None:
    """All that git would read among the files, and a tracked file."""
    tree = git.parent
    for name in ("one/.git", "two/.gitattributes", "two/.gitignore", ".gitattributes", ".gitmodules"):
        _pipe(tree / name)
    Git(tree)("init", "--quiet", "nested")
    _pipe(tree / "nested" / ".git" / "HEAD")
    _pipe(tree / "lib.py")


def _garbage(git: Path) -> None:
    (git / "HEAD").write_bytes(b"\xff\0" * 4000)
    (git / "packed-refs").write_bytes(b"\xff\0" * 4000)


#: What is put in the place of `.git`, or of a part of it. None of it is a repository that git wrote.
BROKEN: dict[str, Callable[[Path], None]] = {
    "a pipe for .git": _pipe_instead,
    "a socket for .git": _socket_instead,
    "a loop for .git": _loop_instead,
    "a pipe for HEAD": lambda git: _pipe(git / "HEAD"),
    "a pipe for objects": lambda git: _pipe_instead(git / "objects"),
    "pipes in .git": _pipes_in_git,
    "pipes among the files": _pipes_in_files,
    "garbage": _garbage,
}


@pytest.mark.parametrize("how", cases(BROKEN, quick={"a pipe for .git", "pipes among the files", "garbage"}))
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
    (tree.path / "notes.swp").write_text("of an editor\n")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text("*.swp\n")
    tree.push()
    shop.open()
    shop.open(OTHER_JOB)
    assert "notes.swp" not in shop.files()
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


def test_commits_that_cannot_be_taken_are_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged ones, branches and stashes among them, and those that are too many; the sound ones are kept."""
    monkeypatch.setattr(agent_work, "MOST_ASIDE", 1)
    tree = shop.open()
    git = Git(tree.path)
    for name in ("bad", "good", "more"):
        git("checkout", "--quiet", "-b", name, tree.start)
        found = commit(tree.path, f"{name}.py")
        if name == "bad":
            lost = found
    (tree.path / "sum.py").write_text("stashed\n")
    git("stash")
    stash = git("rev-parse", "stash")
    git("checkout", "--quiet", BRANCH)
    for gone in (lost, stash):
        (tree.path / ".git" / "objects" / gone[:2] / gone[2:]).unlink()
    mine = commit(tree.path, "mine.py")

    pushed = tree.push()
    said = "; ".join(pushed.left_out)
    assert pushed.commit == mine
    assert f"could not be taken, damaged or too large: branch bad ({lost[:12]}), stash 0" in said
    assert "more than 1 branches and stashes, not kept: branch more" in said
    assert [one.partition(" (")[0] for one in pushed.aside] == ["branch good"]
    assert "branch bad" in "; ".join(tree.push(keep_leftovers=False).left_out)


@pytest.mark.parametrize("how", ["gone", "a pipe for HEAD", "a huge list", "many branches"])
def test_repository_that_cannot_be_read_is_named(shop: Shop, how: str) -> None:
    """That nothing was committed there, and that it could not be looked at, are two things."""
    tree = shop.open()
    git = tree.path / ".git"
    if how == "gone":
        remove_all(git)
    elif how == "a pipe for HEAD":
        (git / "packed-refs").unlink(missing_ok=True)
        _away(git / "refs")
        _pipe(git / "HEAD")
    elif how == "a huge list":
        with (git / "packed-refs").open("wb") as file:
            file.truncate(2**40)
    else:
        start = Git(tree.path)("rev-parse", "HEAD")
        lines = "".join(f"{start} refs/heads/b{number:04}\n" for number in range(300))
        (git / "packed-refs").write_text(lines)

    said = "; ".join(tree.push().left_out)
    wanted = {
        "a huge list": "'packed-refs' of the agent's repository is larger",
        "many branches": "101 branches",
    }
    assert wanted.get(how, "no commit is named in its `.git`") in said


@pytest.mark.parametrize("how", ["loose", "packed"])
def test_objects_that_take_too_much_memory_are_not_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A few bytes of an agent's may stand for gigabytes; what is in the files is kept."""
    monkeypatch.setattr(agent_repository, "MOST_MEMORY", 4 * 1024**2)
    tree = shop.open()
    git = Git(tree.path)
    (tree.path / "zeros").write_bytes(bytes(8 * 1024**2))
    first = commit(tree.path, "one.py", "x\n")
    git("add", "zeros")
    git("commit", "--quiet", "--message=Add zeros")
    if how == "packed":
        git("repack", "--quiet", "-adl")

    pushed = tree.push()
    assert pushed.kept_leftovers
    assert pushed.commit not in {None, first, git("rev-parse", "HEAD")}
    assert {"one.py", "zeros"} <= shop.files()


@pytest.mark.parametrize("what", ["quarantine.git", "add?--all"])
def test_full_disk_costs_no_work(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Work that could not be taken for want of room is neither thought absent nor cleared away."""
    tree = shop.open()
    mine = commit(tree.path, "one.py")
    (tree.path / "left.py").write_text("left\n")
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    event = '{"event":"error","fmt":"write error: No space left on device"}'
    words = "fatal: write error: No space left on device"
    full = (
        f'case "$*" in *{what}*) echo "{words}" >&2; echo \'{event}\' >> $GIT_TRACE2_EVENT; exit 128 ;; esac'
    )
    git.write_text(f'#!/bin/sh\n{full}\nexec {which("git")} "$@"\n')
    git.chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{git.parent}:{path}")
    with pytest.raises(WorkNotTakenError, match="No space left"):
        tree.push()
    if what == "quarantine.git":
        with pytest.raises(GitError, match="No space left"):
            shop.open()

    monkeypatch.setenv("PATH", path)
    pushed = shop.open().push()
    assert pushed.kept_leftovers
    assert Git(shop.remote)("rev-parse", f"{pushed.commit}^") == mine
    assert {"one.py", "left.py"} <= shop.files()


@pytest.mark.parametrize("attributes", ["* text eol=lf", "* text=auto", "*.txt working-tree-encoding=UTF-16"])
def test_files_that_differ_by_a_filter_alone_are_nobodys_work(shop: Shop, attributes: str) -> None:
    """An idle agent has done nothing; what a working one touches is its own, such a file included."""
    (shop.seed / "windows.txt").write_bytes(b"one\r\ntwo\r\n")
    (shop.seed / "other.txt").write_bytes(b"three\r\nfour\r\n")
    shop.publish("Files with CRLF")
    (shop.seed / ".gitattributes").write_text(f"{attributes}\n")
    git = Git(shop.seed)
    git("add", ".gitattributes")
    git("commit", "--quiet", "--message=Attributes, and nothing is made to fit them")
    git("push", "--quiet", str(shop.remote), "HEAD:refs/heads/main")

    assert shop.open().push().commit is None
    tree = shop.open()  # handed out a second time
    assert tree.push().commit is None
    (tree.path / "sum.py").write_text("2 + 3\n")
    first = tree.push().commit
    assert Git(shop.remote)("diff", "--name-only", "main", BRANCH) == "sum.py"
    if "encoding" not in attributes:
        (tree.path / "windows.txt").write_text("new\n")
        tree.push()
        assert Git(shop.remote)("diff", "--name-only", first or "", BRANCH) == "windows.txt"


def test_address_of_any_form_is_the_trees_origin(shop: Shop, tmp_path: Path) -> None:
    """Git of the agent's reads what we wrote: quotes, backslashes and what begins a comment."""
    there = tmp_path / 'a "b" \\c #d;.git'
    shop.remote.rename(there)
    shop.remote = there
    tree = Git(shop.open().path)
    assert tree("config", "remote.origin.url") == str(there)
    assert tree("config", "--get-all", "core.bare") == "false"
    tree("fetch", "--quiet", "origin")
    assert tree("status", "--porcelain", "--branch").startswith("## coalmine/")


def test_a_turn_that_died_has_its_leftovers_committed_by_the_next(shop: Shop) -> None:
    """What differs is compared with the first hand-out, not with what the dead turn had made of it."""
    tree = shop.open()
    (tree.path / "left.py").write_text("left\n")
    shop.open().push()
    assert "left.py" in shop.files()


@pytest.mark.parametrize(
    "how", ["a clone", "a work tree", "committed by the agent", "below a tracked folder"]
)
def test_repositories_in_a_tree_are_left_out(shop: Shop, how: str) -> None:
    """No submodule comes of them that nobody can fetch; the files around them are kept."""
    (shop.seed / "src").mkdir()
    (shop.seed / "src" / "a.py").write_text("a\n")
    shop.publish("Add src")
    tree = shop.open()
    git = Git(tree.path)
    commit(tree.path, "done.py")
    (tree.path / "note.txt").write_text("note\n")
    if how == "a work tree":
        git("worktree", "add", "--quiet", "inner", "-b", "helper")
    elif how == "below a tracked folder":
        Git(tree.path / "src")("init", "--quiet")
        (tree.path / "src" / "a.py").write_text("changed\n")
    else:
        git("clone", "--quiet", str(shop.remote), "inner")
        if how == "committed by the agent":
            git("-c", "advice.addEmbeddedRepo=false", "add", "inner")
            git("commit", "--quiet", "--message=By accident")
    pushed = tree.push()

    entries = Git(shop.remote)("ls-tree", "-r", BRANCH)
    assert "160000" not in entries
    assert {"done.py", "note.txt"} <= shop.files()
    if how == "below a tracked folder":
        assert Git(shop.remote)("show", f"{BRANCH}:src/a.py") == "changed"
    else:
        assert "inner" in " ".join(pushed.left_out)


def test_odd_names_are_kept_and_huge_files_are_not_read(shop: Shop) -> None:
    """Bytes that are not UTF-8, line breaks, what git would take for an option or a pattern; a dump."""
    tree = shop.open()
    names = [
        b"\xff\xfe.py",
        b"two\nlines",
        b"-A",
        b":(exclude)sum.py",
        b"*",
        b" ",
        b"a\tb",
        "ümlaut".encode(),
    ]
    for name in names:
        (tree.path / os.fsdecode(name)).write_text("x\n")
    with (tree.path / "core").open("wb") as dump:
        dump.truncate(1 << 40)
    pushed = tree.push()
    listed = Git(shop.remote).raw("ls-tree", "-r", "-z", "--name-only", BRANCH).split(b"\0")
    assert set(names) | {b"sum.py", b"lib.py", b""} == set(listed)
    assert pushed.left_out == ("files of more than 2 GiB: core",)


def test_what_is_ignored_is_not_named(shop: Shop) -> None:
    """Package folders hold repositories, dumps and locked folders; people read of those that are work."""
    tree = shop.open()
    (tree.path / ".gitignore").write_text("deps/\n*.dump\n")
    for folder in (tree.path, tree.path / "deps", tree.path / b"caf\xe9".decode(errors="surrogateescape")):
        folder.mkdir(exist_ok=True)
        Git(folder)("init", "--quiet", "clone")
        for name in ("huge", "huge.dump"):
            with (folder / name).open("wb") as file:
                file.truncate(3 * 1024**3)
    (tree.path / "left.py").write_text("left\n")

    repositories, files = tree.push().left_out
    assert repositories == "repositories in the tree: caf?/clone, clone"
    assert files == "files of more than 2 GiB: caf?/huge, huge"
    assert {"left.py", ".gitignore"} <= shop.files()


def test_a_folder_that_is_too_deep_is_named_in_short(shop: Shop) -> None:
    """Its path is longer than the kernel takes; the rest is kept, and all of it is swept."""
    tree = shop.open()
    (tree.path / "left.py").write_text("left\n")
    folder = os.open(tree.path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    pushed = tree.push()
    assert "left.py" in shop.files()
    assert [len(words) < 200 for words in pushed.left_out] == [True]
    assert "folders that cannot be read: dddd" in pushed.left_out[0]
    sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: False)
    assert not tree.path.exists()


def test_a_submodule_with_an_address_stays(shop: Shop) -> None:
    """Also when the agent changed something in it, which is not ours to commit."""
    other = shop.folder / "lib"
    other.mkdir()
    Git(other)("init", "--quiet")
    head = commit(other, "lib.c")
    git = Git(shop.seed)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "lib")
    shop.publish("Add a submodule")
    tree = shop.open()
    (tree.path / "left.py").write_text("left\n")
    tree.push()
    assert Git(shop.remote)("ls-tree", BRANCH, "lib").split()[2] == head
    assert "left.py" in shop.files()


def _empty(tree: Path, *, without_git: bool = False) -> None:
    for path in tree.iterdir():
        if path.name != ".git" or without_git:
            remove_all(path)


@pytest.mark.parametrize(
    "how",
    cases(
        ["all files", "all files and .git", "the folder", "most files", "a link"],
        quick={"all files", "a link"},
    ),
)
def test_a_tree_whose_files_are_gone_deletes_nothing(shop: Shop, tmp_path: Path, how: str) -> None:
    """What was committed before is pushed, and the next attempt has a whole tree."""
    for number in range(20):
        (shop.seed / f"{number}.py").write_text(f"{number}\n")
    shop.publish("Many files")
    tree = shop.open()
    done = commit(tree.path, "done.py")
    if how == "the folder":
        tree.path.rename(tmp_path / "moved")
        done = ""
    elif how == "a link":
        tree.path.rename(tmp_path / "moved")
        tree.path.symlink_to(tmp_path / "moved")
        done = ""
    elif how == "most files":
        for number in range(15):
            (tree.path / f"{number}.py").unlink()
    else:
        _empty(tree.path, without_git=how.endswith(".git"))
        done = "" if how.endswith(".git") else done

    pushed = tree.push()
    assert pushed.commit == (done or None)
    assert "gone" in " ".join(pushed.left_out)
    again = shop.open()
    assert Git(again.path)("status", "--porcelain") == ""
    assert (again.path / "sum.py").exists()


def test_files_that_were_moved_are_not_gone(shop: Shop) -> None:
    """A tree that is put in another folder is work, and so is a deletion that was committed."""
    tree = shop.open()
    (tree.path / "src").mkdir()
    for name in ("sum.py", "lib.py"):
        (tree.path / name).rename(tree.path / "src" / name)
    tree.push()
    assert shop.files() == {"src/sum.py", "src/lib.py"}
    tree = shop.open()
    Git(tree.path)("rm", "-r", "--quiet", "--cached", ".")
    Git(tree.path)("commit", "--quiet", "--message=Remove all")
    _empty(tree.path)
    (tree.path / "new.py").write_text("new\n")
    tree.push()
    assert shop.files() == {"new.py"}


def test_commits_elsewhere_in_the_tree_are_kept_and_handed_out_again(shop: Shop) -> None:
    """Other branches and stashes, the older ones too, are named and are there in the next attempt."""
    tree = shop.open()
    git = Git(tree.path)
    git("checkout", "--quiet", "-b", "helper")
    helper = commit(tree.path, "helper.py")
    git("checkout", "--quiet", BRANCH)
    for text in ("first", "second"):
        (tree.path / "sum.py").write_text(f"{text}\n")
        git("stash", "--quiet")
    pushed = tree.push()
    assert pushed.commit is None
    assert len(pushed.aside) == 3
    assert pushed.aside[0] == f"branch helper ({helper[:12]})"

    for tree in (shop.open(), shop.open()):
        git = Git(tree.path)
        assert tree.aside == pushed.aside
        assert git("rev-parse", "helper") == helper
        git("stash", "apply", "--quiet", "stash@{1}")
        assert (tree.path / "sum.py").read_text() == "first\n"
        git("checkout", "--quiet", "sum.py")
    git("merge", "--quiet", "helper")
    git("stash", "clear")
    assert shop.open().aside == ()


@pytest.mark.parametrize(
    "where",
    cases(
        ["ahead", "at an older commit", "on another branch", "in a rebase"], quick={"ahead", "in a rebase"}
    ),
)
def test_a_head_that_left_the_branch_loses_nothing(shop: Shop, where: str) -> None:
    """HEAD counts where it has work; where the agent only looked at something, its branch does."""
    tree = shop.open()
    git = Git(tree.path)
    work = commit(tree.path, "work.py")
    if where == "ahead":
        git("checkout", "--quiet", "--detach")
        work = commit(tree.path, "more.py")
    elif where == "at an older commit":
        git("checkout", "--quiet", "--detach", "origin/main")
    elif where == "on another branch":
        git("checkout", "--quiet", "-b", "other", "origin/main")
    else:
        git("checkout", "--quiet", "-b", "other", "origin/main")
        commit(tree.path, "work.py", "another\n")
        git("checkout", "--quiet", BRANCH)
        assert git.attempt("rebase", "other").returncode != 0
    pushed = tree.push()
    assert pushed.commit == work
    assert {"work.py", "sum.py"} <= shop.files()
    again = shop.open()
    assert again.start == work
    assert Git(again.path)("symbolic-ref", "--short", "HEAD") == BRANCH


@pytest.mark.parametrize("branch", [BRANCH, "master"])
def test_a_repository_made_anew_is_refused_and_the_next_attempt_has_the_old_one(
    shop: Shop, branch: str
) -> None:
    """Nothing is pushed, and its files are there for the next attempt."""
    tree = shop.open()
    remove_all(tree.path / ".git")
    git = Git(tree.path)
    git("init", "--quiet", f"--initial-branch={branch}")
    commit(tree.path, "new.py")
    with pytest.raises(PushRefusedError, match="made the repository anew"):
        tree.push()
    assert not shop.files()
    again = shop.open()
    assert again.start == tree.start
    assert Git(again.path)("status", "--porcelain") == "?? new.py"


def test_a_tree_that_cannot_be_removed_stops_nothing(shop: Shop) -> None:
    """Upkeep goes on with the others, and the next attempt gets another tree."""
    tree, other = shop.open(), shop.open(OTHER_JOB)
    (tree.path / "immutable").write_text("x")
    done = run(["chattr", "+i", str(tree.path / "immutable")])  # works for root on most file systems
    try:
        assert set(sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: False)) == {JOB, OTHER_JOB}
        assert not other.path.exists()
        assert (shop.open().path / "sum.py").exists()
    finally:
        if done.returncode == 0:
            left = list(shop.place.out_of_the_way.rglob("immutable"))
            run(["chattr", "-i", *map(str, left)])
    sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: True)
    assert list(shop.place.folder.glob(".coalmine/left/*")) == []


@pytest.mark.parametrize("what", ["folder", "file"])
def test_link_that_takes_an_entrys_place_is_not_opened_to_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Agents of one user reach each other's trees, and one may work while another one's is handed out."""
    tree, private = tmp_path / "tree", tmp_path / "private"
    for folder in (tree / "folder", private):
        folder.mkdir(parents=True)
    (tree / "file").write_text("x\n")
    (private / "key").write_text("key\n")
    (private / "key").chmod(0o600)
    private.chmod(0o700)
    look = os.scandir

    def swapped(where: int) -> AbstractContextManager[Sequence[os.DirEntry[str]]]:
        with look(where) as entries:
            found = list(entries)
        (tree / what).rename(tmp_path / "gone")
        (tree / what).symlink_to(private if what == "folder" else private / "key")
        monkeypatch.setattr(os, "scandir", look)
        return nullcontext(found)

    monkeypatch.setattr(os, "scandir", swapped)
    open_to_group(tree, os.getgid())
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "key").stat().st_mode) == 0o600


def test_folders_below_many_others_stop_no_hand_out(tmp_path: Path) -> None:
    """A thousand levels are more than calls may be deep."""
    top = tmp_path / "tree"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    try:
        open_to_group(top, os.getgid())
        assert (top / "d" / "d").stat().st_mode & stat.S_IWGRP
    finally:
        removal = remove_all(top)  # pytest could not
    assert removal.is_complete


def test_whatever_stands_in_a_trees_place_is_swept(shop: Shop) -> None:
    """A pipe is not waited for, and a link leads to nothing that is removed."""
    others = shop.folder / "others"
    others.mkdir()
    (others / "file").write_text("x")
    trees = [shop.open(job).path for job in (JOB, OTHER_JOB)]
    for tree in trees:
        tree.rename(shop.folder / f"away-{tree.name}")
    os.mkfifo(trees[0])
    trees[1].symlink_to(others)
    assert len(sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: False)) == 2
    assert not any(os.path.lexists(tree) for tree in trees)
    assert (others / "file").exists()


if os.getuid() == 0:  # only root can be two other users
    #: Two users and the group that they share. They need no names.
    WORKER, AGENT, SHARED = 61_001, 61_002, 61_003

    def _as(user: int, do: Callable[[], object]) -> None:
        """Do something in a process of another user, and fail if that fails."""
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setgroups([SHARED])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                do()
                code = 0
            except BaseException:  # noqa: BLE001 - it is shown, and the exit code says that there was one
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0

    @pytest.fixture
    def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
        """A shop of the worker's user, whose trees are open to a group."""
        folder = Path(tempfile.mkdtemp(prefix="two-users-"))
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", str(folder))  # the caller's may be private
        folder.chmod(0o777)
        _as(WORKER, lambda: Shop(folder))
        shop = Shop.__new__(Shop)
        shop.folder, shop.remote = folder, folder / "remote.git"
        shop.place = RepositoryPlace(work_dir=folder / "work", repository="shop", group=SHARED)
        yield shop
        remove_all(folder)

    def _turn(tree: Path, name: str) -> None:
        """Work as an agent does that the worker starts under a group's umask."""
        os.umask(0o002)
        trust = {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(tree)}
        git = Git(tree, access=GitAccess(environment={"GIT_CONFIG_COUNT": "1", **trust}))
        (tree / name).write_text(f"{name}\n")
        (tree / "sum.py").write_text(f"{name}\n")
        git("add", "--all")
        git("commit", "--quiet", f"--message=Add {name}")
        (tree / f"left-{name}").write_text("left\n")
        (tree / "cache" / name).mkdir(parents=True)

    def test_agents_of_another_user_work_turn_after_turn(shared: Shop) -> None:
        """Each commits in a tree of the worker's, which takes it over, hands it out again and removes it."""
        tree = shared.place.tree(JOB)

        def check(name: str) -> None:
            shared.open().push()
            assert {name, f"left-{name}", "sum.py"} <= shared.files()

        for name in ("one.py", "two.py"):
            _as(WORKER, shared.open)
            _as(AGENT, partial(_turn, tree, name))
            _as(WORKER, partial(check, name))
        _as(WORKER, lambda: sweep_worktrees(shared.place.work_dir, is_wanted=lambda _: False))
        assert not tree.exists()
        assert list(shared.place.out_of_the_way.glob("*")) == []

    def test_what_another_user_locked_is_put_out_of_the_way(shared: Shop) -> None:
        """It cannot be removed by the worker; the next turn has a whole tree, and the sweep goes on."""
        tree = shared.place.tree(JOB)

        def lock() -> None:
            for where in (tree / ".git" / "locked", tree / "locked"):
                where.mkdir()
                (where / "file").write_text("x")
                where.chmod(0o500)

        _as(WORKER, shared.open)
        _as(AGENT, lock)
        _as(WORKER, shared.open)
        _as(AGENT, partial(_turn, tree, "one.py"))
        _as(WORKER, lambda: shared.open(OTHER_JOB))
        _as(WORKER, lambda: sweep_worktrees(shared.place.work_dir, is_wanted=lambda _: False))
        assert not tree.exists()
        assert not shared.place.tree(OTHER_JOB).exists()
        assert list(shared.place.out_of_the_way.glob("*"))
