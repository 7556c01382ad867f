"""Attacks on a worker's git by what an agent leaves in its tree: nothing runs, leaks, waits or is lost."""

import hashlib
import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from routing.git import commit_shape
from routing.git.git import Git
from tasks.agents.repository.hand_out import sweep_worktrees
from tasks.agents.repository.worktree import Worktree
from tests.case_names import cases
from tests.integration.test_agent_tree import BRANCH, JOB, Shop, commit


class Siege:
    """An agent's tree, a repository that the agent may not read, and a program that shows that it has run."""

    def __init__(self, folder: Path) -> None:
        self.shop = Shop(folder)
        (self.shop.seed / "folder").mkdir()
        (self.shop.seed / "folder" / "key").write_text("public\n")
        self.shop.publish("A folder")
        self.mark, self.trap = folder / "mark", folder / "trap"
        self.trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.mark}\ncat\n')
        self.trap.chmod(0o755)
        self.secret = folder / "secret"
        self.secret.mkdir()
        Git(self.secret)("init", "--quiet", "--initial-branch=main")
        Git(self.secret)("pull", "--quiet", str(self.shop.remote), "main")
        (self.secret / "key").write_text("top secret\n")
        self.hidden = commit(self.secret, "hidden.txt", "top secret\n")
        self.tree: Worktree = self.shop.open()
        self.path, self.git_dir = self.tree.path, self.tree.path / ".git"
        self.git = Git(self.path)
        self.mine = commit(self.path, "mine.py")

    def configure(self, text: str) -> None:
        """Add to the settings of the tree's repository."""
        with (self.git_dir / "config").open("a") as config:
            config.write(text.format(trap=self.trap, secret=self.secret, mark=self.mark))

    def made(self, kind: str, content: bytes) -> str:
        """Write an object, well formed or not, and return its name."""
        raw = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        path = self.git_dir / "objects" / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(raw))
        return name

    def made_tree(self, *entries: tuple[str, bytes, str]) -> str:
        """Write a tree of modes, names and objects."""
        lines = [f"{mode} ".encode() + name + b"\0" + bytes.fromhex(one) for mode, name, one in entries]
        return self.made("tree", b"".join(lines))

    def head_at(self, tree: str) -> str:
        """Have HEAD name a new commit of a tree."""
        who = "A <a@agents.test> 1 +0000"
        text = f"tree {tree}\nparent {self.mine}\nauthor {who}\ncommitter {who}\n\nAttack\n"
        head = self.made("commit", text.encode())
        (self.git_dir / "refs" / "heads" / BRANCH).write_text(f"{head}\n")
        return head


def _included(siege: Siege) -> None:
    other = siege.path.parent / "other.config"
    other.write_text(f"[core]\n\tfsmonitor = {siege.trap}\n\thooksPath = {siege.trap.parent}\n")
    siege.configure(f'[include]\n\tpath = {other}\n[includeIf "gitdir:/**"]\n\tpath = {other}\n')


def _worktree_elsewhere(siege: Siege) -> None:
    siege.configure("[core]\n\tworktree = {secret}\n")


def _worktree_config(siege: Siege) -> None:
    siege.configure("[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig = true\n")
    (siege.git_dir / "config.worktree").write_text(f"[core]\n\tfsmonitor = {siege.trap}\n\tworktree = /\n")


def _alternates(siege: Siege) -> None:
    middle = siege.path / "middle"
    (middle / "info").mkdir(parents=True)
    (middle / "info" / "alternates").write_text(f"{siege.secret}/.git/objects\n")
    info = siege.git_dir / "objects" / "info"
    (info / "alternates").write_text(f"../../middle\n{middle}\n{siege.secret}/.git/objects\n")
    (info / "http-alternates").write_text(f"{siege.secret}/.git/objects\n")
    (siege.git_dir / "HEAD").write_text(f"{siege.hidden}\n")


def _link_in_objects(siege: Siege) -> None:
    there = siege.secret / ".git" / "objects"
    for folder in there.glob("??"):
        here = siege.git_dir / "objects" / folder.name
        if not here.exists():
            here.symlink_to(folder)
            continue
        for file in folder.iterdir():
            (here / file.name).unlink(missing_ok=True)
            (here / file.name).symlink_to(file)
    (siege.git_dir / "HEAD").write_text(f"{siege.hidden}\n")


def _link_for_packs(siege: Siege) -> None:
    Git(siege.secret)("repack", "--quiet", "-ad")
    packs = siege.git_dir / "objects" / "pack"
    packs.rmdir() if packs.exists() else None
    packs.symlink_to(siege.secret / ".git" / "objects" / "pack")
    (siege.git_dir / "HEAD").write_text(f"{siege.hidden}\n")


def _link_for_head(siege: Siege) -> None:
    (siege.git_dir / "HEAD").unlink()
    (siege.git_dir / "HEAD").symlink_to(siege.secret / ".git" / "HEAD")


def _folder_of_the_secret(siege: Siege) -> None:
    (siege.path / "folder" / "key").unlink()
    (siege.path / "folder").rmdir()
    (siege.path / "folder").symlink_to(siege.secret)


def _replaced(siege: Siege) -> None:
    blob = siege.made("blob", b"replaced\n")
    tree = siege.made_tree(("100644", b"replaced.py", blob))
    who = "A <a@agents.test> 1 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nReplacement\n"
    other = siege.made("commit", text.encode())
    folder = siege.git_dir / "refs" / "replace"
    folder.mkdir()
    for name in (siege.mine, siege.tree.start):
        (folder / name).write_text(f"{other}\n")


def _grafted(siege: Siege) -> None:
    info = siege.git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "grafts").write_text(f"{siege.mine}\n{siege.tree.start} {siege.mine}\n")


def _shallow(siege: Siege) -> None:
    (siege.git_dir / "shallow").write_text(f"{siege.mine}\n{siege.tree.start}\n{'0' * 40}\n")


def _forged_indexes(siege: Siege) -> None:
    for name in ("index", "sharedindex.0000000000000000000000000000000000000000"):
        (siege.git_dir / name).write_bytes(b"DIRC\0\0\0\4\xff\xff\xff\xff" + b"\0" * 100)
    packs = siege.git_dir / "objects" / "pack"
    packs.mkdir(exist_ok=True)
    for name in ("multi-pack-index", "pack-" + "0" * 40 + ".idx", "pack-" + "0" * 40 + ".promisor"):
        (packs / name).write_bytes(b"\xfftOc\0\0\0\2" + b"\xff" * 5000)
    (siege.git_dir / "objects" / "info" / "commit-graph").write_bytes(b"CGPH\1\1\xff\xff" + b"\0" * 5000)
    siege.configure("[index]\n\tversion = 4\n[core]\n\tsplitIndex = true\n\tuntrackedCache = true\n")


def _promised(siege: Siege) -> None:
    siege.configure(
        '[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\tpromisor = true\n'
        "\turl = ext::{trap} %S\n\tuploadpack = {trap}\n[protocol]\n\tallow = always\n"
    )
    lost = "1" * 40
    siege.head_at(siege.made_tree(("100644", b"promised.py", lost)))


def _bundled(siege: Siege) -> None:
    Git(siege.secret)("bundle", "create", "--quiet", str(siege.path / "secret.bundle"), "main")
    (siege.path / "secret.bundle").rename(siege.git_dir / "bundle")
    siege.configure('[fetch]\n\tbundleURI = {secret}\n[bundle "x"]\n\turi = bundle\n')


def _odd_names(siege: Siege) -> None:
    heads = siege.git_dir / "refs" / "heads"
    for name in ("a\nb", "-x", "..", "a..b", "a.lock", "@", "@{-1}", "x y", "\x1b[31m", "a~1", "a:b", "*"):
        if name != "..":
            (heads / name).write_text(f"{siege.mine}\n")
    head = siege.head_at(siege.git("rev-parse", "HEAD^{tree}"))
    names = ("refs/heads/../../config", "refs/heads//x", "refs/heads/", "refs/heads/.x", "refs/../HEAD")
    lines = "".join(f"{head} {name}\n" for name in names)
    (siege.git_dir / "packed-refs").write_text(lines)


def _head_of_a_tag(siege: Siege) -> None:
    text = f"object {siege.mine}\ntype commit\ntag x\ntagger A <a@agents.test> 1 +0000\n\nx\n"
    tag = siege.made("tag", text.encode())
    (siege.git_dir / "HEAD").write_text(f"{tag}\n")
    (siege.git_dir / "refs" / "heads" / "helper").write_text(f"{tag}\n")
    (siege.git_dir / "refs" / "stash").write_text(f"{tag}\n")


def _head_of_a_blob(siege: Siege) -> None:
    (siege.git_dir / "HEAD").write_text(f"{siege.made('blob', b'x')}\n")


def _entries(*entries: tuple[str, bytes]) -> Callable[[Siege], None]:
    """A commit with entries that git would never write: (mode, name)."""

    def attack(siege: Siege) -> None:
        blob = siege.made("blob", f"[core]\n\tfsmonitor = {siege.trap}\n".encode())
        inner = siege.made_tree(("100644", b"config", blob))
        objects = {"40000": inner, "160000": siege.mine}
        siege.head_at(siege.made_tree(*((mode, name, objects.get(mode, blob)) for mode, name in entries)))

    return attack


def _gitmodules(siege: Siege) -> None:
    text = (
        f'[submodule "../../x"]\n\tpath = ../x\n\turl = ext::{siege.trap} %S\n\tupdate = !{siege.trap}\n'
        f'[submodule "y"]\n\tpath = y\n\turl = --upload-pack={siege.trap}\n'
    )
    blob = siege.made("blob", text.encode())
    siege.head_at(siege.made_tree(("100644", b".gitmodules", blob), ("160000", b"y", siege.mine)))


def _tag_and_files(siege: Siege) -> None:
    (siege.path / "sum.py").write_text("changed\n")
    _head_of_a_tag(siege)


def _deep(siege: Siege) -> None:
    tree = siege.made_tree(("100644", b"x", siege.made("blob", b"x")))
    for _ in range(2_500):
        tree = siege.made_tree(("40000", b"d", tree))
    siege.head_at(tree)


def _unfolding(siege: Siege, *, of_the_base: bool = False) -> None:
    """Ten folders of ten folders, and so on: ninety entries."""
    tree = siege.git("rev-parse", f"{siege.tree.start}^{{tree}}")
    if not of_the_base:
        tree = siege.made_tree(("100644", b"x", siege.made("blob", b"x")))
    for _ in range(9):
        tree = siege.made_tree(*(("40000", f"d{number}".encode(), tree) for number in range(10)))
    siege.head_at(tree)


def _unfolding_in_the_past(siege: Siege) -> None:
    """The commit on top of it has taken it out again."""
    _unfolding(siege)
    before = siege.git("rev-parse", BRANCH)
    who = "A <a@agents.test> 2 +0000"
    tree = siege.git("rev-parse", f"{siege.mine}^{{tree}}")
    text = f"tree {tree}\nparent {before}\nauthor {who}\ncommitter {who}\n\nGone\n"
    head = siege.made("commit", text.encode())
    (siege.git_dir / "refs" / "heads" / BRANCH).write_text(f"{head}\n")


def _zeros(siege: Siege) -> None:
    """A file that is a thousandth of its size as an object."""
    siege.head_at(siege.made_tree(("100644", b"zeros", siege.made("blob", bytes(32 * 1024**2)))))


def _many_zeros(siege: Siege) -> None:
    """The same file in a hundred places."""
    blob = siege.made("blob", bytes(8 * 1024**2))
    siege.head_at(siege.made_tree(*(("100644", f"f{number:03}".encode(), blob) for number in range(100))))


def _named(name: bytes) -> Callable[[Siege], None]:
    def attack(siege: Siege) -> None:
        siege.head_at(siege.made_tree(("100644", name, siege.made("blob", b"x"))))

    return attack


def _long_link(siege: Siege) -> None:
    siege.head_at(siege.made_tree(("120000", b"link", siege.made("blob", b"x" * 5000))))


def _empty_link(siege: Siege) -> None:
    siege.head_at(siege.made_tree(("120000", b"link", siege.made("blob", b""))))


def _many_parents(siege: Siege) -> None:
    tree = siege.git("rev-parse", "HEAD^{tree}")
    who = "A <a@agents.test> 1 +0000"
    parents = f"parent {siege.mine}\n" * 50_000
    head = siege.made("commit", f"tree {tree}\n{parents}author {who}\ncommitter {who}\n\nx\n".encode())
    (siege.git_dir / "refs" / "heads" / BRANCH).write_text(f"{head}\n")


def _attributes(siege: Siege) -> None:
    siege.configure(
        '[filter "x"]\n\tclean = {trap}\n\tprocess = {trap}\n\trequired = true\n'
        '[merge "x"]\n\tdriver = {trap}\n'
        '[diff "x"]\n\ttextconv = {trap}\n\tcommand = {trap}\n'
    )
    (siege.path / ".gitattributes").write_text(
        "* filter=x merge=x diff=x ident export-subst\n*.odd working-tree-encoding=UTF-16\n"
        "*.none working-tree-encoding=NO-SUCH\n"
    )
    (siege.path / "a.odd").write_bytes(b"\xd8\x00\xd8")
    (siege.path / "a.none").write_bytes(b"x")


def _links_for_gits_files(siege: Siege) -> None:
    pipe = siege.path.parent / "pipe"
    os.mkfifo(pipe)
    for name in (".gitignore", ".gitattributes", ".gitmodules"):
        (siege.path / name).symlink_to(pipe)


def _bare_inside(siege: Siege) -> None:
    bare = siege.path / "fixtures" / "bare"
    bare.mkdir(parents=True)
    Git(bare)("init", "--quiet", "--bare", ".")
    with (bare / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {siege.trap}\n")


def _names_of_other_systems(siege: Siege) -> None:
    for name in (".GIT", "git~1", ".git ", ".g\u200cit", ".git::$INDEX_ALLOCATION"):
        (siege.path / "odd" / name).mkdir(parents=True)
        (siege.path / "odd" / name / "config").write_text(f"[core]\n\tfsmonitor = {siege.trap}\n")


def _sparse(siege: Siege) -> None:
    siege.configure("[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n")
    (siege.git_dir / "info").mkdir(exist_ok=True)
    (siege.git_dir / "info" / "sparse-checkout").write_text("/*\n!/*/\n")
    (siege.path / "folder" / "key").unlink()


#: What is tried; each leaves `left.py` uncommitted, too.
ATTACKS: dict[str, Callable[[Siege], None]] = {
    "settings that include others": _included,
    "a work tree elsewhere": _worktree_elsewhere,
    "settings of a work tree": _worktree_config,
    "a chain of alternates": _alternates,
    "links among the objects": _link_in_objects,
    "a link for packs": _link_for_packs,
    "a link for HEAD": _link_for_head,
    "a link for a folder": _folder_of_the_secret,
    "replacements": _replaced,
    "grafts": _grafted,
    "a forged end of history": _shallow,
    "forged indexes": _forged_indexes,
    "promised objects": _promised,
    "a bundle": _bundled,
    "odd names of branches": _odd_names,
    "a tag for HEAD": _head_of_a_tag,
    "a blob for HEAD": _head_of_a_blob,
    "a parent folder": _entries(("40000", b"..")),
    "a repository in a commit": _entries(("40000", b".git")),
    "a repository on other systems": _entries(("40000", b".GIT"), ("40000", b"git~1")),
    "a repository in a stream": _entries(("40000", b".git::$INDEX_ALLOCATION")),
    "a repository with hidden letters": _entries(("40000", ".g\u200cit".encode())),
    "a slash in a name": _entries(("100644", b"a/../../x")),
    "an empty name": _entries(("100644", b"")),
    "two of one name": _entries(("120000", b"a"), ("40000", b"a")),
    "submodules that lead out": _entries(("160000", b"../x"), ("160000", b"a")),
    "addresses that are programs": _gitmodules,
    "folders in folders": _deep,
    "a billion files": _unfolding,
    "a billion files of the base": partial(_unfolding, of_the_base=True),
    "a billion files in the past": _unfolding_in_the_past,
    "a file of zeros": _zeros,
    "many files of zeros": _many_zeros,
    "a name that is too long": _named(b"x" * 256),
    "a link that is too long": _long_link,
    "a link to nothing": _empty_link,
    "a tag for HEAD beside changes": _tag_and_files,
    "fifty thousand parents": _many_parents,
    "attributes that name programs": _attributes,
    "links for files of git": _links_for_gits_files,
    "a bare repository": _bare_inside,
    "names of other systems": _names_of_other_systems,
    "a sparse tree": _sparse,
}


@pytest.fixture
def siege(tmp_path: Path) -> Siege:
    """A tree before the attack."""
    return Siege(tmp_path)


#: One of each sort is tried in the quick suite, the others in the long one.
QUICK = {
    "settings that include others", "links among the objects", "forged indexes", "a repository in a commit",
    "submodules that lead out", "a billion files", "a file of zeros", "a bare repository",
}  # fmt: skip


@pytest.mark.parametrize("attack", cases(ATTACKS, quick=QUICK))
def test_attack_costs_no_work_and_gives_nothing_away(
    siege: Siege, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed before and what is in the files arrives; the next turn and the sweep find order."""
    monkeypatch.setattr(commit_shape, "MOST_FILE_BYTES", 16 * 1024**2)
    monkeypatch.setattr(commit_shape, "MOST_FILES_BYTES", 64 * 1024**2)
    shop = siege.shop
    (siege.path / "left.py").write_text("left\n")
    ATTACKS[attack](siege)

    pushed = siege.tree.push()
    assert {"left.py", "sum.py", "lib.py", "mine.py"} <= shop.files(), pushed.left_out
    assert not {"zeros", "link", "d0/d0/x", "x" * 256} & shop.files()
    again = shop.open()
    again.push()

    assert not siege.mark.exists(), siege.mark.read_text()
    remote = Git(shop.remote)
    remote("fsck", "--strict")
    assert remote.attempt("cat-file", "-e", siege.hidden).returncode != 0
    listed = remote("ls-tree", "-r", BRANCH)
    secret = remote("hash-object", "--stdin", stdin="top secret\n")
    assert secret not in listed
    assert "folder/key" in shop.files() or attack == "a link for a folder"
    assert Git(again.path)("rev-parse", "HEAD") == again.start
    assert sweep_worktrees(shop.place.work_dir, is_wanted=lambda _: False) == [JOB]
    assert not again.path.exists()
