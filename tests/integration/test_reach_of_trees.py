"""What an agent's tree can read: its own work and what people have, and nothing of other jobs."""

import time
from pathlib import Path

import pytest

from console.doctor.sandbox import mirrors
from routing.git.git import Git, GitAccess
from routing.git.remote import Remote
from routing.store.redis.health import Status
from tasks.agents.repository import our_repository as ours
from tasks.agents.repository.mirror import host_lock
from tasks.agents.repository.place import RepositoryPlace, shadow_ref, shadows_beside
from tasks.agents.repository.shadows import MOST_SHADOWS, SHADOW_SECONDS, drop_old_shadows
from tasks.agents.repository.worktree import Worktree, open_worktree

JOB, OTHER, SHADOW, CHILD = (f"{letter * 2:0>16}" for letter in "abcd")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A repository with a file on `main`, and another branch of people's."""
    path = tmp_path / "remote"
    path.mkdir()
    git = Git(path)
    git("init", "--quiet", "--initial-branch=main")
    commit(path, "main")
    git("branch", "people")
    return path


@pytest.fixture
def place(tmp_path: Path) -> RepositoryPlace:
    """One host's folder."""
    return host(tmp_path, "work")


def host(folder: Path, name: str) -> RepositoryPlace:
    """Another host's folder."""
    return RepositoryPlace(work_dir=folder / name, repository="shop")


def opened(
    place: RepositoryPlace, remote: Path, job: str = JOB, *, keeps: bool = False, pushed: tuple[str, ...] = ()
) -> Worktree:
    """A job's work tree."""
    return open_worktree(
        place, remote=Remote(address=str(remote)), job_id=job, keeps=keeps, pushed=pushed
    )  # fmt: skip


def commit(tree: Path, what: str) -> str:
    """Work that no other job's looks like."""
    (tree / f"{what}.txt").write_text(f"the work of {what}\n")
    Git(tree)("add", "--all")
    Git(tree)("commit", "--quiet", f"--message=Work of {what}")
    return Git(tree)("rev-parse", "HEAD")


def worked(place: RepositoryPlace, remote: Path, job: str, *, keeps: bool = False) -> str:
    """A whole turn of a job, until its work is pushed or kept."""
    tree = opened(place, remote, job, keeps=keeps)
    commit(tree.path, job)
    pushed = tree.push().commit
    assert pushed
    return pushed


def within_reach(tree: Worktree) -> str:
    """All objects that the repository in a tree can read, in words."""
    git = Git(tree.path)
    listed = git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)").splitlines()
    kinds = dict(line.split() for line in listed)
    return "\n".join(git("cat-file", "-p", name) for name, kind in kinds.items() if kind != "tree")


def test_no_object_of_another_job_is_within_reach(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """Not of one that pushed, of a shadow, nor of one that another host began; in every turn."""
    early = opened(place, remote)
    worked(place, remote, OTHER)
    worked(place, remote, SHADOW, keeps=True)
    worked(host(tmp_path, "elsewhere"), remote, CHILD)
    resumed = opened(place, remote, CHILD)
    again = opened(place, remote, OTHER)
    assert (resumed.resumed, again.resumed) == (True, True)
    assert f"the work of {CHILD}" in within_reach(resumed), "its own is there"

    for tree in (early, opened(place, remote), opened(place, remote, f"{'e' * 16}", keeps=True)):
        found = within_reach(tree)
        assert "the work of main" in found
        assert not [job for job in (OTHER, SHADOW, CHILD) if job in found]


def test_mirror_has_the_branches_that_jobs_begin_from_alone(place: RepositoryPlace, remote: Path) -> None:
    """What people's main branch gets is there for all, with the work of jobs that was merged."""
    pushed = worked(place, remote, OTHER)
    opened(place, remote, OTHER)
    assert Git(place.mirror).attempt("cat-file", "-e", pushed).returncode != 0
    Git(remote)("merge", "--quiet", f"coalmine/{OTHER}")

    assert f"the work of {OTHER}" in within_reach(opened(place, remote))
    assert Git(place.mirror)("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_work_goes_on_where_another_host_left_it(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """It is fetched once, into the job's repository, and what is there is not fetched again."""
    elsewhere = host(tmp_path, "elsewhere")
    first = worked(elsewhere, remote, JOB)
    tree = opened(place, remote, pushed=(first,))
    assert (tree.start, tree.resumed) == (first, True)
    commit(tree.path, "more")
    second = tree.push().commit
    assert second
    assert opened(place, remote, pushed=(first, second)).start == second
    assert opened(elsewhere, remote, pushed=(first, second)).start == second


def _emptied(repository: Path) -> None:
    for file in [*repository.glob("objects/??/*"), *repository.glob("objects/pack/*")]:
        file.chmod(0o644)
        file.write_bytes(b"")


@pytest.mark.long
@pytest.mark.parametrize("what", ["the mirror", "the job's repository"])
def test_damage_does_not_keep_a_jobs_branch_away(
    place: RepositoryPlace, remote: Path, tmp_path: Path, what: str
) -> None:
    """Its branch moved elsewhere, and cannot be put where objects are broken: that is made anew."""
    elsewhere = host(tmp_path, "elsewhere")
    first = worked(place, remote, JOB)
    tree = opened(elsewhere, remote, pushed=(first,))
    commit(tree.path, "more")
    second = tree.push().commit
    assert second
    _emptied(place.mirror if what == "the mirror" else place.git_dir(JOB))

    assert opened(place, remote, pushed=(first, second)).start == second


@pytest.mark.long
def test_shallow_history_of_a_job_ends_where_the_remote_ends(
    place: RepositoryPlace, remote: Path, tmp_path: Path
) -> None:
    """The mirror of a second host has never seen the commits that the job began from."""
    commit(remote, "later")
    Git(tmp_path)("clone", "--quiet", "--bare", "--depth=1", f"file://{remote}", "shallow")
    shallow = tmp_path / "shallow"
    first = worked(host(tmp_path, "elsewhere"), shallow, JOB)
    commit(remote, "newest")
    Git(shallow)(
        "fetch", "--quiet", "--depth=1", "--", f"file://{remote}", "+refs/heads/main:refs/heads/main"
    )
    tree = opened(place, shallow, pushed=(first,))

    assert Git(tree.path)("log", "--format=%s").splitlines() == [f"Work of {JOB}", "Work of later"]


def test_a_mirror_of_an_earlier_version_is_named(place: RepositoryPlace, remote: Path) -> None:
    """It has what jobs pushed, or shadows made; one of today, and one that git cannot read, are not."""
    worked(place, remote, OTHER)
    assert mirrors(place.work_dir) == []
    mirror = Git(place.mirror)
    for name in (f"refs/heads/coalmine/{OTHER}", shadow_ref(f"coalmine/{SHADOW}")):
        mirror("update-ref", name, "refs/heads/main")
        (found,) = mirrors(place.work_dir)
        assert (found.status, str(place.mirror) in found.message) == (Status.WARNING, True)
        mirror("update-ref", "-d", name)
    (place.mirror / "HEAD").unlink()
    assert mirrors(place.work_dir) == []


def test_work_of_shadows_is_kept_beside_the_mirror(place: RepositoryPlace, remote: Path) -> None:
    """People find it on this host, with what it is based on."""
    kept = worked(place, remote, SHADOW, keeps=True)

    git = Git(shadows_beside(place.mirror))
    assert git("log", "--format=%s", shadow_ref(f"coalmine/{SHADOW}")) == f"Work of {SHADOW}\nWork of main"
    assert git("rev-parse", f"{shadow_ref(SHADOW)}^{{commit}}") == kept
    assert not list(git.directory.glob("objects/pack/*.pack")), "the mirror's are borrowed"
    assert Git(remote)("for-each-ref", "--format=%(refname:short)", "refs/heads").split() == [
        "main",
        "people",
    ]


def test_broken_work_of_shadows_is_given_up_for_the_next(place: RepositoryPlace, remote: Path) -> None:
    """It was judged long ago, and keeps no shadow from its end."""
    worked(place, remote, SHADOW, keeps=True)
    (shadows_beside(place.mirror) / "HEAD").write_text("no head\n")

    assert worked(place, remote, OTHER, keeps=True)
    assert Git(shadows_beside(place.mirror))("rev-parse", shadow_ref(OTHER))


def test_work_of_shadows_is_forgotten_when_it_is_old(place: RepositoryPlace, remote: Path) -> None:
    """By when it was kept, whatever dates its agent wrote; not while somebody adds to it.

    Also where earlier releases kept it, in the mirror.
    """
    tree = opened(place, remote, SHADOW, keeps=True)
    (tree.path / "late.txt").write_text("late\n")
    Git(tree.path)("add", "--all")
    dated = GitAccess(environment={"GIT_COMMITTER_DATE": "2099-01-01T00:00:00Z"})
    Git(tree.path, access=dated)("commit", "--quiet", "--message=late")
    kept = tree.push().commit
    shadows = shadows_beside(place.mirror)
    assert Git(shadows)("show", "--no-patch", "--format=%cs", kept or "") == "2099-01-01"
    made_at = float(Git(shadows)("for-each-ref", "--format=%(creatordate:unix)"))
    assert made_at <= time.time()
    old = made_at + SHADOW_SECONDS + 1
    assert MOST_SHADOWS > 1
    drop_old_shadows(shadows, made_at + SHADOW_SECONDS - 1)
    with host_lock(shadows.with_suffix(".lock"), patience_seconds=0.0):
        drop_old_shadows(shadows, old)
    assert Git(shadows)("for-each-ref")
    drop_old_shadows(shadows, old)
    assert not Git(shadows)("for-each-ref")

    mirror = ours.our_repository(place.mirror)
    mirror("update-ref", shadow_ref(SHADOW), mirror("rev-parse", "main"))
    drop_old_shadows(place.mirror, old + 60)
    assert mirror("for-each-ref", "--format=%(refname)") == "refs/heads/main"
