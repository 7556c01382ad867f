"""Follows a page for contributors: makes its changes in a copy of the product, and runs what it says of them.

A page changes files by sentences of a fixed form, each before a block of Python or Lua:
"The new file `FILE`:", "In `FILE`, after the line `LINE`:", and the same with "before" or "instead of".
A block after "Then this holds:" is a program that must end without an error.
"""

import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.source import FLOORS, ROOT
from tests.waiting import run

_BLOCK = r":\n\n```(?:python|lua)\n(?P<{name}>.*?)```"
_STEP = re.compile(
    r"(?:^|\n)(?:In `(?P<file>[\w/.]+)`, (?P<where>after|before|instead of) the line `(?P<line>[^`]+)`"
    r"|The new file `(?P<new>[\w/.]+)`)" + _BLOCK.format(name="code"),
    re.DOTALL,
)
_CLAIM = re.compile(r"\nThen this holds" + _BLOCK.format(name="program"), re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page, read."""

    text: str

    @classmethod
    def read(cls, name: str) -> "Page":
        """A page of `docs/`."""
        return cls((ROOT / "docs" / name).read_text(encoding="utf-8"))

    @property
    def claims(self) -> list[str]:
        """The programs that hold once the steps were taken."""
        return [found["program"] for found in _CLAIM.finditer(self.text)]

    @property
    def steps(self) -> list[re.Match[str]]:
        """The changes, in order."""
        return list(_STEP.finditer(self.text))

    def follow(self, folder: Path) -> None:
        """Make all changes of the page in a copy of the product."""
        for floor in FLOORS:
            shutil.copytree(
                ROOT / floor, folder / floor, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
        for step in self.steps:
            _take(step, folder)


def _take(step: re.Match[str], folder: Path) -> None:
    if step["new"]:
        assert not (folder / step["new"]).exists(), f"{step['new']} exists already"
        (folder / step["new"]).parent.mkdir(exist_ok=True)
        (folder / step["new"]).write_text(step["code"], encoding="utf-8")
        return
    file = folder / step["file"]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.strip().startswith(step["line"])]
    assert len(places) == 1, f"{step['file']} has {len(places)} lines that begin with {step['line']}"
    (place,) = places
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    kept = lines[place] if step["where"] != "instead of" else ""
    added = textwrap.indent(step["code"], indent)
    lines[place] = added + kept if step["where"] == "before" else kept + added
    file.write_text("".join(lines), encoding="utf-8")


def ran(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program against the product in a folder."""
    return run([sys.executable, "-c", program], cwd=folder)
