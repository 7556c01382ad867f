"""Where commands find the fleet of this machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.local.fleet_place import (
    DEFAULT_STATE,
    FleetPlace,
    keep_state,
    kept_state,
    note_ended,
    note_running,
    running_variables,
)
from routing.process.table import start_ticks

VARIABLES = {"COALMINE_REDIS_URL": "unix:///s"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which the fleet of this very process runs."""
    state = tmp_path / "shop" / DEFAULT_STATE
    state.mkdir(parents=True)
    note_running(state, VARIABLES, at=100.0)
    return tmp_path / "shop"


@pytest.fixture
def bystander() -> Iterator[int]:
    """The pid of a process that lives, and is not this one."""
    with Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_a_fleet_is_found_from_every_folder_below(folder: Path) -> None:
    """The nearest one counts."""
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    for here in (folder, deep):
        found = FleetPlace.around(here)
        assert found is not None
        assert (found.state, found.pid, found.is_running) == (folder / DEFAULT_STATE, os.getpid(), True)
        assert found.variables == VARIABLES
    inner = deep / DEFAULT_STATE
    inner.mkdir()
    note_running(inner, {}, at=1.0)
    nearest = FleetPlace.around(deep)
    assert nearest is not None
    assert nearest.state == inner


def test_a_state_elsewhere_is_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find it, and so does the next `up`, until --state says otherwise; agents in it do not."""
    here, elsewhere = folder.parent / "blog", folder.parent / "blog" / "kept"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert kept_state() == DEFAULT_STATE
    keep_state(elsewhere)
    note_running(elsewhere, VARIABLES, at=100.0)
    (here / "src").mkdir()
    monkeypatch.chdir(here / "src")
    found = FleetPlace.around()
    assert found is not None
    assert (found.state, found.folder) == (elsewhere, here)
    tree = elsewhere / "work" / "4f1d"
    tree.mkdir(parents=True)
    assert FleetPlace.around(tree) is None
    monkeypatch.chdir(here)
    said = CliRunner().invoke(app, ["up"]).stderr
    assert f"already running with its state in {elsewhere}" in said
    note_running(DEFAULT_STATE, {}, at=100.0)
    assert kept_state() == DEFAULT_STATE, "it runs"
    note_ended(DEFAULT_STATE, at=200.0)
    assert kept_state() == elsewhere
    elsewhere.rename(folder.parent / "gone")
    assert kept_state() == DEFAULT_STATE, "it is there no longer"
    (folder.parent / "gone").rename(elsewhere)
    keep_state(DEFAULT_STATE)
    assert kept_state() == DEFAULT_STATE


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"state": 3}'])
def test_a_note_of_a_state_elsewhere_that_cannot_be_read_counts_as_none(folder: Path, note: str) -> None:
    """The usual folder counts."""
    note_ended(folder / DEFAULT_STATE, at=1.0)
    (folder / DEFAULT_STATE / "state.json").write_text(note)
    assert kept_state(folder) == DEFAULT_STATE


def test_agents_do_not_find_the_fleet_by_accident(folder: Path) -> None:
    """What runs in a work tree of the fleet is not its operator."""
    tree = folder / DEFAULT_STATE / "work" / "4f1d" / "tree"
    tree.mkdir(parents=True)
    assert FleetPlace.around(tree) is None
    assert FleetPlace.around(folder / DEFAULT_STATE) is not None


def test_an_ended_fleet_is_remembered(folder: Path) -> None:
    """It does not run, and was last seen when it ended."""
    note_ended(folder / DEFAULT_STATE, at=250.0)
    found = FleetPlace.around(folder)
    assert found is not None
    assert (found.is_running, found.last_seen_at, found.variables) == (False, 250.0, VARIABLES)
    assert running_variables(folder / DEFAULT_STATE) == {}


def test_a_killed_fleet_was_last_seen_when_it_last_wrote(folder: Path) -> None:
    """Nobody noted its end: the newest log tells."""
    note = folder / DEFAULT_STATE / "running.json"
    noted = json.loads(note.read_text())
    note.write_text(json.dumps(noted | {"pid": 2**22 + 1}))
    found = FleetPlace.around(folder)
    assert found is not None
    assert (found.is_running, found.last_seen_at) == (False, 100.0)
    logs = folder / DEFAULT_STATE / "logs"
    logs.mkdir()
    (logs / "beat.log").touch()
    os.utime(logs / "beat.log", (300.0, 300.0))
    assert found.last_seen_at == 300.0


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"pid": "x", "variables": {}}', '{"pid": 1}'])
def test_a_note_that_cannot_be_read_counts_as_none(folder: Path, note: str) -> None:
    """No fleet is found by it."""
    (folder / DEFAULT_STATE / "running.json").write_text(note)
    assert FleetPlace.at(folder / DEFAULT_STATE) is None


@pytest.mark.parametrize(
    "other",
    [
        {"start_ticks": 1},
        {"boot_id": "of the start before"},
        {"start_ticks": None, "boot_id": ""},  # of an earlier release: this process noted nothing yet
    ],
)
def test_our_own_pid_of_another_start_counts_for_nothing(folder: Path, other: dict[str, object]) -> None:
    """In a container, the next `up` often has the pid of the one that was killed: it is not refused."""
    note = folder / DEFAULT_STATE / "running.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | other))
    found = FleetPlace.around(folder)
    assert found is not None
    assert not found.is_running
    assert running_variables(folder / DEFAULT_STATE) == {}


def test_a_pid_that_another_process_has_now_counts_for_nothing(folder: Path, bystander: int) -> None:
    """After a power cut the killed fleet's pid may be anybody's."""
    note = folder / DEFAULT_STATE / "running.json"
    noted = json.loads(note.read_text()) | {"pid": bystander}
    note.write_text(json.dumps(noted))
    assert running_variables(folder / DEFAULT_STATE) == {}
    note.write_text(json.dumps(noted | {"start_ticks": start_ticks(bystander)}))
    assert running_variables(folder / DEFAULT_STATE) == VARIABLES, "that process is the fleet's"


def test_a_note_of_an_earlier_release_is_read(folder: Path, bystander: int) -> None:
    """It has no time, does not say when its process started, and names no settings file."""
    note = folder / DEFAULT_STATE / "running.json"
    note.write_text(json.dumps({"pid": bystander, "variables": VARIABLES}))
    assert running_variables(folder / DEFAULT_STATE) == VARIABLES
    found = FleetPlace.around(folder)
    assert found is not None
    assert (found.file, found.has_own_server) == (None, True)
