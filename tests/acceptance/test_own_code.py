"""Coalmine runs its own code, whatever files lie in the folder that it is started in."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

import coalmine
from tests.case_names import cases
from tests.waiting import run

#: Files that a project may have; run in place of ours, or of a library of ours, each ends the program.
FILES = ("tasks.py", "console.py", "routing/__init__.py", "harvest/__init__.py", "celeryconfig.py",
         "conftest.py", "redis.py", "yaml.py")  # fmt: skip

PROGRAMS = {
    "coalmine": (str(Path(sys.executable).with_name("coalmine")), "--version"),
    "python -m coalmine": (sys.executable, "-m", "coalmine", "--version"),
    "celery -A coalmine": (str(Path(sys.executable).with_name("celery")), "-A", "coalmine", "report"),
    "python -m coalmine.celery": (sys.executable, "-P", "-m", "coalmine.celery", "report"),
}


def place(folder: Path) -> None:
    """Fill a folder with files that end a program which imports them."""
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"raise SystemExit('{name} of this folder was run')\n")
    (folder / ".env").write_text("COALMINE_NAMESPACE=of-another\n")


@pytest.mark.parametrize(
    ("program", "path"),
    [
        ("coalmine", ""),
        *(pytest.param(name, "", marks=pytest.mark.long) for name in PROGRAMS if name != "coalmine"),
        ("coalmine", "."),  # with Celery's program, Celery itself is imported before anything of ours
    ],
)
def test_files_of_the_folder_are_not_run(program: str, path: str, tmp_path: Path) -> None:
    """Neither by the command line nor by Celery's program; also where PYTHONPATH names the folder."""
    place(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    ended = run(PROGRAMS[program], cwd=tmp_path, env=environment | {"PYTHONPATH": path})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ("coalmine 0." in ended.stdout) or ("celery:" in ended.stdout)


@pytest.mark.parametrize("command", cases(["worker", "beat"], quick={"worker"}))
def test_a_lasting_process_has_no_other_commands(command: str) -> None:
    """Celery's program imports what any package adds to it; for `coalmine up` it is the command alone."""
    program = "import sys\nfrom coalmine.celery import main\ntry: main()\nfinally: print(*sys.modules)"
    ended = run((sys.executable, "-c", program, command, "--help"))
    assert ended.returncode == 0, ended.stderr
    assert f"Usage: celery {command} [OPTIONS]" in ended.stdout
    imported = {name.partition(".")[0] for name in ended.stdout.split()}
    assert "celery" in imported
    assert not imported & {"flower", "prompt_toolkit"}


def test_a_package_of_another_project_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `tasks` that was imported from elsewhere ends the program; it says where it lies."""
    other = ModuleType("tasks")
    other.__file__ = str(tmp_path / "tasks.py")
    monkeypatch.setitem(sys.modules, "tasks", other)
    with pytest.raises(SystemExit, match=rf"`tasks` at {tmp_path}/tasks.py is not Coalmine's"):
        coalmine.own_floors()


def test_a_floor_that_was_written_over_is_named() -> None:
    """A name that our `tasks` must have and has not is not reported as a fault of Coalmine's."""
    said = coalmine.complaint(ImportError("cannot import name 'app'", name="tasks.celery"))
    assert "the package `tasks`" in said
    assert "environment of its own" in said
    assert not coalmine.complaint(ImportError("no module named redis", name="redis")), "not one of ours"
