"""One fleet for each repository of a forge on another machine, by names and by patterns."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from pydantic import SecretStr

from routing.errors import ConflictError
from routing.forges.registry import kind_named
from tasks.settings.settings import Settings
from tasks.work.fleet_lock import NAME, store_name
from tasks.work.remote_lock import OF_REMOTE, RemoteLock, Served, other_remote_fleet
from tests.programs.command_line import own_surroundings
from tests.unit.test_origins import effective

OWN, OTHER = "unix:///state/redis.sock", "redis://:secret@127.0.0.1:6379/0"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Where every user of the machine may make files."""
    place = tmp_path / "machine"
    place.mkdir()
    place.chmod(0o1777)
    return place


def settings(
    *repositories: str, redis_url: str = OTHER, kill_switch: bool = False, **changes: object
) -> Settings:
    """Those of a fleet of GitHub's."""
    given = {"token": "t0ken", "kill_switch": False, "repositories": repositories, **changes}
    forge = kind_named("github").config.model_validate(given)
    return Settings(forge=(forge,), redis_url=SecretStr(redis_url), kill_switch=kill_switch)


def lock(place: Path, *repositories: str, store: str = "", **changes: Any) -> RemoteLock:
    """As a fleet takes it."""
    served = Served.all_of(settings(*repositories, **changes))
    return RemoteLock(served=served, state=Path("/srv/one"), store=store, places=[place])


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (["acme/shop", "acme/blog"], ["Acme/Shop"], True),
        (["acme/shop"], ["acme/blog"], False),
        (["acme/*"], ["acme/shop"], True),
        (["acme/*"], ["other/shop"], False),
        (["acme/*", "!acme/shop"], ["acme/shop"], False),
        (["acme/*", "!acme/shop"], ["acme/shop", "acme/blog"], True),
        (["acme/*"], ["acme/shop-*"], True),
        (["acme/*", "!acme/shop-*"], ["acme/shop-*"], False),
        (["acme/*", "!acme/shop-?"], ["acme/shop-*"], True),
        (["acme/a*"], ["acme/b*"], False),
        (["acme/a*"], ["acme/*b"], True),
        (["acme/a?c"], ["acme/ab?"], True),
        (["acme/a?"], ["acme/abc*"], False),
        (["acme/tools/*"], ["acme/*"], False),
    ],
)  # fmt: skip
def test_two_fleets_that_one_repository_would_go_to_are_refused(
    machine: Path,
    one: list[str],
    other: list[str],
    meet: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Whichever of the two comes first; two without a repository in common are let in."""
    for first, second in ((one, other), (other, one)):
        with lock(machine, *first):
            if meet:
                with pytest.raises(
                    ConflictError, match=r"of https://api.github.com already: process .*/srv/one"
                ):
                    lock(machine, *second).__enter__()
            else:
                with lock(machine, *second):
                    pass
    assert [file.name for file in (machine / OF_REMOTE).iterdir()] == [NAME], "nothing is left"


def test_forges_that_are_not_asked_lock_nothing(machine: Path) -> None:
    """Another address is another forge; a kill switch, or no token, is nobody's fleet."""
    with lock(machine, "acme/shop"):
        for changes in (
            {"base_url": "https://git.example.org/api/v3"}, {"kill_switch": True}, {"token": None},
        ):  # fmt: skip
            with lock(machine, "acme/shop", **changes):
                pass
        assert Served.all_of(settings("acme/shop", kill_switch=True)) == ()


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.github.com:443",
        "https://api.github.com/",
        "https://API.GitHub.com.",
        "HTTPS://api.github.com:443/",
    ],
)
def test_another_spelling_of_an_address_is_the_same_forge(machine: Path, base_url: str) -> None:
    """Its usual port, a slash or a dot at an end, upper case; another port is another forge."""
    with lock(machine, "acme/shop", base_url=base_url):
        with pytest.raises(ConflictError, match="a fleet works on acme/shop"):
            lock(machine, "acme/shop").__enter__()
        with lock(machine, "acme/shop", base_url="https://api.github.com:8443"):
            pass


def test_programs_with_one_store_are_one_fleet(machine: Path) -> None:
    """They share its repositories; another store, or another namespace in it, is another fleet."""
    store = store_name(OTHER, "coalmine")
    with lock(machine, "acme/shop", store=store), lock(machine, "acme/*", store=store):
        for another in ("", store_name(OTHER, "other")):
            with pytest.raises(ConflictError, match="a fleet works on acme/shop"):
                lock(machine, "acme/shop", store=another).__enter__()


def test_a_worker_with_another_store_is_refused_beside_a_fleet(machine: Path) -> None:
    """It would do and pay everything twice; the fleet's own workers, and those of no fleet, start."""
    other = settings("acme/*")
    assert other_remote_fleet(other, places=[machine]) == ""
    with lock(machine, "acme/shop") as held:
        assert other_remote_fleet(other, places=[machine]) == "", "its store is not known yet"
        held.note_store(store_name(OWN, "coalmine"))
        said = other_remote_fleet(other, places=[machine])
        assert f"process {os.getpid()}" in said
        assert "COALMINE_REDIS_URL" in said
        for free in (
            settings("acme/shop", redis_url=OWN),
            settings("acme/blog"),
            settings("acme/shop", kill_switch=True),
        ):  # fmt: skip
            assert other_remote_fleet(free, places=[machine]) == ""
    assert other_remote_fleet(other, places=[machine]) == "", "that fleet has ended"


def test_what_a_dead_fleet_left_is_in_nobodys_way(machine: Path) -> None:
    """Nor is what was not made by a fleet; what is ours is removed."""
    folder = machine / OF_REMOTE
    folder.mkdir()
    served = [{"address": "https://api.github.com", "repositories": ["acme/shop"]}]
    (folder / "dead.json").write_text(json.dumps({"pid": 1, "served": served}))
    (folder / "odd.json").mkdir()
    with lock(machine, "acme/shop"):
        assert not (folder / "dead.json").exists()


def test_another_folder_for_temporary_files_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is the machine's."""
    served = (Served(address=f"https://{tmp_path.name}.example.com", repositories=("acme/shop",)),)
    with RemoteLock(served=served, state=tmp_path):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        with pytest.raises(ConflictError):
            RemoteLock(served=served, state=tmp_path).__enter__()


def test_up_takes_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the machine's own place, by what its settings name."""
    monkeypatch.chdir(tmp_path)
    address = f"https://{tmp_path.name.replace('_', '-')}.example.com"
    forge = {"kind": "github", "base_url": address, "token": "t0ken", "kill_switch": False}
    table = {**forge, "repositories": ["acme/shop"]}
    web = {"port": 0}
    written = tomli_w.dumps({"redis_url": "redis://127.0.0.1:1", "web": web, "forge": [table]})
    (tmp_path / "coalmine.toml").write_text(written)
    with own_surroundings():
        with (
            RemoteLock(served=(Served(address=address, repositories=("acme/*",)),), state=tmp_path),
            pytest.raises(ConflictError, match=r"a fleet works on acme/shop of"),
        ):
            effective(Path("state"))
        assert effective(Path("state"))[0].forge[0].is_served


def test_a_machine_without_such_a_folder_locks_nothing_and_says_so(tmp_path: Path, machine: Path) -> None:
    """The fleet starts all the same."""
    (machine / OF_REMOTE).write_text("somebody's")
    for place, why in ((tmp_path, "none of"), (machine, "is not a folder; remove it")):
        with lock(place, "acme/shop") as held:
            assert why in held.why_not
    with lock(machine) as nothing:
        assert nothing.why_not == ""


def test_a_process_that_keeps_the_folder_is_not_waited_for(machine: Path) -> None:
    """After a second the fleet starts, and says that it locked nothing."""
    folder, pauses = machine / OF_REMOTE, list[float]()
    folder.mkdir()
    descriptor = os.open(folder / NAME, os.O_RDONLY | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    held = lock(machine, "acme/shop")
    held.pause = pauses.append
    with held:
        assert "does not give back the lock" in held.why_not
    os.close(descriptor)
    assert sum(pauses) == pytest.approx(1.0)
