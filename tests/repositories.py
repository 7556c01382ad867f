"""Real git repositories for tests, and work on their branches."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from routing.git.git import IDENTITY_EMAIL, IDENTITY_NAME, Git, GitError


@dataclass(slots=True)
class TemporaryRepository:
    """A repository at `path`, whose own work tree is left alone; `bench` is a clone beside it to work in."""

    path: Path
    bench: Path
    last: str = field(default="", init=False, compare=False)  # the commit that was made last

    @property
    def git(self) -> Git:
        """Git in the repository itself."""
        return Git(self.path)

    def work(self, branch: str, files: dict[str, str], *, onto: str = "origin/main") -> str:
        """Commit files on a branch that begins at `onto`, as the repository has it, and return the commit."""
        begin = onto.replace("origin/", "refs/heads/")
        return self._commit(branch, files, f"{begin}^0")

    def more_work(self, branch: str, files: dict[str, str]) -> str:
        """Put one more commit onto the one that was made last, as the branch's newest."""
        return self._commit(branch, files, self.last)

    def _commit(self, branch: str, files: dict[str, str], begin: str) -> str:
        """By one git, as tests make thousands."""
        message = f"Work on {', '.join(files)}"
        lines = [
            f"commit refs/heads/{branch}\nmark :1\ncommitter {IDENTITY_NAME} <{IDENTITY_EMAIL}> now\n",
            _data(message),
            f"from {begin}\n" if begin else "",
            *(f"M 100644 inline {name}\n{_data(text)}" for name, text in files.items()),
            "get-mark :1\n",
        ]
        importer = ("fast-import", "--quiet", "--force", "--date-format=now")
        self.last = self.git(*importer, stdin="".join(lines))
        return self.last

    def tip(self, branch: str = "main") -> str:
        """The newest commit of a branch."""
        if tip := self.find(branch):
            return tip
        message = f"{self.path} has no branch {branch}"
        raise GitError(message)

    def find(self, branch: str) -> str:
        """The newest commit of a branch, "" where there is none; its file is read, as tests ask often."""
        git_dir, name = self.path / ".git", f"refs/heads/{branch}"
        git_dir = git_dir if git_dir.is_dir() else self.path
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return (git_dir / name).read_text(encoding="ascii").strip()
        with suppress(FileNotFoundError):
            packed = (git_dir / "packed-refs").read_text(encoding="utf-8")
            return next((line[:40] for line in packed.splitlines() if line[41:] == name), "")
        return ""


def _data(text: str) -> str:
    """As fast-import reads it: bytes are counted."""
    return f"data {len(text.encode())}\n{text}\n"


def new_repository(folder: Path, name: str = "shop", *, bare: bool = False) -> TemporaryRepository:
    """A repository with one commit on `main`, which is checked out unless the repository is bare."""
    path, bench, seed = folder / name, folder / f"{name}-bench", _seed()
    shutil.copytree(seed / "shop.git", path)
    if not bare:
        worked = folder / f"{name}-with-tree" / name
        _copied(seed / "shop-bench", worked, origin=path)
        path = worked
        Git(path)("update-index", "-q", "--refresh")
    _copied(seed / "shop-bench", bench, origin=path)
    repository = TemporaryRepository(path, bench)
    repository.last = repository.tip()
    return repository


def _copied(clone: Path, to: Path, *, origin: Path) -> None:
    shutil.copytree(clone, to)
    config = to / ".git" / "config"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(str(clone.with_name("shop.git")), str(origin)), encoding="utf-8")


@cache
def _seed() -> Path:
    """A folder with the repository, bare, and a clone of it; this process removes it at its end."""
    folder, owner = Path(tempfile.mkdtemp(prefix="coalmine-seed-")), os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == owner:  # and not a fork
            shutil.rmtree(folder, ignore_errors=True)

    git = Git(folder)
    git("init", "--quiet", "--initial-branch", "main", "--bare", "shop.git")
    made = TemporaryRepository(folder / "shop.git", folder / "shop-bench")
    made.more_work("main", {"README.md": "shop\n", "cart.txt": "one\ntwo\nthree\n"})
    git("clone", "--quiet", str(made.path), str(made.bench))
    for sample in folder.rglob("hooks/*.sample"):
        sample.unlink()
    return folder
