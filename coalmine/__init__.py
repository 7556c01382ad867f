"""The address of Coalmine that collides with nobody: `coalmine`, `python -m coalmine`, `celery -A coalmine`.

The floors have names that other projects use too: a folder with a `tasks.py` is the usual start of a Celery
project. Whatever is started here finds the floors beside this package, and nowhere else: not in the working
folder, and not on PYTHONPATH. A floor that is not ours all the same, because another distribution wrote over
it or it was imported before, ends the program with a message that says whose it is.

Only this belongs here. Importing the package changes nothing; `own_floors` does.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

#: The packages of ours, lowest first.
FLOORS = ("routing", "harvest", "tasks", "console")

#: The folder that all packages of this installation lie in.
HOME = Path(__file__).parents[1]


class OwnFloors:
    """A finder for `sys.meta_path`: the floors are those in HOME, whatever `sys.path` says."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The floor of this name, or None for any other module."""
        del path, target
        return PathFinder.find_spec(name, [str(HOME)]) if name in FLOORS else None


def own_floors() -> None:
    """Make this process import the floors from HOME; SystemExit when another `tasks` is there already.

    The working folder leaves `sys.path` too, where Python, Celery or a PYTHONPATH of `.` put it, so that a
    `redis.py` in it is not taken for the library. Children inherit PYTHONPATH as it was.
    """
    if OwnFloors not in sys.meta_path:
        sys.meta_path.insert(0, OwnFloors)
    here = Path.cwd()
    if here != HOME:
        sys.path[:] = [entry for entry in sys.path if Path(entry).absolute() != here]
    for floor in FLOORS:
        loaded = getattr(sys.modules.get(floor), "__file__", None)
        if loaded and Path(loaded).parent != HOME / floor:
            raise SystemExit(_not_ours(floor, Path(loaded)))


def complaint(error: ImportError) -> str:
    """What to print when a floor lacks what it must have: whose it may be."""
    floor = (error.name or "").partition(".")[0]
    return _not_ours(floor, HOME / floor) if floor in FLOORS else ""


def _not_ours(floor: str, place: Path) -> str:
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow to import, for an error alone

    others = sorted({name for name in packages_distributions().get(floor, []) if name != "coalmine"})
    whose = f"it belongs to {', '.join(others)}" if others else "it belongs to another project"
    return (
        f"coalmine: the package `{floor}` at {place} is not Coalmine's, {whose}; install Coalmine into an "
        "environment of its own: uv tool install, pipx install, or a new virtual environment"
    )


def __getattr__(name: str) -> Any:
    """`coalmine.app`, which `celery -A coalmine` asks for; made when it is asked for."""
    if name != "app":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    own_floors()
    try:
        from tasks.celery import app  # noqa: PLC0415 - importing this package must import no floor
    except ImportError as error:
        raise SystemExit(complaint(error) or str(error)) from error
    return app
