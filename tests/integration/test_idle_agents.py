"""Real trees of many kinds: an agent that does nothing has done nothing, however its files were written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from routing.git.git import Git
from tests.case_names import cases
from tests.integration.test_agent_tree import BRANCH, Shop


def _attributes(text: str, **files: bytes) -> Callable[[Shop], None]:
    """Files that were committed as they are, and attributes that came later."""

    def make(shop: Shop) -> None:
        for name, content in files.items():
            (shop.seed / name).write_bytes(content)
        shop.publish("Files")
        (shop.seed / ".gitattributes").write_text(text)
        git = Git(shop.seed)
        git("add", ".gitattributes")
        git("commit", "--quiet", "--message=Attributes")
        git("push", "--quiet", str(shop.remote), "HEAD:refs/heads/main")

    return make


def _modes(shop: Shop) -> None:
    for number, mode in enumerate((0o755, 0o700, 0o600, 0o444, 0o644)):
        (shop.seed / f"mode{number}").write_text("x\n")
        (shop.seed / f"mode{number}").chmod(mode)
    shop.publish("Modes")


def _links(shop: Shop) -> None:
    for name, target in {
        "gone": "nowhere",
        "root": "/etc",
        "up": "../..",
        "self": "self",
        "file": "sum.py",
    }.items():
        (shop.seed / name).symlink_to(target)
    shop.publish("Links")


def _case(shop: Shop) -> None:
    for name in ("Read", "read", "READ", "\u00e9", "e\u0301"):
        (shop.seed / name).write_text(f"{name}\n")
    (shop.seed / "Dir").mkdir()
    (shop.seed / "dir").mkdir()
    (shop.seed / "Dir" / "x").write_text("x\n")
    (shop.seed / "dir" / "x").write_text("y\n")
    shop.publish("Names that are one name elsewhere")


def _ignored_but_tracked(shop: Shop) -> None:
    (shop.seed / "kept.log").write_text("x\n")
    shop.publish("A log")
    (shop.seed / ".gitignore").write_text("*.log\nsum.py\n")
    shop.publish("Ignore what is tracked")


def _partial(shop: Shop) -> None:
    """The remote is itself a partial clone that has all that the main branch needs."""
    git = Git(shop.remote)
    git("config", "uploadpack.allowFilter", "true")
    git("config", "uploadpack.allowAnySHA1InWant", "true")
    partial = shop.folder / "partial.git"
    Git(shop.folder)(
        "clone", "--quiet", "--bare", "--filter=blob:none", f"file://{shop.remote}", str(partial)
    )
    Git(partial)("cat-file", "--batch-all-objects", "--batch-check")
    for entry in Git(partial)("ls-tree", "-r", "main").splitlines():
        Git(partial)("cat-file", "-e", entry.split()[2])
    shop.remote.rename(shop.folder / "whole.git")
    Git(partial)("config", "remote.origin.url", f"file://{shop.folder}/whole.git")
    partial.rename(shop.remote)


CRLF, LF = b"one\r\ntwo\r\n", b"one\ntwo\n"
UTF16 = "one\n".encode("utf-16")

TREES: dict[str, Callable[[Shop], None]] = {
    "CRLF, normalized later": _attributes("* text=auto\n", a=CRLF, b=LF, c=b"one\r\ntwo\n"),
    "LF, written as CRLF": _attributes("* text eol=crlf\n", a=LF, b=b"no end"),
    "CRLF, written as CRLF": _attributes("* text eol=crlf\n", a=CRLF, b=LF),
    "CRLF, written as LF": _attributes("* text eol=lf\n", a=CRLF),
    "binary as text": _attributes("* text\n", a=b"\0\r\n\0", b=bytes(range(256))),
    "an encoding": _attributes("a working-tree-encoding=UTF-16\n", a=LF),
    "an encoding that is wrong": _attributes("a working-tree-encoding=UTF-16\n", a=UTF16),
    "an encoding that is not known": _attributes("a working-tree-encoding=NO-SUCH\n", a=LF),
    "identities": _attributes("* ident\n", a=b"$Id$\n", b=b"$Id: 0123 $\n"),
    "a filter that is not known": _attributes("* filter=nobody-has-it\n", a=LF),
    "a pointer and no content": _attributes(
        "a filter=lfs diff=lfs merge=lfs -text\n",
        a=b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n",
    ),
    "content in the place of a pointer": _attributes("a filter=lfs diff=lfs merge=lfs -text\n", a=LF),
    "modes": _modes,
    "links": _links,
    "names in two cases": _case,
    "ignored and tracked": _ignored_but_tracked,
    "a partial remote": _partial,
}


#: One of each sort is tried in the quick suite, the others in the long one.
QUICK = {"CRLF, normalized later", "an encoding that is wrong", "modes", "links", "a partial remote"}


@pytest.mark.parametrize("kind", cases(TREES, quick=QUICK))
def test_idle_agent_has_done_nothing(tmp_path: Path, kind: str) -> None:
    """Turn after turn; and one that changes a file has changed that file alone."""
    shop = Shop(tmp_path)
    TREES[kind](shop)
    assert shop.open().push().commit is None
    tree = shop.open()
    assert tree.push().commit is None
    assert not tree.push().left_out or re.search("wrong|that is not known", kind)

    (tree.path / "lib.py").write_text("changed\n")
    tree.push()
    assert Git(shop.remote)("diff", "--name-only", "main", BRANCH) == "lib.py"


@pytest.mark.parametrize("program", ["tr a-z A-Z", "sed s/^/x/", "cat"])
def test_filters_of_the_machine_change_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Also one that does not give back what it took."""
    system = tmp_path / "system"
    system.write_text(f'[filter "x"]\n\tclean = cat\n\tsmudge = {program}\n')
    shop = Shop(tmp_path)
    _attributes("*.txt filter=x\n", **{"a.txt": LF})(shop)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(system))

    tree = shop.open()
    assert ((tree.path / "a.txt").read_bytes() == LF) == (program == "cat")
    assert tree.push().commit is None
    (tree.path / "lib.py").write_text("changed\n")
    tree.push()
    monkeypatch.delenv("GIT_CONFIG_SYSTEM")
    assert Git(shop.remote)("diff", "--name-only", "main", BRANCH) == "lib.py"


def test_sparse_tree_of_an_idle_agent(tmp_path: Path) -> None:
    """What git takes out of the tree is not deleted; what is changed beside it is."""
    shop = Shop(tmp_path)
    for name in ("one", "two", "three"):
        (shop.seed / name).mkdir()
        (shop.seed / name / "file").write_text(f"{name}\n")
    shop.publish("Folders")
    tree = shop.open()
    Git(tree.path)("sparse-checkout", "set", "one", "two")
    assert not (tree.path / "three").exists()
    pushed = tree.push()
    assert pushed.commit is None
    assert "1 files are gone" in "; ".join(pushed.left_out)

    tree = shop.open()
    assert (tree.path / "three" / "file").exists()
    assert tree.push().commit is None
    assert [path.name for path in (tree.path / "three").iterdir()] == ["file"]
