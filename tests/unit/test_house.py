"""The house: which floor and which room may import which, and how large a room and a file may be.

A floor is a package at the top; a room is a folder in one. `docs/architecture.md` shows them as a picture.
Who adds a room, or an import between rooms that had none, changes the tables here, on purpose.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
import redis

from tests.source import (
    BESIDE,
    FLOORS,
    ROOT,
    imported,
    module_name,
    modules,
    product,
    room_of,
    text,
    tree,
)

#: Rooms (with the rooms inside them) and what they may never import.
MAY_NOT_KNOW = {
    "routing/forges/github": ("routing/forges/gitea", "routing/forges/local"),
    "routing/forges/gitea": ("routing/forges/github", "routing/forges/local"),
    "routing/forges/local": ("routing/forges/github", "routing/forges/gitea", "routing/forges/rest"),
    "routing/forges/rest": ("routing/forges/github", "routing/forges/gitea", "routing/forges/local"),
    "routing/http": ("routing/forges", "routing/issues", "routing/jobs", "routing/store", "routing/webhook"),
    "routing/process": ("routing/forges", "routing/git", "routing/jobs", "routing/store"),
    "routing/git": ("routing/forges", "routing/jobs", "routing/store", "routing/webhook"),
    "routing/issues": ("routing/forges", "routing/backlog", "routing/jobs", "routing/store"),
    "routing/embedded": ("routing/store", "routing/jobs", "routing/forges"),
    "routing/store/redis": ("routing/jobs", "routing/templates", "routing/backlog", "routing/issues"),
    "routing/store": ("routing/forges", "routing/http", "routing/git", "routing/webhook"),
    "tasks/settings": ("tasks/agents", "tasks/work", "tasks/issues", "tasks/composition"),
    "tasks/notify": ("tasks/agents", "tasks/work", "tasks/issues", "tasks/composition"),
    "tasks/issues": ("tasks/agents", "tasks/composition", "tasks/notify"),
    "tasks/agents/runtimes": ("tasks/agents/turn", "tasks/agents/session", "tasks/agents/mail"),
    "tasks/agents": ("tasks/issues", "tasks/notify", "tasks/composition", "tasks/settings"),
    "console/output": ("console/commands", "console/web", "console/local", "console/doctor", "console/demo"),
    "console/input": ("console/commands", "console/web", "console/local", "console/doctor", "console/demo"),
    "console/web": ("console/commands", "console/local", "console/doctor", "console/demo", "console/output"),
    "console/local": ("console/commands", "console/doctor", "console/demo"),
    "console/doctor": ("console/commands", "console/web", "console/local", "console/demo"),
}

#: What does not hold yet, while the rooms are being cleared.
_NOT_YET = pytest.mark.xfail(strict=False, reason="the rooms are being cleared")
_PENDING: set[str] = set()

#: Rooms with more files than MOST_FILES, and why that is right.
LARGE_ROOMS = {
    "harvest": "one floor, one subject; each file is a step of the one way from signal to verdict",
}

#: Files of Python in a room, without `__init__.py`.
MOST_FILES = 14

#: Lines in a file.
MOST_LINES = 400

#: Draw, score, evidence, verdict and the like: their answers depend on their arguments alone.
PURE = (
    "routing/templates/route.py",
    "routing/templates/trial.py",
    "routing/webhook/dialect.py",
    "routing/webhook/delivery.py",
    "routing/webhook/relevance.py",
    "harvest/score.py",
    "harvest/verdict.py",
    "harvest/evidence.py",
    "harvest/trial_evidence.py",
    "harvest/wager.py",
    "harvest/baseline.py",
    "harvest/policy.py",
    "tasks/work/outcome.py",
    "tasks/issues/watch.py",
    "tasks/notify/translation.py",
    "routing/jobs/retry.py",
)
IMPURE = {"redis", "time", "datetime", "random", "secrets", "os", "socket", "threading", "uuid"}


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards(floor: str) -> None:
    """A floor knows those below it, and never the tests."""
    above = {*FLOORS[FLOORS.index(floor) + 1 :], *BESIDE}
    wrong = {
        f"{path} imports {name}"
        for path in modules(floor)
        for name in imported(path)
        if name.split(".")[0] in above
    }
    assert not wrong


@pytest.mark.parametrize("floor", FLOORS)
def test_no_floor_loads_one_above_by_name(floor: str) -> None:
    """No module is loaded by a string that names a floor above."""
    above = FLOORS[FLOORS.index(floor) + 1 :]
    loads = re.compile(rf"import_module\(\s*[\"'](?:{'|'.join(above) or 'nothing'})\b")
    assert not [path for path in modules(floor) if loads.search(text(path))]


@pytest.mark.parametrize(
    "room", [pytest.param(room, marks=[_NOT_YET] if room in _PENDING else []) for room in MAY_NOT_KNOW]
)
def test_rooms_that_must_not_know_each_other_do_not(room: str) -> None:
    """What one room does can be read, and changed, without the other."""
    assert (ROOT / room).is_dir(), f"the table names {room}, which does not exist"
    wrong = {
        f"{path} imports {name}"
        for path in product()
        if _within(path.as_posix(), room)
        for name in imported(path)
        if any(_within(room_of(name), other) for other in MAY_NOT_KNOW[room])
    }
    assert not wrong


def _within(place: str, room: str) -> bool:
    return place == room or place.startswith(f"{room}/")


@pytest.mark.parametrize("package", ["celery", "kombu"])
def test_harvest_knows_no_broker(package: str) -> None:
    """What an outcome is worth does not depend on how messages travel."""
    assert not [path for path in modules("harvest") if package in _packages(path)]


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_knows_no_server(name: str) -> None:
    """It reads no clock, no server and no randomness."""
    assert not IMPURE & _packages(Path(name))


def _packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_there_is_no_other_package() -> None:
    """Four floors, their tests and the benchmarks: nothing else holds Python."""
    ours = {path.parent.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/*.py")}
    assert ours == {*FLOORS, *BESIDE}


def test_every_room_says_what_belongs_there() -> None:
    """Each folder with modules is a package with a docstring, in the tests too."""
    folders = {path.parent for path in (*product(), *modules("tests"))}
    silent = [folder for folder in sorted(folders) if not _docstring(folder / "__init__.py")]
    assert not silent


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(tree(path)) if (ROOT / path).exists() else None


def test_no_room_is_a_flat_drawer() -> None:
    """A folder with more files than one can take in at a glance is two rooms, or has a reason above."""
    files: defaultdict[str, int] = defaultdict(int)
    for path in product():
        files[path.parent.as_posix()] += path.name != "__init__.py"
    large = {room: number for room, number in files.items() if number > MOST_FILES}
    assert not {room: number for room, number in large.items() if room not in LARGE_ROOMS}
    assert set(LARGE_ROOMS) <= set(large), "a reason that nothing needs any longer"


def test_no_file_is_long() -> None:
    """A file that has to be scrolled through has more than one noun."""
    long = {path.as_posix() for path in product() if len(text(path).splitlines()) > MOST_LINES}
    assert not long


@pytest.mark.parametrize("packages", [FLOORS, BESIDE])
def test_no_class_name_stands_for_two_things(packages: Iterable[str]) -> None:
    """Whoever searches for a class finds one."""
    made = defaultdict(list)
    for package in packages:
        for path in modules(package):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ClassDef):
                    made[node.name].append(f"{path}:{node.lineno}")
    assert not {name: places for name, places in made.items() if len(places) > 1}


def test_stores_are_made_in_the_composition_root() -> None:
    """Whoever needs a store is given it: how one is made stands in one room."""
    made = {
        f"{path}:{node.lineno} makes {node.func.id}"
        for path in product()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Store")
    }
    assert len(made) > 10
    assert not [place for place in sorted(made) if not _within(place, "tasks/composition")]


def test_nothing_outside_the_store_speaks_to_redis() -> None:
    """A key is written, and read, by a method of a store: no other module uses a command of a connection."""
    uses = {
        f"{path}:{node.lineno} {node.attr}"
        for path in product()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).rpartition(".")[2] in {"redis", "_redis"}
        and node.attr.islower()
        and hasattr(redis.Redis, node.attr)
    }
    assert len(uses) > 50
    outside = {use for use in uses if not _within(use, "routing/store")}
    assert [use for use in sorted(outside) if not use.endswith(" close")] == []


def small_files() -> dict[str, str]:
    """Files under 60 lines with one importer, with that importer."""
    importers = defaultdict(set)
    for path in product():
        for name in imported(path):
            importers[name].add(module_name(path))
    return {
        path.as_posix(): next(iter(importers[module_name(path)]))
        for path in product()
        if path.name not in {"__init__.py", "__main__.py"}
        and len(text(path).splitlines()) < 60
        and len(importers[module_name(path)]) == 1
    }
