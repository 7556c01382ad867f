"""One repository, one fleet; one folder of issues, one fleet."""

import fcntl
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from routing.errors import ConflictError, InvalidInputError
from routing.forges.local.config import LocalConfig
from routing.forges.local.issues import LOCK_NAME
from routing.git.git import Git
from tasks.settings.settings import Settings
from tasks.work.fleet_lock import (
    NAME,
    FleetLock,
    hide_from_git,
    locked_folders,
    other_fleet,
    store_name,
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with a commit."""
    repository = tmp_path / "shop"
    repository.mkdir()
    git = Git(repository)
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    (tmp_path / "issues").mkdir()
    return repository


def lock(repository: Path, issues: Path, state: str = "state") -> FleetLock:
    """As a fleet takes it."""
    return FleetLock(locked_folders(repository, issues), state=Path(state))


def other_spellings(repository: Path) -> list[Path]:
    """The same repository by a link, through another folder, its git directory's parent, and a work tree."""
    link, tree = repository.with_name("link"), repository.with_name("tree")
    link.symlink_to(repository)
    Git(repository)("worktree", "add", "--quiet", "--detach", str(tree))
    (repository / "below").mkdir()
    return [link, repository / ".." / repository.name, repository / "below", tree]


def test_a_second_fleet_of_a_repository_is_refused(shop: Path, tmp_path: Path) -> None:
    """By whatever path it is named and wherever its issues are; it is said who has the repository."""
    other = tmp_path / "other-issues"
    other.mkdir()
    spellings = other_spellings(shop)
    with lock(shop, tmp_path / "issues", state="/srv/one"):
        for repository in spellings:
            with pytest.raises(ConflictError, match=rf"process {os.getpid()}, .* its state in /srv/one"):
                lock(repository, other).__enter__()
    for repository in spellings:
        with lock(repository, other):
            pass


def test_a_second_fleet_of_a_folder_of_issues_is_refused(shop: Path, tmp_path: Path) -> None:
    """And what was locked before that is free again."""
    copy = tmp_path / "copy"
    Git(tmp_path)("clone", "--quiet", str(shop), str(copy))
    (tmp_path / "link").symlink_to(tmp_path / "issues")
    with lock(shop, tmp_path / "issues"), pytest.raises(ConflictError, match="issues already"):
        lock(copy, tmp_path / "link").__enter__()
    with lock(copy, tmp_path / "issues"):
        pass


def test_the_lock_of_a_process_that_has_gone_is_in_nobodys_way(shop: Path, tmp_path: Path) -> None:
    """Its file may say anything."""
    for folder in locked_folders(shop, tmp_path / "issues"):
        (folder / NAME).write_text('{"pid": 1, "folder": "/x", "state": "/x"}')
    with lock(shop, tmp_path / "issues"):
        pass


def test_a_folder_of_issues_that_is_gone_is_named(shop: Path, tmp_path: Path) -> None:
    """As options that are kept, or a settings file, may name one."""
    for issues in (tmp_path / "gone", shop / ".git" / "HEAD"):
        with pytest.raises(InvalidInputError, match=f"{issues} is not a folder; create it"):
            lock(shop, issues).__enter__()


def test_nobody_commits_the_locks_of_issues_in_the_repository(shop: Path, tmp_path: Path) -> None:
    """Git leaves them out, as an issue is not; it is noted once, and what is noted already stays."""
    exclude = shop / ".git" / "info" / "exclude"
    exclude.write_text("*.pyc")
    issues = shop / "issues"
    issues.mkdir()
    for name in ("1-fix.md", LOCK_NAME):
        (issues / name).touch()
    for _ in range(2):
        with lock(shop, issues):
            hide_from_git(issues)
    Git(shop)("add", "--all")
    assert Git(shop)("diff", "--cached", "--name-only").split() == ["issues/1-fix.md"]
    assert exclude.read_text().splitlines() == ["*.pyc", NAME, LOCK_NAME]
    hide_from_git(tmp_path / "issues")  # in no repository
    hide_from_git(tmp_path / "nowhere")


@pytest.mark.parametrize("note", [b"", b"\xff\x00", b'{"pid": "x"}', b"[]"])
def test_a_note_that_is_none_names_nobody(shop: Path, tmp_path: Path, note: bytes) -> None:
    """The lock holds all the same."""
    with lock(shop, tmp_path / "issues"):
        for folder in locked_folders(shop, tmp_path / "issues"):
            (folder / NAME).write_bytes(note)
        with pytest.raises(ConflictError, match="another process holds its lock"):
            lock(shop, tmp_path / "issues").__enter__()


def test_what_lies_in_the_place_of_the_file_is_not_followed(shop: Path, tmp_path: Path) -> None:
    """A link to a file of the user's, or a pipe that nobody reads."""
    issues = tmp_path / "issues"
    (tmp_path / "mine").write_text("mine")
    (issues / NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(InvalidInputError, match="remove what lies there"):
        lock(shop, issues).__enter__()
    assert (tmp_path / "mine").read_text() == "mine"
    (issues / NAME).unlink()
    os.mkfifo(issues / NAME)
    with pytest.raises(InvalidInputError, match="not a regular file"):
        lock(shop, issues).__enter__()


def test_a_worker_with_another_store_is_refused_beside_a_fleet(shop: Path, tmp_path: Path) -> None:
    """It would do and pay everything twice; the fleet's own workers, and those of no fleet, start."""
    forge = LocalConfig(repository=shop, issues=tmp_path / "issues")

    def worker(url: str) -> str:
        return other_fleet(Settings(forge=(forge,), redis_url=SecretStr(url)))

    own, other = "unix:///state/redis.sock", "redis://127.0.0.1:6379/0"
    assert worker(other) == ""
    with lock(shop, tmp_path / "issues", state="/srv/one") as held:
        assert worker(other) == "", "a fleet whose server others may share"
        held.note_store(store_name(own, "coalmine"))
        assert worker(own) == ""
        said = worker(other)
        assert f"process {os.getpid()}" in said
        assert "COALMINE_REDIS_URL" in said
    assert worker(other) == "", "that fleet has ended"


@pytest.mark.parametrize("other", ["clone", "gone"])
def test_a_worker_is_refused_for_the_folder_of_issues_alone(shop: Path, tmp_path: Path, other: str) -> None:
    """Its repository is another clone that no fleet ever had, or none at all: the issues are the same."""
    Git(tmp_path)("clone", "--quiet", str(shop), str(tmp_path / "clone"))
    forge = LocalConfig(repository=tmp_path / other, issues=tmp_path / "issues")
    worker = Settings(forge=(forge,), redis_url=SecretStr("redis://127.0.0.1:6379/0"))
    with lock(shop, tmp_path / "issues") as held:
        held.note_store(store_name("unix:///state/redis.sock", "coalmine"))
        assert f"works on {tmp_path / 'issues'} already" in other_fleet(worker)
    assert other_fleet(worker) == "", "that fleet has ended"


def test_a_worker_that_looks_keeps_no_fleet_from_starting(shop: Path, tmp_path: Path) -> None:
    """It has the lock for a moment, to see whether a fleet has it; a fleet that starts then asks again."""
    folders = locked_folders(shop, tmp_path / "issues")
    looking = [os.open(folder / NAME, os.O_RDONLY | os.O_CREAT, 0o644) for folder in folders]
    for descriptor in looking:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) % 3 == 0:
            os.close(looking.pop(0))

    with FleetLock(folders, state=Path("state"), pause=pause):
        assert len(pauses) == 6
        with pytest.raises(ConflictError, match="a fleet works on"):
            FleetLock(folders, state=Path("state"), pause=lambda _: pytest.fail("it is a fleet")).__enter__()


def test_a_worker_that_never_stops_looking_is_not_waited_for(shop: Path, tmp_path: Path) -> None:
    """After a second the fleet says that it was refused."""
    folders, pauses = locked_folders(shop, tmp_path / "issues"), list[float]()
    descriptor = os.open(folders[0] / NAME, os.O_RDONLY | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    with pytest.raises(ConflictError, match="another process holds its lock"):
        FleetLock(folders, state=Path("state"), pause=pauses.append).__enter__()
    os.close(descriptor)
    assert sum(pauses) == pytest.approx(1.0)


def test_a_store_has_one_name_however_its_address_is_spelled(tmp_path: Path) -> None:
    """Without default parts, by another name of this machine, with another user; not for another place."""
    (tmp_path / "link").symlink_to(tmp_path)
    one = "redis://:secret@127.0.0.1:6379/0"
    for same in (
        "redis://localhost",
        "redis://LOCALHOST:6379",
        "redis://[::1]/0",
        "redis://ada:x@127.0.0.1?db=0",
    ):
        assert store_name(same, "coalmine") == store_name(one, "coalmine"), same
    others = (
        "redis://127.0.0.1:6379/1",
        "redis://127.0.0.1:6380/0",
        "redis://10.0.0.1",
        "unix:///run/redis.sock",
    )
    assert len({store_name(other, "coalmine") for other in (one, *others)}) == 5
    socket = f"unix://{tmp_path}/redis.sock"
    assert store_name(socket, "coalmine") == store_name(f"unix://{tmp_path}/link/redis.sock?db=0", "coalmine")
