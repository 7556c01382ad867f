"""What `coalmine init` proposes as answers, from what lies in the folder. Nothing is run but git."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from routing.git.git import Git
from tasks.agents.runtimes.registry import PROGRAMS

#: Files of a repository, and the usual command that runs its tests; the first that is there counts.
_TESTS = {
    "package.json": "npm ci && npm test",
    "Cargo.toml": "cargo test",
    "go.mod": "go test ./...",
    "tox.ini": "tox",
    "pyproject.toml": "python -m pytest -q",
    "setup.py": "python -m pytest -q",
}


def repository_of(folder: Path) -> Path | None:
    """The repository that a folder is in; None when it is in none."""
    asked = Git(folder).attempt("rev-parse", "--show-toplevel")
    return Path(asked.stdout.strip()) if asked.returncode == 0 and asked.stdout.strip() else None


def ci_of(repository: Path) -> str:
    """The command that probably runs the tests; "" when nothing says so."""
    makefile = repository / "Makefile"
    if makefile.is_file() and any(
        line.startswith("test:") for line in makefile.read_text(errors="replace").splitlines()
    ):
        return "make test"
    return next((command for name, command in _TESTS.items() if (repository / name).is_file()), "")


def program_of(environment: Mapping[str, str]) -> str:
    """The name of the first known program that is installed; "" when none is."""
    path = environment.get("PATH", "")
    return next((name for name, each in PROGRAMS.items() if shutil.which(each.command, path=path)), "")
