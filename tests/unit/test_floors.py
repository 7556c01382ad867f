"""The house: imports run downwards only, and the list of events is the events that are written."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from routing import events

ROOT = Path(__file__).parents[2]

#: Lowest first: each floor may import those before it.
FLOORS = ("routing", "harvest", "tasks", "console")

#: Folders beside the floors that hold Python.
BESIDE = {"tests", "benchmarks"}


def modules(package: str) -> list[Path]:
    """All Python files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """What a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            yield str(node.module)


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards(floor: str) -> None:
    """A floor knows those below it, and never the tests."""
    above = {*FLOORS[FLOORS.index(floor) + 1 :], *BESIDE}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(floor)
        for name in imported(path)
        if name.split(".")[0] in above
    }
    assert not wrong


@pytest.mark.parametrize("floor", FLOORS)
def test_nothing_below_calls_up_by_name(floor: str) -> None:
    """No module is loaded by a string that names a floor above."""
    above = FLOORS[FLOORS.index(floor) + 1 :]
    loads = re.compile(rf"import_module\(\s*[\"'](?:{'|'.join(above) or 'nothing'})\b")
    assert not [path for path in modules(floor) if loads.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("package", ["celery", "kombu"])
def test_harvest_knows_no_broker(package: str) -> None:
    """What an outcome is worth does not depend on how messages travel."""
    assert not [path for path in modules("harvest") if package in {n.split(".")[0] for n in imported(path)}]


def test_pure_modules_know_no_server() -> None:
    """Draw, score, evidence and verdict read no clock, no server and no randomness."""
    pure = [
        "routing/templates/route.py",
        "routing/templates/bet.py",
        "harvest/score.py",
        "harvest/verdict.py",
        "tasks/work/outcome.py",
        "routing/webhook/signature.py",
        "routing/webhook/delivery.py",
        "routing/webhook/relevance.py",
    ]
    pure += [
        f"harvest/{name}.py" for name in ("evidence", "trial_evidence", "wager", "baseline", "ramp", "policy")
    ]
    banned = {"redis", "time", "datetime", "random", "secrets", "os", "socket", "threading", "uuid"}
    wrong = {
        f"{name} imports {module}" for name in pure for module in imported(ROOT / name) if module in banned
    }
    assert not wrong


def test_only_the_composition_makes_stores() -> None:
    """Whoever needs a store is given it: how one is made stands in one room."""
    classes = [
        (path, node)
        for floor in FLOORS
        for path in modules(floor)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.ClassDef, ast.Call))
    ]
    stores = {"Store"}
    grown = True
    while grown:
        found = {
            node.name
            for _, node in classes
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & stores
        }
        grown = not found <= stores
        stores |= found
    assert len(stores) > 10
    made = {
        f"{path.relative_to(ROOT)} makes {ast.unparse(node.func)}"
        for path, node in classes
        if isinstance(node, ast.Call) and ast.unparse(node.func) in stores
    }
    assert not [place for place in sorted(made) if not place.startswith("tasks/composition/")]
    assert made


def test_there_is_no_other_package() -> None:
    """Four floors, their tests and the benchmarks: nothing else holds Python."""
    ours = {path.parent.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/*.py")}
    assert ours == {*FLOORS, *BESIDE}


def test_every_package_says_what_it_is() -> None:
    """Each folder with modules is a package with a docstring."""
    for floor in FLOORS:
        for folder in {path.parent for path in modules(floor)}:
            text = (folder / "__init__.py").read_text(encoding="utf-8")
            assert ast.get_docstring(ast.parse(text)), folder


def test_every_event_has_a_meaning() -> None:
    """The reference lists every constant, each under a name of its own."""
    constants = [value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)]
    assert sorted(constants) == sorted(events.MEANINGS)
    assert len(set(constants)) == len(constants)


def test_every_event_of_the_scripts_has_a_meaning() -> None:
    """No script writes an event that the reference does not know."""
    kind = re.compile(r"'((?:backlog|template|candidate|trial|job|dispatch)\.[a-z_]+)'")
    lua = (ROOT / "routing" / "store").glob("*/*.lua")
    written = {found for path in lua for found in kind.findall(path.read_text(encoding="utf-8"))}
    assert len(written) > 10
    assert written <= set(events.MEANINGS)


def test_every_event_is_written_somewhere() -> None:
    """The reference lists no event that nothing writes."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "routing" / "store").glob("*/*.lua")]
    texts += [
        path.read_text(encoding="utf-8")
        for floor in FLOORS
        for path in modules(floor)
        if path.name != "events.py"
    ]
    everything = "\n".join(texts)
    names = {value: name for name, value in vars(events).items() if isinstance(value, str)}
    unused = [
        kind
        for kind in events.MEANINGS
        if f"'{kind}'" not in everything
        and f'"{kind}"' not in everything
        and not re.search(rf"\b{names[kind]}\b", everything)
    ]
    assert not unused
