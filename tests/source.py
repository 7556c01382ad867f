"""The project's own source as data: which files there are, what each imports, and which names it makes.

For the tests that hold the layout. Each file is read and parsed once a process.
"""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)

ROOT = Path(__file__).parents[1]

#: A commit of some hundred commits ago, whose settings have today's names: a release to run beside ours.
OLDER = "6fd2b45e"

#: Lowest first: each floor may import those before it. The last is the address under which all is started.
FLOORS = ("routing", "harvest", "tasks", "console", "coalmine")

#: Folders beside the floors that hold Python.
BESIDE = ("tests", "benchmarks")

#: Files whose words are not ours: what real agents, forges and machines said, and measurements.
_OF_OTHERS = ("tests/recordings/", "benchmarks/results", "LICENSE", "constraints.txt")


@cache
def modules(package: str) -> tuple[Path, ...]:
    """All Python files of a package, relative to the root."""
    return tuple(path.relative_to(ROOT) for path in sorted((ROOT / package).rglob("*.py")))


def product() -> Iterator[Path]:
    """All Python files of the floors."""
    for floor in FLOORS:
        yield from modules(floor)


@cache
def forge_rooms() -> tuple[str, ...]:
    """The folder of each kind of forge: those below `routing/forges` that have a `kind.py`."""
    return tuple(
        path.parent.as_posix() for path in modules("routing") if path.match("routing/forges/*/kind.py")
    )


@cache
def tracker_rooms() -> tuple[str, ...]:
    """The folder of each kind of tracker: those below `routing/trackers` that have a `kind.py`."""
    return tuple(
        path.parent.as_posix() for path in modules("routing") if path.match("routing/trackers/*/kind.py")
    )


@cache
def text(path: Path) -> str:
    """What a file says."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax."""
    return ast.parse(text(path))


@cache
def _by_kind(module: ast.Module) -> dict[type[ast.AST], list[Any]]:
    found: dict[type[ast.AST], list[Any]] = {}
    for node in ast.walk(module):
        found.setdefault(type(node), []).append(node)
    return found


def nodes(module: ast.Module, kind: type[_Node]) -> Sequence[_Node]:
    """All nodes of one kind, outer ones first. A module is walked once, however often it is asked."""
    return _by_kind(module).get(kind, [])


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules that a file imports, wherever in it the import stands."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for plain in nodes(tree(path), ast.Import):
        yield from (alias.name for alias in plain.names)
    for node in nodes(tree(path), ast.ImportFrom):
        assert node.level == 0, f"{path} imports by a relative name"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        files = [name for name in inner if is_module(name)]
        yield from files or [str(node.module)]


@cache
def is_module(name: str) -> bool:
    """Whether a dotted name is a file of ours, rather than something in one."""
    return (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


def module_name(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.with_suffix("").parts)


def room_of(module: str) -> str:
    """The folder that a module lies in: `routing/forges/rest` for `routing.forges.rest.client`."""
    place = module.replace(".", "/")
    return place if (ROOT / place).is_dir() else place.rpartition("/")[0]


@cache
def scripts() -> tuple[Path, ...]:
    """All Lua files of the store, relative to the root."""
    return tuple(path.relative_to(ROOT) for path in sorted((ROOT / "routing/store").glob("*/*.lua")))


def written_by_us() -> Iterator[Path]:
    """Every file whose text is ours: code, scripts, tests, documents and settings."""
    kinds = {".py", ".lua", ".md", ".toml", ".yml", ".yaml", ".sh", ".conf", ".html", ".css", ".js", ""}
    beside = [path for path in sorted(ROOT.iterdir()) if path.is_file()]
    folders = [ROOT / name for name in (*FLOORS, *BESIDE, "docs", ".ci")]
    for path in beside + [path for folder in folders for path in sorted(folder.rglob("*"))]:
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and path.suffix in kinds and not name.startswith(_OF_OTHERS):
            yield path.relative_to(ROOT)
