"""Repacking a mirror from which work trees borrow: nothing that one of them stands on is lost."""

import subprocess
from pathlib import Path

import pytest

from routing.git.git import Git
from routing.git.remote import Remote
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.mirror_packs import AGAIN_SECONDS, MANY_PACKS, is_untidy, repack_mirrors
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB, OTHER = "00000000000000aa", "00000000000000bb"

#: When the first try is made, in the time of files.
NOON = 1_700_000_000.0


class Host:
    """One host's folder, and a remote whose main branch is rewritten now and then."""

    def __init__(self, folder: Path) -> None:
        self.seed, self.remote = folder / "seed", folder / "remote.git"
        self.seed.mkdir()
        Git(self.seed)("init", "--quiet", "--initial-branch=main")
        Git(folder)("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.place = RepositoryPlace(work_dir=folder / "work", repository="team/shop")
        self.rewrite("first")

    @property
    def mirror(self) -> Path:
        """The mirror."""
        return self.place.mirror

    def rewrite(self, text: str) -> None:
        """Replace the remote's main branch by one that has nothing of the old one."""
        git = Git(self.seed)
        (self.seed / "sum.py").write_text(f"{text}\n")
        git("checkout", "--quiet", "--orphan", f"b-{text}")
        git("add", "--all")
        git("commit", "--quiet", f"--message={text}")
        git("push", "--quiet", "--force", str(self.remote), "HEAD:refs/heads/main")

    def open(self, job: str) -> Worktree:
        """Give a job its tree; the mirror fetches for it."""
        return open_worktree(self.place, remote=Remote(address=str(self.remote)), job_id=job)

    def pack_often(self) -> None:
        """Let as many packs gather as many fetches leave."""
        git = Git(self.mirror)
        files = [self.seed.parent / f"file-{number}" for number in range(MANY_PACKS + 1)]
        for file in files:
            file.write_text(file.name)
        blobs = git("hash-object", "-w", "--stdin-paths", stdin="".join(f"{file}\n" for file in files))
        for blob in blobs.splitlines():
            git("pack-objects", "--quiet", "objects/pack/pack", stdin=f"{blob}\n")
        git("prune-packed")

    def repack(self, now: float = NOON) -> list[Path]:
        """Have the host's mirrors repacked."""
        return repack_mirrors(self.place.work_dir, now=lambda: now)

    def packs(self) -> int:
        """How many packs the mirror has."""
        return len(list((self.mirror / "objects" / "pack").glob("*.pack")))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host."""
    return Host(tmp_path)


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_borrowing_tree_reads_what_no_branch_names_any_more(host: Host, *, packed: bool) -> None:
    """Its base was rewritten upstream: the mirror has the commit for this tree's sake alone, and keeps it."""
    tree = host.open(JOB)
    if packed:
        Git(host.mirror)("repack", "-a", "-d", "--quiet")
    host.rewrite("second")
    other = host.open(OTHER)
    host.pack_often()
    assert host.repack() == [host.mirror]
    assert host.packs() == 1
    assert not is_untidy(host.mirror)
    git = Git(tree.path)
    assert git("show", "HEAD:sum.py") == "first"
    assert git("status", "--porcelain") == ""
    git("fsck", "--strict", "--connectivity-only")
    assert Git(other.path)("show", "HEAD:sum.py") == "second"
    (tree.path / "more.py").write_text("third\n")
    git("add", "more.py")
    git("commit", "--quiet", "--message=Work")
    pushed = f"{tree.push().commit}"
    remote = Git(host.remote)
    assert remote("rev-parse", f"{pushed}^") == remote("rev-parse", "main"), "its work alone goes there"
    assert [remote("show", f"{pushed}:{name}") for name in ("sum.py", "more.py")] == ["second", "third"]


def test_git_that_runs_meanwhile_finds_the_new_pack(host: Host) -> None:
    """It has read which packs there are; then they are replaced; it goes on reading."""
    tree = host.open(JOB)
    Git(host.mirror)("repack", "-a", "-d", "--quiet")
    host.pack_often()
    command, pipe = ["git", "cat-file", "--batch"], subprocess.PIPE
    with subprocess.Popen(command, cwd=tree.path, stdin=pipe, stdout=pipe, text=True) as git:
        assert _asked(git, "HEAD").startswith("tree ")
        assert host.repack() == [host.mirror]
        assert _asked(git, "HEAD:sum.py") == "first\n"
        git.communicate()


def _asked(git: "subprocess.Popen[str]", name: str) -> str:
    """The content of an object, by a git that goes on running."""
    assert git.stdin is not None
    assert git.stdout is not None
    git.stdin.write(f"{name}\n")
    git.stdin.flush()
    size = int(git.stdout.readline().split()[2])
    return git.stdout.read(size + 1)[:size]


def test_tidy_mirror_is_left_alone(host: Host) -> None:
    """A few objects are not enough."""
    host.open(JOB)
    assert host.repack() == []


def test_it_is_tried_once_a_day(host: Host) -> None:
    """However many packs there are by then, and whatever came of it."""
    host.open(JOB)
    host.pack_often()
    assert host.repack() == [host.mirror]
    host.pack_often()
    assert host.repack(NOON + AGAIN_SECONDS - 1) == []
    assert host.repack(NOON + AGAIN_SECONDS) == [host.mirror]


def test_mirror_that_is_fetching_is_looked_at_again(host: Host) -> None:
    """Nobody waits for a fetch, and the day's try is not used up."""
    host.open(JOB)
    host.pack_often()
    with host_lock(host.mirror.with_suffix(".lock"), patience_seconds=0.0):
        assert host.repack() == []
    assert host.repack() == [host.mirror]


def test_remains_of_a_git_that_was_killed_are_removed(host: Host) -> None:
    """They would fill the disk, one a day."""
    host.open(JOB)
    host.pack_often()
    left = [host.mirror / "objects" / "pack" / name for name in ("tmp_pack_abc", ".tmp-12-pack-1.pack")]
    for file in left:
        file.write_bytes(b"half a pack")
    host.repack()
    assert not any(file.exists() for file in left)


def test_mirror_that_cannot_be_repacked_keeps_no_other(host: Host, tmp_path: Path) -> None:
    """A broken one is reported; the next one is repacked, and the broken one tried again in a day."""
    host.open(JOB)
    host.pack_often()
    broken = tmp_path / "work" / "a-shop" / ".coalmine" / "mirror.git"
    (broken / "objects" / "pack").mkdir(parents=True)
    for number in range(MANY_PACKS + 1):
        (broken / "objects" / "pack" / f"pack-{number}.pack").write_bytes(b"none")
    (broken / "HEAD").write_text("no head\n")
    assert host.repack() == [host.mirror]
    assert broken.with_suffix(".repacked").stat().st_mtime == NOON
