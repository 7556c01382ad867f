"""The command blocks of a page, as a person would type them one after the other."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.source import ROOT
from tests.waiting import run

#: The first line of a block that cannot be carried out everywhere; readers see it as well.
_NEEDS = re.compile(r"^# needs (?P<what>.+)$")

#: Folders of the system's own programs.
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of shell lines."""

    text: str
    needs: str = ""  # what it needs that is not everywhere, in the page's words

    @property
    def stays(self) -> bool:
        """Whether its last line goes on until Ctrl-C."""
        return self.text.strip().splitlines()[-1].startswith("coalmine up")

    @classmethod
    def all_of(cls, page: str) -> list[Self]:
        """Those of a page, in order."""
        text = (ROOT / page).read_text(encoding="utf-8")
        found = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        return [cls(text=each, needs=cls._needs(each)) for each in found]

    @staticmethod
    def _needs(text: str) -> str:
        first = _NEEDS.match(text.splitlines()[0])
        return first["what"] if first else ""


@dataclass(kw_only=True)
class PrintedShell:
    """A terminal of a person with an empty home: each block begins in the folder where the last one ended."""

    home: Path
    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def at(cls, home: Path, *programs: Path) -> Self:
        """A new terminal; `programs` are folders before the system's on the PATH."""
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = os.pathsep.join([*map(str, programs), SYSTEM_PATH])
        variables = {"HOME": str(home), "PATH": path, "TERM": "dumb", "USER": "you", "LOGNAME": "you"}
        return cls(home=home, folder=home, environment=kept | variables)

    def run(self, block: Block, *, timeout: float = 60) -> str:
        """Carry out a block; AssertionError with what it printed when a line fails."""
        where = self.home / ".where"
        script = f"set -e\n{block.text}\npwd > {shlex.quote(str(where))}\n"
        ran = run(
            ["sh"], stdin=script, cwd=self.folder, env=dict(self.environment), timeout=timeout,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert ran.returncode == 0, f"{block.text}\n{ran.stdout}"
        self.folder = Path(where.read_text().strip())
        return ran.stdout

    def start(self, block: Block, log: Path, *, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Carry out a block whose last line goes on until Ctrl-C; what it prints goes to a file."""
        *before, last = block.text.strip().splitlines()
        script = "\n".join(["set -e", *before, f"exec {last}"])
        with log.open("wb") as written:
            return subprocess.Popen(
                ["sh", "-c", script], cwd=self.folder, env=dict(self.environment), stdin=stdin,
                stdout=written, stderr=written, start_new_session=True,
            )  # fmt: skip


def only_coalmine(folder: Path) -> Path:
    """A folder on the PATH as installers leave it: this installation's `coalmine`, and nothing else."""
    folder.mkdir()
    (folder / "coalmine").symlink_to(Path(sys.executable).with_name("coalmine"))
    return folder
