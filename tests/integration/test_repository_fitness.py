"""Repositories for which no agent can work are found before one is paid."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.doctor.doctor import local_forges
from console.local.start_checks import check_repository
from routing.errors import InvalidInputError
from routing.forges.change_request import ChangeState
from routing.forges.commit_status import StatusState
from routing.forges.local.config import LocalConfig
from routing.forges.local.fitness import Wholeness, fault_of
from routing.forges.local.forge import LocalForge
from routing.forges.local.git import LocalGit
from routing.git.git import Git
from routing.store.redis.health import Status
from tasks.settings.settings import Settings
from tasks.work.fleet_lock import NAME
from tests.programs.command_line import own_surroundings
from tests.repositories import TemporaryRepository, new_repository


def _to_another_user(repository: TemporaryRepository) -> None:
    os.chown(repository.path, 12345, 12345)
    os.chown(repository.path / ".git", 12345, 12345)


def _without_a_branch(repository: TemporaryRepository) -> None:
    repository.git("update-ref", "-d", "refs/heads/main")


def _with_two_mains(repository: TemporaryRepository) -> None:
    repository.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    repository.git("branch", "--move", "main", "trunk")
    repository.git("checkout", "--quiet", "-b", "feature")


def _no_repository(repository: TemporaryRepository) -> None:
    (repository.path / ".git").rename(repository.path.parent / "elsewhere")


def _partial(repository: TemporaryRepository) -> None:
    git = repository.git
    git("config", "remote.origin.promisor", "true")
    blob = git("rev-parse", "main:cart.txt")
    (repository.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def _without_a_commit(repository: TemporaryRepository) -> None:
    shutil.rmtree(repository.path / ".git")
    repository.git("init", "--quiet", "--initial-branch=main")


FAULTS: dict[str, tuple[Callable[[TemporaryRepository], object], str]] = {
    "a branch of our name": (
        lambda one: one.git("branch", "coalmine"),
        "branch -m coalmine coalmine-old",
    ),
    "no branch": (_without_a_branch, "main"),
    "two main branches": (_with_two_mains, "COALMINE_FORGE__LOCAL__MAIN"),
    "no repository": (_no_repository, "not a git repository"),
    "a partial clone": (_partial, "fetch --refetch"),
    "no commit": (_without_a_commit, "make a first one"),
}


@pytest.fixture
def repository(tmp_path: Path) -> TemporaryRepository:
    """A sound repository with a work tree."""
    return new_repository(tmp_path)


def config_of(repository: TemporaryRepository) -> LocalConfig:
    """The settings of a local forge on it."""
    (issues := repository.bench.parent / "issues").mkdir(exist_ok=True)
    (issues / "1.md").write_text("---\ntitle: Slow\n---\nIt is slow.\n")
    return LocalConfig(repository=repository.path, issues=issues, state=repository.bench.parent / "state")


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_named_with_its_remedy(repository: TemporaryRepository, kind: str) -> None:
    """By `up` before it starts anything, and by `doctor`."""
    make, words = FAULTS[kind]
    config = config_of(repository)
    make(repository)

    with pytest.raises(InvalidInputError, match=words):
        check_repository(LocalForge.of(config))
    (found,) = local_forges(Settings(forge=(config,)))
    assert found.status is Status.PROBLEM
    assert words in f"{found.message}; {found.remedy}"


def test_folder_of_issues_that_cannot_be_written_is_named(
    repository: TemporaryRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the lock of an earlier fleet lies in it: by `up`, `doctor` and each look at the forge."""
    config = config_of(repository)
    issues, access = Path(str(config.issues)), os.access
    (issues / NAME).touch()

    def answer(path: str | Path, mode: int) -> bool:  # root may write everywhere, so the answer is a fake
        return access(path, mode) and not (Path(path) == issues and mode & os.W_OK)

    monkeypatch.setattr("os.access", answer)
    with pytest.raises(InvalidInputError, match=f"{issues} cannot be read and written .* run as its owner"):
        check_repository(LocalForge.of(config))
    (found,) = local_forges(Settings(forge=(config,)))
    assert (found.check, found.status) == ("local-forge-issues", Status.PROBLEM)
    assert "COALMINE_FORGE__LOCAL__ISSUES" in str(found.remedy)


def test_doctor_looks_before_a_fleet_runs(
    repository: TemporaryRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the machine and at forges: what keeps `up` from starting leaves no fleet to be asked."""
    folder = repository.path.parent
    monkeypatch.chdir(folder)
    with own_surroundings():
        os.environ["COALMINE_FORGE__LOCAL__REPOSITORY"] = str(repository.path)
        os.environ["COALMINE_FORGE__LOCAL__ISSUES"] = str(folder / "none")
        said = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["findings"]
        os.environ["COALMINE_SEED"] = "x"
        wrong = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["findings"]
    found = {each["check"]: each["status"] for each in said}
    assert {found["settings"], found["local-forge-issues"]} == {Status.PROBLEM.value}
    assert {"git", "sandbox", "forges", "trackers"} <= found.keys()
    assert {each["check"] for each in wrong} == {"settings", "git"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_repository_of_another_user_is_named_with_its_remedy(repository: TemporaryRepository) -> None:
    """Git does not touch it, and says how to allow that."""
    config = config_of(repository)
    _to_another_user(repository)

    with pytest.raises(InvalidInputError, match=r"safe\.directory"):
        check_repository(LocalForge.of(config))


@pytest.mark.parametrize(
    "state", [["checkout", "-q", "--detach"], ["checkout", "-q", "--orphan", "x"], ["gc", "-q"]]
)
def test_what_a_person_does_in_it_is_not_a_fault(repository: TemporaryRepository, state: list[str]) -> None:
    """Neither what is checked out nor what is not committed keeps agents from work."""
    repository.git(*state)
    (repository.path / "cart.txt").write_text("half done")
    (repository.path / ".git" / "index.lock").touch()

    assert fault_of(LocalGit(repository.path)) is None


class CountingGit(LocalGit):
    """Notes which commits' objects were looked for."""

    looked: ClassVar[list[tuple[str, ...]]] = []

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """As git answers."""
        if arguments[0] == "rev-list":
            self.looked.append(arguments[4:])
        return super().run(*arguments, stdin=stdin)


def test_objects_of_a_partial_clone_are_looked_for_once(repository: TemporaryRepository) -> None:
    """Then what is new, and after a repair: a repository may have a million of them."""
    CountingGit.looked.clear()
    git, wholeness = CountingGit(repository.path), Wholeness()
    repository.git("config", "remote.origin.promisor", "true")
    first = repository.tip()
    for _ in range(3):
        assert fault_of(git, wholeness) is None
    assert CountingGit.looked == [(first,)]
    second = repository.work("main-next", {"new.txt": "new\n"})
    repository.git("merge", "--quiet", "--ff-only", "main-next")
    for _ in range(2):
        assert fault_of(git, wholeness) is None
    assert CountingGit.looked[1:] == [(second, f"^{first}")]
    third = repository.work("main-next", {"lost.txt": "lost\n"}, onto=second)
    repository.git("merge", "--quiet", "--ff-only", "main-next")
    blob = repository.git("rev-parse", f"{third}:lost.txt")
    lost = repository.path / ".git" / "objects" / blob[:2] / blob[2:]
    lost.rename(repository.bench.parent / "lost")
    for _ in range(3):
        assert fault_of(git, wholeness) is not None
    assert len(CountingGit.looked) == 3
    (repository.bench.parent / "lost").rename(lost)
    (repository.path / ".git" / "objects" / "pack" / "came").touch()
    assert fault_of(git, wholeness) is None


@pytest.mark.parametrize("folder", [".", "deep/er"])
def test_folder_within_a_repository_is_refused_with_the_one_to_give(
    repository: TemporaryRepository, folder: str
) -> None:
    """Jobs work in the whole repository; the git directory, and the top, are as good as each other."""
    inside = repository.path / "my code" / folder
    inside.mkdir(parents=True)
    config = config_of(repository).model_copy(update={"repository": inside})

    with pytest.raises(InvalidInputError, match=r"give the repository itself: \S*/shop$"):
        check_repository(LocalForge.of(config))
    assert fault_of(LocalGit(repository.path / ".git")) is None


def test_command_that_repairs_is_right_as_printed(tmp_path: Path) -> None:
    """From any folder, with a blank and a quote in the path."""
    repository = new_repository(tmp_path, "my 'best' shop")
    repository.git("branch", "coalmine")
    with pytest.raises(InvalidInputError) as caught:
        check_repository(LocalForge.of(config_of(repository)))
    command = str(caught.value).partition("rename it: ")[2]
    subprocess.run(["sh", "-c", command], check=True, cwd="/")

    assert fault_of(LocalGit(repository.path)) is None


def test_shallow_repository_is_judged_and_merged(tmp_path: Path) -> None:
    """At the first attempt: CI's clone comes of it, and the merge does, too."""
    whole = new_repository(tmp_path, "whole", bare=True)
    for number in range(3):
        whole.work("main", {f"f{number}": "x\n"})
    path = tmp_path / "shop"
    whole.git("clone", "--quiet", "--depth=1", f"file://{whole.path}", str(path))
    repository = TemporaryRepository(path, whole.bench)
    config = config_of(repository).model_copy(update={"ci": "test -f f2"})
    forge = LocalForge.of(config)
    assert fault_of(forge.git) is None
    job = tmp_path / "job"
    Git(tmp_path)("clone", "--quiet", f"file://{path}", str(job))
    (job / "new").write_text("x\n")
    git = Git(job)
    git("add", "--all")
    git("commit", "--quiet", "--message=New")
    git("push", "--quiet", "origin", "HEAD:refs/heads/coalmine/job")

    change = forge.change_of_branch("shop", "coalmine/job")
    assert change is not None
    assert forge.run_ci(change.head).state is StatusState.SUCCESS
    merged = forge.merge(change)
    assert merged.state is ChangeState.MERGED
    forge.delete_branch(merged)
    assert forge.git.tip("coalmine/job") is None
    again = forge.change_of_branch("shop", "coalmine/job")
    assert again is not None
    assert again.state is ChangeState.MERGED
