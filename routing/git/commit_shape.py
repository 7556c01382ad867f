"""What an agent's commits would be as files, found out before any git unfolds them.

A few hundred bytes of tree objects may stand for billions of files, or for a path that no system takes: git
would run out of memory, or crash, or no checkout of the work would ever succeed. Each new tree is read once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from routing.git.git import Git

#: Bytes of a name, of a path and of a link's target: what Linux takes, with some room for the folder above.
MOST_NAME, MOST_PATH, MOST_LINK = 255, 4000, 4000

#: Files of one commit, and bytes of each.
MOST_FILES, MOST_FILE_BYTES = 5_000_000, 2 * 1024**3

#: Bytes that the new files of one commit may have together, and that are read of new tree objects.
MOST_FILES_BYTES = 16 * 1024**3
MOST_TREE_BYTES = 256 * 1024**2

#: How often trees of the base may be there again before their files are counted.
_MOST_REPEATED = 100

_FOLDER, _LINK = b"40000", b"120000"


def misfit(git: Git, commit: str, known: Sequence[str]) -> str:
    """Why the files of a commit, or of one before it that is new, cannot be written; "" when they can.

    `known` are commits whose files can be. GitError when git cannot list them.
    """
    listed = git.raw("rev-list", "--objects", "--no-object-names", commit, "--not", *known)
    if not listed:
        return ""
    facts = git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=listed.decode())
    objects = [(name, kind, int(size)) for name, kind, size in map(str.split, facts.splitlines())]
    sizes = {name: size for name, kind, size in objects if kind == "blob"}
    large = [name for name, size in sizes.items() if size > MOST_FILE_BYTES]
    if large:
        return f"a file of {sizes[large[0]] / 1024**3:.0f} GiB"
    trees = {name: size for name, kind, size in objects if kind == "tree"}
    if sum(trees.values()) > MOST_TREE_BYTES:
        return "too many folders and names"
    wanted = [name for name, kind, _ in objects if kind == "tree"]
    return _Shapes(trees=dict(_read(git, wanted, bytes_of_name=len(commit) // 2)), sizes=sizes).misfit(git)


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: bytes
    name: bytes
    object: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """What a tree is when it is unfolded. Trees of the base count as one entry."""

    entries: int = 0
    known: int = 0  # trees of the base among them
    file_bytes: int = 0  # of new files
    path: int = 0  # bytes of its longest path


@dataclass(kw_only=True, slots=True)
class _Shapes:
    """The new trees of some commits, each looked at once."""

    trees: Mapping[str, Sequence[_Entry]]
    sizes: Mapping[str, int]  # of new files
    shapes: dict[str, _Shape] = field(default_factory=dict)

    def misfit(self, git: Git) -> str:
        """Why one of them cannot be written, "" when all can."""
        for tree in self.trees:
            if why := self._odd(tree):
                return why
            self._unfold(tree)
        again = {entry.object for tree in self.trees.values() for entry in tree if self._is_known(entry)}
        for tree, shape in self.shapes.items():
            files = shape.entries
            if shape.known > len(again) + _MOST_REPEATED:
                files += self._files_of_known(git, tree)
            if files > MOST_FILES:
                return f"{files:.2g} files"
            if shape.file_bytes > MOST_FILES_BYTES:
                return f"{shape.file_bytes / 1024**3:.2g} GiB of files"
            if shape.path > MOST_PATH:
                return f"a path of {shape.path} bytes"
        return ""

    def _odd(self, tree: str) -> str:
        """Why an entry of a tree cannot be written."""
        for entry in self.trees[tree]:
            if len(entry.name) > MOST_NAME:
                return f"a name of {len(entry.name)} bytes"
            if entry.mode == _LINK and not 0 < self.sizes.get(entry.object, 1) <= MOST_LINK:
                return f"a link to a path of {self.sizes[entry.object]} bytes"
        return ""

    def _unfold(self, tree: str) -> None:
        """Find the shape of a tree, those of its folders first. Folders may be deeper than calls."""
        waiting = [tree]
        while waiting:
            one = waiting[-1]
            missing = [
                entry.object
                for entry in self.trees[one]
                if entry.object in self.trees and entry.object not in self.shapes
            ]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            self.shapes[one] = self._shape(one)

    def _shape(self, tree: str) -> _Shape:
        entries = known = file_bytes = path = 0
        for entry in self.trees[tree]:
            inner = self.shapes.get(entry.object, _Shape(entries=1, known=int(self._is_known(entry))))
            entries += inner.entries
            known += inner.known
            file_bytes += inner.file_bytes + self.sizes.get(entry.object, 0)
            path = max(path, len(entry.name) + (1 + inner.path if inner.path else 0))
        return _Shape(entries=entries, known=known, file_bytes=file_bytes, path=path)

    def _is_known(self, entry: _Entry) -> bool:
        return entry.mode == _FOLDER and entry.object not in self.trees

    def _files_of_known(self, git: Git, root: str) -> int:
        """Count the files that trees of the base bring, each as often as it is there."""
        times = Counter({root: 1})
        for tree in self._outer_first(root):
            for entry in self.trees[tree]:
                if entry.mode == _FOLDER:
                    times[entry.object] += times[tree]
        found = 0
        for tree, count in times.items():
            if tree not in self.trees:
                found += count * git.raw("ls-tree", "-r", "-z", "--name-only", tree).count(b"\0")
            if found > MOST_FILES:
                break
        return found

    def _outer_first(self, root: str) -> list[str]:
        """The new trees below one, each after all that it is in."""
        done: set[str] = set()
        order: list[str] = []
        waiting = [(root, False)]
        while waiting:
            tree, has_inner = waiting.pop()
            if has_inner:
                order.append(tree)
            elif tree not in done:
                done.add(tree)
                inner = [entry.object for entry in self.trees[tree] if entry.object in self.trees]
                waiting += [(tree, True), *((one, False) for one in inner)]
        return order[::-1]


def _read(git: Git, trees: Sequence[str], *, bytes_of_name: int) -> Iterator[tuple[str, list[_Entry]]]:
    """The entries of trees, by the names of those."""
    if not trees:
        return
    content = git.raw("cat-file", "--batch", stdin="".join(f"{tree}\n" for tree in trees).encode())
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        name, _, size = content[at:end].split(b" ")
        yield name.decode(), list(_entries(content[end + 1 : end + 1 + int(size)], bytes_of_name))
        at = end + int(size) + 2


def _entries(tree: bytes, bytes_of_name: int) -> Iterator[_Entry]:
    at = 0
    while at < len(tree):
        space, end = tree.index(b" ", at), tree.index(b"\0", at)
        after = end + 1 + bytes_of_name
        yield _Entry(tree[at:space], tree[space + 1 : end], tree[end + 1 : after].hex())
        at = after
