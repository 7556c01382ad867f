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
    forge_rooms,
    imported,
    module_name,
    modules,
    nodes,
    product,
    room_of,
    text,
    tracker_rooms,
    tree,
)

#: One process reads and parses the source for all of them.
pytestmark = pytest.mark.xdist_group("source")

#: Rooms, and which others of their floor they may import. All of the floors below may be imported as well.
#: So kinds of forges know nothing of each other, HTTP knows no forge, and no store knows how work is done.
KNOWS = {
    "routing": (),
    "routing/process": ("routing",),
    "routing/http": ("routing",),
    "routing/sandbox": ("routing", "routing/process"),
    "routing/sandbox/containers": ("routing", "routing/process", "routing/sandbox"),
    "routing/git": ("routing", "routing/http", "routing/process"),
    "routing/embedded": ("routing", "routing/process"),
    "routing/issues": ("routing", "routing/http"),
    "routing/accounts": ("routing", "routing/templates"),
    "routing/store": (),
    "routing/store/accounts": (
        "routing", "routing/accounts", "routing/store/jobs", "routing/store/redis", "routing/store/trials",
        "routing/templates",
    ),
    "routing/store/archive": (
        "routing", "routing/issues", "routing/jobs", "routing/store/backlog", "routing/store/backtests",
        "routing/store/jobs", "routing/store/redis", "routing/store/trials", "routing/templates",
    ),
    "routing/store/redis": ("routing", "routing/embedded"),
    "routing/store/backlog": ("routing", "routing/store/redis", "routing/backlog", "routing/issues"),
    "routing/store/backtests": (
        "routing", "routing/store/jobs", "routing/store/redis", "routing/templates",
    ),
    "routing/store/events": ("routing", "routing/store/redis"),
    "routing/store/fleet": ("routing", "routing/store/redis"),
    "routing/store/jobs": ("routing", "routing/accounts", "routing/store/redis", "routing/jobs"),
    "routing/store/judging": ("routing", "routing/jobs", "routing/store/redis", "routing/templates"),
    "routing/store/mail": ("routing/store/redis", "routing/jobs"),
    "routing/store/sessions": ("routing", "routing/store/redis"),
    "routing/store/signals": ("routing", "routing/store/redis", "routing/store/jobs", "routing/jobs"),
    "routing/store/trials": ("routing", "routing/store/redis", "routing/templates"),
    "routing/templates": (
        "routing", "routing/jobs", "routing/sandbox", "routing/store/jobs", "routing/store/redis",
        "routing/store/trials",
    ),
    "routing/jobs": (
        "routing", "routing/accounts", "routing/templates", "routing/store/events", "routing/store/jobs",
        "routing/store/trials",
    ),
    "routing/backlog": ("routing", "routing/forges", "routing/issues", "routing/store/backlog"),
    "routing/webhook": ("routing", "routing/forges", "routing/issues", "routing/store/backlog"),
    "routing/forges": (
        "routing", "routing/git", "routing/http", "routing/issues", "routing/webhook", *forge_rooms(),
    ),
    "routing/forges/rest": (
        "routing", "routing/forges", "routing/git", "routing/http", "routing/issues", "routing/webhook",
    ),
    # One rule for all kinds of forges, so that a new one needs no row: none knows another.
    **dict.fromkeys(
        forge_rooms(),
        (
            "routing", "routing/forges", "routing/forges/rest", "routing/git", "routing/http",
            "routing/issues", "routing/process", "routing/sandbox", "routing/webhook",
        ),
    ),
    "routing/trackers": (
        "routing", "routing/forges", "routing/http", "routing/issues", *tracker_rooms(),
    ),
    # The same rule for all kinds of trackers.
    **dict.fromkeys(
        tracker_rooms(),
        (
            "routing", "routing/forges", "routing/forges/rest", "routing/http", "routing/issues",
            "routing/trackers",
        ),
    ),
    "harvest": (),
    "harvest/backtests": ("harvest/evidence", "harvest/pairs"),
    "harvest/evidence": (),
    "harvest/draws": ("harvest/evidence",),
    "harvest/pairs": ("harvest/evidence",),
    "harvest/settling": ("harvest/evidence", "harvest/draws", "harvest/pairs"),
    "harvest/trials": ("harvest/evidence", "harvest/draws", "harvest/pairs", "harvest/settling"),
    "tasks": ("tasks/agents", "tasks/composition", "tasks/notify", "tasks/settings", "tasks/work"),
    "tasks/settings": ("tasks/notify", "tasks/telemetry"),
    "tasks/notify": (),
    "tasks/telemetry": ("tasks/notify",),
    "tasks/backtests": ("tasks/agents/pairs", "tasks/agents/repository"),
    "tasks/issues": ("tasks/settings", "tasks/work"),
    "tasks/work": ("tasks/settings", "tasks/agents/supervision", "tasks/agents/turn"),
    "tasks/composition": (
        "tasks", "tasks/settings", "tasks/notify", "tasks/telemetry", "tasks/issues", "tasks/work",
        "tasks/backtests", "tasks/agents",
        "tasks/agents/mail", "tasks/agents/mail_socket", "tasks/agents/pairs", "tasks/agents/repository",
        "tasks/agents/sandbox", "tasks/agents/accounts", "tasks/agents/supervision", "tasks/agents/turn",
    ),
    "tasks/agents/accounts": ("tasks/work", "tasks/agents/runtimes"),
    "tasks/agents": (
        "tasks/work", "tasks/agents/accounts", "tasks/agents/mail", "tasks/agents/pairs",
        "tasks/agents/repository", "tasks/agents/runtimes",
        "tasks/agents/sandbox", "tasks/agents/supervision", "tasks/agents/turn",
    ),
    "tasks/agents/repository": (),
    "tasks/agents/pairs": (
        "tasks/agents/proxy", "tasks/agents/repository", "tasks/agents/runtimes", "tasks/agents/turn",
        "tasks/work",
    ),
    "tasks/agents/proxy": (),
    "tasks/agents/sandbox": (
        "tasks/agents", "tasks/agents/proxy", "tasks/agents/repository", "tasks/agents/runtimes",
    ),
    "tasks/agents/runtimes": ("tasks/agents", "tasks/agents/accounts"),
    "tasks/agents/mail": ("tasks/agents", "tasks/agents/turn"),
    "tasks/agents/mail_socket": ("tasks/agents", "tasks/agents/mail"),
    "tasks/agents/session": ("tasks/agents/mail", "tasks/agents/runtimes", "tasks/agents/turn"),
    "tasks/agents/supervision": (
        "tasks/work", "tasks/agents", "tasks/agents/mail", "tasks/agents/session", "tasks/agents/turn",
    ),
    "tasks/agents/turn": (
        "tasks/work", "tasks/agents", "tasks/agents/accounts", "tasks/agents/mail",
        "tasks/agents/mail_socket",
        "tasks/agents/runtimes", "tasks/agents/session", "tasks/agents/supervision",
    ),
    "console": ("console/commands", "console/decisions", "console/local", "console/output"),
    "console/output": (),
    "console/output/trials": ("console/output",),
    "console/input": (),
    "console/decisions": (),
    "console/mcp": (
        "console/decisions", "console/details", "console/output", "console/output/trials", "console/status",
    ),
    "console/details": ("console/output", "console/output/trials", "console/status"),
    "console/metrics": ("console/output", "console/output/trials"),
    "console/pages": (
        "console/details", "console/output", "console/output/trials", "console/pages/pictures",
        "console/status",
    ),
    "console/pages/pictures": (
        "console/details", "console/output", "console/output/trials", "console/pages",
    ),
    "console/web": (
        "console/details", "console/doctor", "console/metrics", "console/output", "console/web/api",
        "console/web/people",
    ),
    "console/web/api": (
        "console/decisions", "console/details", "console/doctor", "console/output", "console/output/trials",
        "console/status", "console/web", "console/web/people",
    ),
    "console/web/people": (
        "console/decisions", "console/details", "console/doctor", "console/output", "console/output/trials",
        "console/pages", "console/pages/pictures", "console/status", "console/web",
    ),
    "console/local": ("console/output", "console/web"),
    "console/doctor": ("console",),
    "console/status": ("console/output", "console/output/trials"),
    "console/demo": ("console/local", "console/output", "console/output/trials"),
    "console/commands": (
        "console", "console/decisions", "console/demo", "console/details", "console/doctor", "console/input",
        "console/local", "console/mcp", "console/output", "console/output/trials", "console/status",
        "console/web",
    ),
    "coalmine": (),
}  # fmt: skip

#: Rooms with more files than MOST_FILES, and why that is right.
LARGE_ROOMS = {
    "console/details": "one file for each thing, or kind of things, that is read, and one for their order",
    "routing/jobs": "the life of a job, a file for each thing that may happen to it",
    "tasks/agents/repository": "a job's tree: a file for each thing that is made or done with it",
    "routing/forges": "the protocol of forges, a file for each thing that it speaks of",
    "tasks/issues": "the way of an issue, a file for each step of its ticks",
    "routing/forges/local": "a whole forge: issues, branches, merges and CI, each in its own file",
    "console/commands": "one file for each command or group of commands, as the help lists them",
}

#: Files under SMALL_LINES with one importer, and why each is a file all the same.
SMALL_FILES = {
    "console/decisions/version_decisions.py": "one file for each thing that people decide about",
    "console/decisions/worker_decisions.py": "one file for each thing that people decide about",
    "console/pages/markdown.py": "what an issue may become on a page: one rule, apart from the templates",
    "console/pages/thing_links.py": "where events and decisions lead: one pure rule for both",
    "console/pages/pictures/pair_squares.py": "a picture, as `evidence_plot` is",
    "console/pages/pictures/share_plot.py": "a picture, as `evidence_plot` is",
    "console/web/api/backtest_api_routes.py": "what the API says of backtests, as their page shows them",
    "console/doctor/agent_programs.py": "one file for each subject of the checks",
    "console/doctor/traces.py": "one file for each subject of the checks",
    "console/doctor/accounts.py": "one file for each subject of the checks",
    "console/metrics/exposition.py": "the text form, apart from the numbers, which know no library",
    "console/bash_completion.py": "a script for another program, apart from the commands",
    "console/input/issue_name.py": "one file for each thing that people name in words",
    "console/local/guesses.py": "what a folder says, apart from what a person is asked",
    "routing/forges/local/access.py": "one part of the protocol: what the fleet may do there",
    "routing/process/wrapped.py": "which process is which in a sandbox: pure, beside the owner of processes",
    "routing/process/parent_death.py": "a call of the kernel's, and the program that makes it in the child",
    "routing/store/archive/put_back.py": "a rule of its own: pure, apart from reading",
    "routing/store/backlog/metadata_store.py": "one file for each record of the store",
    "routing/store/fleet/repository_id_store.py": "one file for each record of the store",
    "tasks/agents/kept_work.py": "one file for each thing that becomes of a job's work",
    "tasks/agents/supervision/waking.py": "one file for each thing that is done about agents",
    "routing/forges/gitea/feedback.py": "one part of the protocol, in a forge's own way",
    "tasks/issues/waits.py": "what a wait means for slots and tokens, apart from what is waited for",
    "tasks/application.py": "what is not Celery's, apart from what the fleet's application is made with",
    "tasks/settings/celery_variables.py": "one table: what Celery would read, apart from our settings",
    "tasks/telemetry/settings.py": "what a person sets, apart from what is done with it",
    "tasks/composition/telemetry_parts.py": "one file for each group of parts that is wired",
    "tasks/settings/backtest_settings.py": "one file for each section that is not in `settings`",
    "harvest/backtests/file_kinds.py": "a rule of its own: pure, apart from git",
}
SMALL_LINES = 60

#: Words of the APIs of forges, by pattern, and the only rooms where they may occur.
WORDS_OF_FORGES = {
    r"/repos/": ("routing/forges/rest", "routing/forges/github", "routing/forges/gitea"),
    r"/collaborators/": ("routing/forges/rest", "routing/forges/github", "routing/forges/gitea"),
    r"x-(?:hub-signature|github)": ("routing/forges/github", "routing/forges/gitea"),
    r"x-(?:gitea|forgejo)": ("routing/forges/gitea",),
    r"/merge_requests": ("routing/forges/gitlab",),
    r"x-gitlab": ("routing/forges/gitlab",),
}

#: Files of Python in a room, without `__init__.py`.
MOST_FILES = 14

#: Lines in a file.
MOST_LINES = 400

#: Draw, score, evidence, verdict and the like: their answers depend on their arguments alone.
PURE = (
    "routing/templates/route.py",
    "routing/templates/trial.py",
    "routing/forges/ci_rules.py",
    "routing/forges/commit_status.py",
    "routing/webhook/dialect.py",
    "routing/webhook/delivery.py",
    "routing/webhook/relevance.py",
    "harvest/settling/score.py",
    "harvest/evidence/verdict.py",
    "harvest/evidence/evidence.py",
    "harvest/draws/draw_evidence.py",
    "harvest/evidence/trial_test.py",
    "harvest/evidence/wager.py",
    "harvest/draws/draw_wager.py",
    "harvest/pairs/pair_wager.py",
    "harvest/pairs/pair_evidence.py",
    "harvest/draws/baseline.py",
    "harvest/evidence/policy.py",
    "tasks/work/outcome.py",
    "tasks/issues/watch.py",
    "tasks/notify/translation.py",
    "routing/jobs/retry.py",
    "routing/back_off.py",
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


@pytest.mark.parametrize("room", KNOWS)
def test_a_room_knows_the_rooms_of_the_table_alone(room: str) -> None:
    """What one room does can be read, and changed, without those that it does not know."""
    files = [path for path in product() if path.parent.as_posix() == room]
    assert files, f"the table names {room}, which does not exist"
    wrong = {
        f"{path} imports {name}"
        for path in files
        for name in imported(path)
        if name.split(".")[0] == path.parts[0] and room_of(name) not in {room, *KNOWS[room]}
    }
    assert not wrong


def test_every_room_is_in_the_table() -> None:
    """A new room says whom it knows."""
    assert {path.parent.as_posix() for path in product()} == set(KNOWS)


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
    """A search for a class finds one."""
    made = defaultdict(list)
    for package in packages:
        for path in modules(package):
            for node in nodes(tree(path), ast.ClassDef):
                made[node.name].append(f"{path}:{node.lineno}")
    assert not {name: places for name, places in made.items() if len(places) > 1}


def test_stores_are_made_in_the_composition_root() -> None:
    """Code that needs a store is given it: how one is made stands in one room."""
    made = {
        f"{path}:{node.lineno} makes {node.func.id}"
        for path in product()
        for node in nodes(tree(path), ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id.endswith("Store")
    }
    assert len(made) > 10
    assert not [place for place in sorted(made) if not _within(place, "tasks/composition")]


def test_nothing_outside_the_store_speaks_to_redis() -> None:
    """A key is written, and read, by a method of a store: no other module uses a command of a connection."""
    uses = {
        f"{path}:{node.lineno} {node.attr}"
        for path in product()
        for node in nodes(tree(path), ast.Attribute)
        if node.attr.islower()
        and hasattr(redis.Redis, node.attr)
        and ast.unparse(node.value).rpartition(".")[2] in {"redis", "_redis"}
    }
    assert len(uses) > 50
    outside = {use for use in uses if not _within(use, "routing/store")}
    assert [use for use in sorted(outside) if not use.endswith(" close")] == []


@pytest.mark.parametrize(("words", "folders"), WORDS_OF_FORGES.items())
def test_words_of_a_forge_are_in_its_folder(words: str, folders: tuple[str, ...]) -> None:
    """What one forge's API calls a thing is known to its adapter; all others speak by the protocol."""
    found = {path.parent.as_posix() for path in product() if re.search(words, text(path), re.IGNORECASE)}
    assert found, "a rule about words that nothing uses any longer"
    assert found <= set(folders)


def test_small_files_are_together() -> None:
    """A file that serves one other is read with it, and so it stands in it, or has a reason above."""
    small = small_files()
    assert not {file: importer for file, importer in small.items() if file not in SMALL_FILES}
    assert set(SMALL_FILES) <= set(small), "a reason that nothing needs any longer"


def small_files() -> dict[str, str]:
    """Files that are small and have one importer, with that importer."""
    importers = defaultdict(set)
    for path in product():
        for name in imported(path):
            importers[name].add(module_name(path))
    return {
        path.as_posix(): next(iter(importers[module_name(path)]))
        for path in product()
        if path.name not in {"__init__.py", "__main__.py", "kind.py"}  # each forge has its kind.py
        and len(text(path).splitlines()) < SMALL_LINES
        and len(importers[module_name(path)]) == 1
    }
