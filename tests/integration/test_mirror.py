"""Mirrors with real git: what the remote may look like, and what a killed git or a bad disk leaves in one."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from routing.errors import UnavailableError
from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository import our_repository as ours
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree
from tests.case_names import cases

JOB, OTHER_JOB = "00000000000000aa", "00000000000000bb"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A repository with two commits on `main`."""
    return made(tmp_path / "remote")


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder, inside of a repository of a person's."""
    Git(tmp_path)("init", "--quiet", "--initial-branch=main")
    return RepositoryPlace(work_dir=tmp_path / "work", repository="shop")


def made(path: Path, *options: str) -> Path:
    """A repository with two commits on `main`."""
    path.mkdir()
    Git(path)("init", "--quiet", "--initial-branch=main", *options)
    for name in ("one", "two"):
        committed(path, name)
    return path


def committed(path: Path, name: str) -> str:
    """One more commit."""
    (path / name).write_text(f"{name}\n")
    git = Git(path)
    git("add", "--all")
    git("commit", "--quiet", f"--message=Add {name}")
    return git("rev-parse", "HEAD")


def opened(place: RepositoryPlace, remote: Path, job: str = JOB) -> Worktree:
    """A job's work tree."""
    return open_worktree(place, remote=Remote(address=str(remote)), job_id=job)


def delivered(place: RepositoryPlace, remote: Path, job: str = OTHER_JOB) -> list[str]:
    """The files of a job's branch after its work was pushed."""
    tree = opened(place, remote, job)
    committed(tree.path, f"work-{job}")
    tree.push()
    return Git(remote)("ls-tree", "--name-only", f"coalmine/{job}").split()


@pytest.mark.parametrize(
    ("first", "second"),
    [("release", "release/2.0"), ("a/b/c", "a")],
)
def test_main_branch_may_be_renamed_below_or_above_itself(
    place: RepositoryPlace, remote: Path, first: str, second: str
) -> None:
    """The mirror drops the old name before it fetches the new one."""
    git = Git(remote)
    git("branch", "--move", "main", first)
    opened(place, remote)
    git("branch", "--move", first, second)

    assert opened(place, remote, OTHER_JOB).base.branch == second


@pytest.mark.parametrize("file", ["packed-refs.lock", "refs/heads/main.lock"])
def test_locks_of_a_killed_git_are_cleared_in_the_mirror(
    place: RepositoryPlace, remote: Path, file: str
) -> None:
    """The holder of the mirror's lock is alone with it: the git that made the file is gone."""
    opened(place, remote)
    (place.mirror / file).touch()
    committed(remote, "news")

    assert "news" in delivered(place, remote)
    assert not (place.mirror / file).exists()


@pytest.mark.parametrize("file", ["index.lock", f"refs/heads/coalmine/{JOB}.lock"])
def test_locks_of_a_killed_git_are_cleared_in_a_jobs_repository(
    place: RepositoryPlace, remote: Path, file: str
) -> None:
    """The holder of the job's lease is alone with it."""
    tree = opened(place, remote)
    committed(tree.path, "half")
    (place.git_dir(JOB) / file).touch()

    assert tree.push().commit
    (place.git_dir(JOB) / file).touch()
    assert delivered(place, remote, JOB) == ["half", "one", "two", f"work-{JOB}"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="nobody says there which process works where")
def test_lock_of_a_git_that_still_runs_is_left_alone(
    place: RepositoryPlace, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git outlives its worker: its lock is its own until it has ended."""
    opened(place, remote)
    lock = place.mirror / "refs/heads/main.lock"
    lock.touch()
    monkeypatch.setattr(ours, "ORPHAN_SECONDS", 0.0)
    waits = ["git", "cat-file", "--batch"]
    with subprocess.Popen(waits, cwd=place.mirror, stdin=subprocess.PIPE) as still:
        with pytest.raises(UnavailableError, match=f"process {still.pid}"):
            opened(place, remote, OTHER_JOB)
        assert lock.exists()
        still.communicate()

    assert opened(place, remote, OTHER_JOB).path.is_dir()


def _emptied(*files: Path) -> None:
    for file in files:
        file.chmod(0o644)
        file.write_bytes(b"")


def _removed(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _folder_with_a_file(path: Path) -> None:
    _removed(path)
    path.mkdir()
    (path / "x").touch()


def _file(path: Path) -> None:
    _removed(path)
    path.touch()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "HEAD is empty": lambda mirror: _emptied(mirror / "HEAD"),
    "a branch is a folder": lambda mirror: _folder_with_a_file(mirror / "refs/heads/main"),
    "the objects are gone": lambda mirror: _removed(mirror / "objects"),
    "objects are empty": lambda mirror: _emptied(*mirror.glob("objects/??/*")),
    "it is a file": _file,
}


@pytest.mark.parametrize("damage", cases(DAMAGE, quick={"HEAD is empty", "the objects are gone"}))
def test_damaged_mirror_is_made_anew(place: RepositoryPlace, remote: Path, damage: str) -> None:
    """Whatever is wrong with it, the next job of the repository runs, and no other repository is touched."""
    opened(place, remote)
    DAMAGE[damage](place.mirror)
    committed(remote, "news")

    assert delivered(place, remote) == ["news", "one", "two", f"work-{OTHER_JOB}"]
    assert Git(place.work_dir.parent)("for-each-ref") == ""


def test_damage_that_no_fetch_sees_is_found_by_the_checkout(place: RepositoryPlace, remote: Path) -> None:
    """The remote has nothing new, and a file of its newest commit cannot be read here."""
    opened(place, remote)
    blob = Git(remote)("rev-parse", "main:one")
    _emptied(place.mirror / "objects" / blob[:2] / blob[2:])

    assert delivered(place, remote) == ["one", "two", f"work-{OTHER_JOB}"]


def test_new_mirror_keeps_what_trees_borrow(place: RepositoryPlace, remote: Path) -> None:
    """A base that was rewritten since is in the mirror alone; the tree that began there is still read."""
    tree = opened(place, remote)
    Git(remote)("commit", "--quiet", "--amend", "--message=Another")
    _emptied(place.mirror / "HEAD")
    opened(place, remote, OTHER_JOB)

    assert Git(tree.path)("log", "--format=%s").split("\n") == ["Add two", "Add one"]


def test_fetch_that_the_remote_cannot_serve_keeps_the_mirror(place: RepositoryPlace, remote: Path) -> None:
    """A remote with a missing object is its owner's to repair: nothing that was fetched is given up."""
    opened(place, remote)
    before = place.mirror.stat().st_ino
    commit = committed(remote, "news")
    (remote / ".git" / "objects" / commit[:2] / commit[2:]).unlink()

    with pytest.raises(UnavailableError):
        opened(place, remote, OTHER_JOB)
    assert place.mirror.stat().st_ino == before


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has every fetch into the mirror, but none into another one, end with these shell commands."""

    def fail(how: str) -> None:
        git = tmp_path / "bin" / "git"
        git.parent.mkdir()
        fetch = f'case "$PWD $*" in */mirror.git*" fetch "*) {how} ;; esac'
        git.write_text(f'#!/bin/sh\n{fetch}\nexec {shutil.which("git")} "$@"\n')
        git.chmod(0o755)
        monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")

    return fail


FULL = '{"event":"error","fmt":"write error: No space left on device"}'


@pytest.mark.parametrize(
    "how",
    [
        "echo fatal: early EOF >&2; exit 128",
        "echo fatal: unable to access >&2; exit 128",
        "echo error: index-pack died >&2; kill -9 $$",
        f"echo '{FULL}' >> $GIT_TRACE2_EVENT; exit 128",
        f"echo '{FULL}' >> $GIT_TRACE2_EVENT; exit 1",
    ],
)
@pytest.mark.parametrize("author", cases(["A <a@b>", "A<a b <c@d>>"], quick={"A<a b <c@d>>"}))
def test_fetch_that_failed_for_a_while_keeps_the_mirror(
    place: RepositoryPlace, remote: Path, failing: Callable[[str], None], how: str, author: str
) -> None:
    """The network, this host's room: nothing is transferred anew, also where old history is malformed."""
    raw = Git(remote)("cat-file", "commit", "HEAD").replace(
        "author Coalmine <coalmine@localhost>", f"author {author}"
    )
    odd = Git(remote)("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=f"{raw}\n")
    Git(remote)("update-ref", "refs/heads/main", odd)
    opened(place, remote)
    before = place.mirror.stat().st_ino
    committed(remote, "news")
    failing(how)

    with pytest.raises(UnavailableError):
        opened(place, remote, OTHER_JOB)
    assert place.mirror.stat().st_ino == before


def test_references_that_cannot_be_written_have_the_mirror_made_anew(
    place: RepositoryPlace, remote: Path, failing: Callable[[str], None]
) -> None:
    """All that was fetched is there, and has no place: git's exit code says so."""
    opened(place, remote)
    committed(remote, "news")
    failing("exit 1")

    assert (opened(place, remote, OTHER_JOB).path / "news").exists()


def test_mirror_of_a_remote_that_is_away_is_not_read_through(
    place: RepositoryPlace, remote: Path, failing: Callable[[str], None]
) -> None:
    """Damage is looked for only once the remote answers, and then it is repaired."""
    opened(place, remote)
    blob = Git(remote)("rev-parse", "main:one")
    _emptied(place.mirror / "objects" / blob[:2] / blob[2:])
    before = place.mirror.stat().st_ino
    committed(remote, "news")
    failing(f"mv {remote} {remote}.away; exit 128")

    with pytest.raises(UnavailableError):
        opened(place, remote, OTHER_JOB)
    assert place.mirror.stat().st_ino == before
    remote.with_name(f"{remote.name}.away").rename(remote)
    failing_ends = place.work_dir.parent / "bin" / "git"
    failing_ends.unlink()
    assert (opened(place, remote, OTHER_JOB).path / "news").exists()


def test_shallow_repository_is_worked_on(place: RepositoryPlace, remote: Path, tmp_path: Path) -> None:
    """History ends where the remote's does, for the agent too, and its work arrives."""
    Git(tmp_path)("clone", "--quiet", "--depth=1", f"file://{remote}", "shallow")
    tree = opened(place, tmp_path / "shallow")

    assert Git(tree.path)("log", "--format=%s") == "Add two"
    assert delivered(place, tmp_path / "shallow", JOB) == ["one", "two", f"work-{JOB}"]
    assert "work" in Git(tmp_path / "shallow")("log", "--format=%s", f"coalmine/{JOB}")


def test_sha256_repository_is_worked_on(place: RepositoryPlace, tmp_path: Path) -> None:
    """Mirror, tree and push have the remote's object format, also when that was another one before."""
    opened(place, made(tmp_path / "old"))
    there = delivered(place, made(tmp_path / "new", "--object-format=sha256"))

    assert there == ["one", "two", f"work-{OTHER_JOB}"]


def test_agent_has_the_tags_of_the_remote(place: RepositoryPlace, remote: Path) -> None:
    """Versions are often made from tags; one that was moved or deleted since is as the remote has it."""
    git = Git(remote)
    git("tag", "v1", "HEAD~1")
    git("tag", "--annotate", "--message=Second", "v2")
    assert Git(opened(place, remote).path)("describe") == "v2"

    git("tag", "--delete", "v2")
    git("tag", "v2/rc1")
    assert Git(opened(place, remote, OTHER_JOB).path)("tag").split() == ["v1", "v2/rc1"]
