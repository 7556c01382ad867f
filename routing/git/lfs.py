"""Git LFS: the objects that pointers in commits stand for, as files beside a repository.

Objects are copied, and checked by their names, which are their hashes; no server of LFS's is spoken to. So
they come from, and go to, repositories on this machine. See `git-lfs pointer` and git-lfs-config(5).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.git.git import Git

#: A pointer is smaller than this, in bytes.
POINTER_BYTES = 1024

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize [0-9]+\n?"
)


@dataclass(frozen=True, slots=True)
class LfsStore:
    """The folder of a repository's objects; it need not be there."""

    objects: Path

    @classmethod
    def of(cls, git_dir: Path) -> "LfsStore":
        """That of a git directory."""
        return cls(git_dir / "lfs" / "objects")

    @classmethod
    def at(cls, address: str) -> "LfsStore | None":
        """That of a repository on this machine; None for any other address."""
        folder = Path(address)
        if not folder.is_dir():
            return None
        return cls.of(folder / Git(folder)("rev-parse", "--git-common-dir"))

    def path_of(self, name: str) -> Path:
        """Where an object is."""
        return self.objects / name[:2] / name[2:4] / name

    def has(self, name: str) -> bool:
        """Whether the object is there."""
        return self.path_of(name).is_file()

    def take(self, name: str, source: Path) -> bool:
        """Copy an object, if it is what its name says; whether it was."""
        target = self.path_of(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copied:
            try:
                found = _copied(source, copied.fileno()) == name
                if found:
                    os.fchmod(copied.fileno(), 0o644)
                    Path(copied.name).replace(target)
            finally:
                Path(copied.name).unlink(missing_ok=True)
        return found


def uses_lfs(git: Git, commit: str) -> bool:
    """Whether a commit has files in LFS."""
    attributes = ":(glob)**/.gitattributes"
    return git.attempt("grep", "-q", "filter=lfs", commit, "--", attributes).returncode == 0


def lfs_objects(git: Git, commit: str, without: Sequence[str] | None = None) -> list[str]:
    """The objects that pointers stand for in a commit's files; with `without` in all commits but those."""
    if without is None:
        listed = git("ls-tree", "-r", "--format=%(objecttype) %(objectname)", commit).splitlines()
        blobs = [line.partition(" ")[2] for line in listed if line.startswith("blob ")]
    else:
        blobs = git("rev-list", "--objects", "--no-object-names", commit, *without).splitlines()
    return list(dict.fromkeys(name for _, name in _pointed(git, list(dict.fromkeys(blobs)))))


def copy_lfs_objects(
    git: Git, commit: str, address: str, *, to: LfsStore, besides: LfsStore | None = None
) -> None:
    """Copy the objects of a commit's files from a repository on this machine, those that neither store has.

    What that repository lacks, or another machine has, is left out.
    """
    there = LfsStore.at(address)
    if there is None or not uses_lfs(git, commit):
        return
    for name in lfs_objects(git, commit):
        is_here = to.has(name) or (besides is not None and besides.has(name))
        if not is_here and there.has(name):
            to.take(name, there.path_of(name))


def are_pointers(git: Git, blobs: Sequence[str]) -> list[str]:
    """Those of the blobs that point to an object."""
    return [blob for blob, _ in _pointed(git, blobs)]


def _pointed(git: Git, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The blobs that are pointers, each with the object that it points to."""
    if not names:
        return
    asked = "".join(f"{name}\n" for name in names)
    sized = git("cat-file", "--batch-check=%(objecttype) %(objectsize) %(objectname)", stdin=asked)
    blobs = [
        name
        for kind, size, name in map(str.split, sized.splitlines())
        if kind == "blob" and int(size) < POINTER_BYTES
    ]
    if not blobs:
        return
    content = git.raw("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        size = int(content[at:end].rpartition(b" ")[2])
        if found := _POINTER.fullmatch(content, end + 1, end + 1 + size):
            yield content[at:end].partition(b" ")[0].decode(), found[1].decode()
        at = end + size + 2


def _copied(source: Path, target: int) -> str:
    """Copy a file, and return the hash of what was copied; "" when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                os.write(target, chunk)
    except OSError:
        return ""
    return digest.hexdigest()
