"""What is on a main branch, by content: every way in which work lands, and in which it is taken back."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from routing.forges.local.git import LocalGit
from routing.git.git import Git
from routing.git.main_history import Landing, MainHistory

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("main-history")

BEFORE = {"cart.txt": "one\ntwo\nthree\nfour\nfive\nsix\nseven\n", "old.txt": "old\n", "README": "shop\n"}


class HistoryBench:
    """A repository with work on a branch, and what people do to its main branch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.git = folder, Git(folder)

    def begin(self) -> None:
        """The first commit, and the work of two."""
        self.git("init", "--quiet", "--initial-branch", "main", ".")
        self.commit(BEFORE, "Begin")
        self.git("checkout", "--quiet", "-b", "work")
        self.commit({"new.txt": "new\nmore\n"}, "Add a file")
        counted = BEFORE["cart.txt"].replace("two", "2")
        self.commit({"cart.txt": counted, "old.txt": None}, "Count")
        self.git("checkout", "--quiet", "main")

    def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Write files, or remove them, and commit."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def text(self, name: str) -> str:
        """A file as it is now."""
        return (self.folder / name).read_text()

    def elsewhere(self) -> None:
        """Somebody else works on the same files, and on others."""
        self.commit(
            {"cart.txt": self.text("cart.txt").replace("seven", "7"), "README": "a shop\n"}, "Other work"
        )

    def look(self) -> Landing | None:
        """What is seen of the work now."""
        tip, head = self.git("rev-parse", "main", "work").split()
        return MainHistory(git=LocalGit(self.folder), tip=tip).landing(head, base=self.base)

    @property
    def base(self) -> str:
        """Where the work began."""
        return self.git("rev-parse", "work~2")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with work that nobody has merged; each test has a copy."""
    bench = HistoryBench(tmp_path_factory.mktemp("begun"))
    bench.begin()
    return bench.folder


@pytest.fixture
def bench(begun: Path, tmp_path: Path) -> HistoryBench:
    """Work that nobody has merged."""
    return HistoryBench(shutil.copytree(begun, tmp_path / "shop"))


def merge(bench: HistoryBench) -> None:
    """A merge commit."""
    bench.git("merge", "--quiet", "--no-ff", "--no-edit", "work")


def squash(bench: HistoryBench) -> None:
    """One commit with another name."""
    bench.git("merge", "--quiet", "--squash", "work")
    bench.commit({}, "Squashed")


def pick(bench: HistoryBench) -> None:
    """Each commit by hand, with other work in between."""
    bench.git("cherry-pick", "work~1")
    bench.commit({"README": "the shop\n"}, "In between")
    bench.git("cherry-pick", "work")


def train(bench: HistoryBench) -> None:
    """One commit with the work of several branches."""
    bench.git("merge", "--quiet", "--squash", "work")
    bench.commit({"README": "a train\n"}, "Three branches at once")


def queue(bench: HistoryBench) -> None:
    """A branch of a queue with others' work in it, merged as a whole."""
    bench.git("checkout", "--quiet", "-b", "queue")
    bench.commit({"README": "a queue\n"}, "Others")
    bench.git("merge", "--quiet", "--no-ff", "--no-edit", "work")
    bench.git("checkout", "--quiet", "main")
    bench.git("merge", "--quiet", "--no-ff", "--no-edit", "queue")


def copy_by_hand(bench: HistoryBench) -> None:
    """Somebody writes the same, file by file."""
    for name in ("new.txt", "cart.txt"):
        text = bench.git("show", f"work:{name}") + "\n"
        if name == "cart.txt":
            text = bench.text(name).replace("two", "2")
        bench.commit({name: text}, f"Write {name}")
    bench.commit({"old.txt": None}, "Remove")


LANDS: list[Callable[[HistoryBench], None]] = [merge, squash, pick, train, queue, copy_by_hand]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside others"])
@pytest.mark.parametrize("lands", LANDS)
def test_work_lands_by_whatever_way(
    bench: HistoryBench, lands: Callable[[HistoryBench], None], *, others: bool
) -> None:
    """And words that say that it was taken back change nothing, nor does work beside it."""
    assert bench.look() is None
    if others:
        bench.elsewhere()
    lands(bench)
    if lands in {merge, squash}:
        landed = bench.look()
        assert landed is not None
        assert landed.commit == bench.git("rev-parse", "HEAD")
    bench.commit({}, f"Undo\n\nThis reverts commit {bench.git('rev-parse', 'HEAD')}.\nReverts acme/shop#1")
    if not others:
        bench.elsewhere()
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is None


def revert_last(bench: HistoryBench) -> None:
    """`git revert` of what came last, or of the merge."""
    merged = bench.git("rev-list", "--merges", "--first-parent", "HEAD")
    what = ("-m", "1", merged.split()[0]) if merged else (bench.git("rev-list", "--max-count=1", "HEAD"),)
    bench.git("revert", "--no-edit", *what)


def reverted_title_only(bench: HistoryBench) -> None:
    """The content back as it was, in a commit that says nothing of it."""
    for name in ("cart.txt", "old.txt"):
        bench.git("checkout", bench.base, "--", name)
    bench.commit({"new.txt": None}, "Tidy up (#9)")


def undone_with_other_work(bench: HistoryBench) -> None:
    """By hand, in a commit with more, of files that others have changed since."""
    bench.elsewhere()
    files = {"cart.txt": bench.text("cart.txt").replace("2", "two"), "old.txt": "old\n", "new.txt": None}
    bench.commit({**files, "README": "rewritten\n"}, "Rework")


def undone_step_by_step(bench: HistoryBench) -> None:
    """One file after the other."""
    bench.commit({"new.txt": None}, "Remove new.txt")
    bench.commit({"old.txt": "old\n"}, "Bring old.txt back")
    bench.commit({"cart.txt": bench.text("cart.txt").replace("2", "two")}, "Count in words")


def undone_by_a_merge(bench: HistoryBench) -> None:
    """A branch from before is merged with its own version of everything."""
    bench.git("checkout", "--quiet", "-b", "stale", bench.base)
    bench.commit({"STALE": "stale\n"}, "From before")
    bench.git("checkout", "--quiet", "main")
    bench.git("merge", "--quiet", "--no-commit", "--no-ff", "stale")
    reverted_title_only(bench)


UNDOES: list[Callable[[HistoryBench], None]] = [
    reverted_title_only, undone_with_other_work, undone_step_by_step, undone_by_a_merge,
]  # fmt: skip


@pytest.mark.parametrize("undoes", UNDOES)
@pytest.mark.parametrize("lands", [merge, pick])
def test_work_is_taken_back_by_whatever_way(
    bench: HistoryBench, lands: Callable[[HistoryBench], None], undoes: Callable[[HistoryBench], None]
) -> None:
    """However it had landed; and what brings it again, under whatever name, takes the revert back."""
    lands(bench)
    undoes(bench)
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is not None
    cart = bench.text("cart.txt").replace("two", "2")
    bench.commit({"new.txt": "new\nmore\n", "cart.txt": cart, "old.txt": None}, "Anew")
    again = bench.look()
    assert again is not None
    assert again.reverted_at is None


@pytest.mark.parametrize("lands", [merge, squash])
def test_a_revert_of_a_revert_takes_nothing_back(
    bench: HistoryBench, lands: Callable[[HistoryBench], None]
) -> None:
    """As the forges' buttons make them."""
    lands(bench)
    revert_last(bench)
    reverted = bench.look()
    assert reverted is not None
    assert reverted.revert == bench.git("rev-parse", "HEAD")
    bench.git("revert", "--no-edit", "HEAD")
    again = bench.look()
    assert again is not None
    assert again.reverted_at is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_revert_of_one_commit_of_several_counts(bench: HistoryBench, which: int) -> None:
    """Of those that a rebase made, whichever it is; and of the branch's own after a merge."""
    bench.elsewhere()
    bench.git("cherry-pick", "work~1", "work")
    bench.git("revert", "--no-edit", f"HEAD~{which}")
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is not None


def test_a_revert_between_two_picked_commits_counts(bench: HistoryBench) -> None:
    """The first was never there together with the second; brought again, all of it is there."""
    bench.elsewhere()
    bench.git("cherry-pick", "work~1")
    revert_last(bench)
    revert = bench.git("rev-parse", "HEAD")
    assert bench.look() is None
    bench.git("cherry-pick", "work")
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is not None
    assert landing.revert == revert
    bench.git("revert", "--no-edit", revert)
    again = bench.look()
    assert again is not None
    assert again.reverted_at is None


def test_a_revert_that_was_taken_back_before_the_last_commit_came_counts_as_none(bench: HistoryBench) -> None:
    """All of it is there when the last one has come."""
    bench.elsewhere()
    bench.git("cherry-pick", "work~1")
    revert_last(bench)
    revert_last(bench)
    bench.git("cherry-pick", "work")
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is None


def rename(bench: HistoryBench) -> None:
    """The file has another name."""
    bench.git("mv", "new.txt", "newer.txt")
    bench.commit({}, "Rename")


def move_lines(bench: HistoryBench) -> None:
    """Its lines are in another file."""
    bench.commit({"new.txt": None, "all.txt": "all\nnew\nmore\n"}, "Join files")


def develop(bench: HistoryBench) -> None:
    """The same lines are changed further."""
    bench.commit({"new.txt": "newest\n", "cart.txt": "nothing\n"}, "Go on")


@pytest.mark.parametrize("goes_on", [rename, move_lines, develop])
def test_work_that_others_build_on_is_there(
    bench: HistoryBench, goes_on: Callable[[HistoryBench], None]
) -> None:
    """It is not taken back by what becomes of it."""
    bench.git("cherry-pick", "work~1", "work")
    goes_on(bench)
    landing = bench.look()
    assert landing is not None
    assert landing.reverted_at is None


def test_history_that_is_rewritten_keeps_what_is_in_it(bench: HistoryBench) -> None:
    """Every commit has another name, and the work is there; what was left out is not."""
    merge(bench)
    bench.elsewhere()
    bench.git("checkout", "--quiet", "--orphan", "fresh", bench.base)
    bench.commit({}, "Begin again")
    bench.git("branch", "--quiet", "--force", "main", "fresh")
    assert bench.look() is None
    bench.git("checkout", "--quiet", "-B", "main", bench.base)
    bench.commit({"README": "rewritten\n"}, "Other work, rewritten")
    assert bench.look() is None
    squash(bench)
    landing = bench.look()
    assert landing is not None
    assert not landing.kept


def test_a_part_of_the_work_is_not_the_work(bench: HistoryBench) -> None:
    """One commit of two, or a file of three."""
    bench.git("cherry-pick", "work~1")
    assert bench.look() is None
    bench.commit({"old.txt": None}, "Remove")
    assert bench.look() is None
