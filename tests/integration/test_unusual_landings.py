"""What is on a main branch, where files have no lines or odd names, or work came there by detours."""

import os
from pathlib import Path

import pytest

from routing.forges.local.git import LocalGit
from routing.git.main_history import Landing, MainHistory
from tests.integration.test_main_history import HistoryBench

BINARY, OTHER_BINARY = b"\0one\0" * 50, b"\0two\0" * 50


@pytest.fixture
def bench(tmp_path: Path) -> HistoryBench:
    """A repository in which nobody has worked yet."""
    bench = HistoryBench(tmp_path)
    bench.git("init", "--quiet", "--initial-branch", "main", ".")
    (tmp_path / "logo").write_bytes(BINARY)
    bench.commit({"cart.txt": "one\ntwo\nthree\nfour\nfive\nsix\nseven\n", "README": "shop\n"}, "Begin")
    bench.git("checkout", "--quiet", "-b", "work")
    return bench


def write(bench: HistoryBench, name: str, content: bytes, message: str = "Write") -> None:
    """A commit with a file that need not be text, nor have a name that is."""
    (bench.folder / os.fsdecode(name)).write_bytes(content)
    bench.commit({}, message)


def on_main(bench: HistoryBench) -> None:
    """The work is done; people go on."""
    bench.git("checkout", "--quiet", "main")


def squash(bench: HistoryBench) -> None:
    """One commit with another name."""
    bench.git("merge", "--quiet", "--squash", "work")
    bench.commit({}, "Squashed")


def look(bench: HistoryBench, *, base: str | None = None, merged_as: str = "") -> Landing | None:
    """What is seen of the work now; `base` is where it began, "" for unknown."""
    tip, head = bench.git("rev-parse", "main", "work").split()
    start = bench.git("merge-base", tip, head) if base is None else base
    return MainHistory(git=LocalGit(bench.folder), tip=tip).landing(head, base=start, merged_as=merged_as)


def begun_at(bench: HistoryBench) -> str:
    """The commit that the work began from."""
    return bench.git("rev-list", "--max-parents=0", "work").split()[0]


def seen(bench: HistoryBench, **how: str) -> tuple[bool, bool]:
    """Whether the work has landed, and whether it was taken back."""
    found = look(bench, **{"base": begun_at(bench), **how})
    return found is not None, found is not None and found.reverted_at is not None


def test_a_file_without_lines_is_known_by_its_whole_content(bench: HistoryBench) -> None:
    """It lands, is taken back, comes again; what somebody else makes of it is neither."""
    write(bench, "logo", OTHER_BINARY)
    on_main(bench)
    write(bench, "logo", b"\0three\0")
    assert seen(bench) == (False, False)
    write(bench, "logo", OTHER_BINARY)
    assert seen(bench) == (True, False)
    write(bench, "logo", b"\0four\0")
    assert seen(bench) == (True, False)
    write(bench, "logo", BINARY)
    assert seen(bench) == (True, True)
    write(bench, "logo", OTHER_BINARY)
    assert seen(bench) == (True, False)


def test_a_file_without_lines_may_be_renamed(bench: HistoryBench) -> None:
    """It is there by another name; when it is removed it is not."""
    write(bench, "icon", OTHER_BINARY)
    on_main(bench)
    squash(bench)
    bench.git("mv", "icon", "picture")
    bench.commit({}, "Rename")
    assert seen(bench) == (True, False)


def test_a_file_without_lines_that_is_removed_is_taken_back(bench: HistoryBench) -> None:
    """Also where another file with other content comes in its stead."""
    write(bench, "icon", OTHER_BINARY)
    on_main(bench)
    squash(bench)
    bench.git("rm", "--quiet", "icon")
    write(bench, "picture", b"\0three\0", "Replace")
    assert seen(bench) == (True, True)


def test_a_change_of_mode_is_a_change(bench: HistoryBench) -> None:
    """The content stays: whether a file may be run is the work."""
    script = bench.folder / "README"
    script.chmod(0o755)
    bench.commit({}, "May be run")
    on_main(bench)
    bench.commit({"cart.txt": "none\n"}, "Other work")
    assert seen(bench) == (False, False)
    squash(bench)
    assert seen(bench) == (True, False)
    script.chmod(0o644)
    bench.commit({}, "May not be run")
    assert seen(bench) == (True, True)


@pytest.mark.parametrize(
    "name", [":cart", "a[1].txt", "-x", "caf\udce9.txt", "new\rline", "tab\t.txt", "ü.txt"]
)
def test_names_of_files_are_data(bench: HistoryBench, name: str) -> None:
    """Neither patterns nor options of git's, and they need not be text."""
    (bench.folder / name).write_text("new\n")
    bench.commit({}, "Add it")
    on_main(bench)
    assert seen(bench) == (False, False)
    squash(bench)
    assert seen(bench) == (True, False)
    (bench.folder / name).unlink()
    bench.commit({}, "Remove it")
    assert seen(bench) == (True, True)


def test_white_space_makes_no_difference(bench: HistoryBench) -> None:
    """People apply work by hand, and their editors indent it anew."""
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "2 pairs")}, "Count")
    on_main(bench)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("seven", "7")}, "Other work")
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "\t2  pairs")}, "By hand")
    assert seen(bench) == (True, False)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("\t2  pairs", "  two")}, "Back")
    assert seen(bench) == (True, True)


def test_steps_in_one_file_land_one_by_one(bench: HistoryBench) -> None:
    """Others have changed the file before, so that nowhere it is as the agent left it."""
    for old, new in (("two", "2"), ("six", "6")):
        bench.commit({"cart.txt": bench.text("cart.txt").replace(old, new)}, f"Count {new}")
    on_main(bench)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("four", "4")}, "Other work")
    bench.git("cherry-pick", "work~1")
    assert seen(bench) == (False, False)
    bench.git("cherry-pick", "work")
    assert seen(bench) == (True, False)
    bench.git("revert", "--no-edit", "HEAD~1")
    assert seen(bench) == (True, True)


def test_what_the_agent_took_back_itself_counts_as_no_revert(bench: HistoryBench) -> None:
    """There and back, and somewhere else: each step is on main as it was made."""
    begin = bench.text("cart.txt")
    for text in ("two and a half", "two", "2"):
        bench.commit({"cart.txt": begin.replace("two", text)}, f"Write {text}")
    on_main(bench)
    bench.commit({"README": "a shop\n"}, "Other work")
    bench.git("cherry-pick", "main..work")
    assert seen(bench) == (True, False)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("seven", "7")}, "Other work, later")
    assert seen(bench) == (True, False)


def test_what_the_agent_took_back_itself_counts_as_no_revert_beside_other_work(bench: HistoryBench) -> None:
    """Nowhere the file is as the agent left it, so that its steps alone are known."""
    begin = bench.text("cart.txt")
    for text in ("two and a half", "two", "2"):
        bench.commit({"cart.txt": begin.replace("two", text)}, f"Write {text}")
    on_main(bench)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("seven", "7")}, "Other work")
    bench.git("cherry-pick", "main..work")
    assert seen(bench) == (True, False)


def test_a_detour_of_the_agent_counts_as_no_revert(bench: HistoryBench) -> None:
    """It came to what it had before: the way there was on main for a moment."""
    begin = bench.text("cart.txt")
    for text in ("2", "zwei", "2"):
        bench.commit({"cart.txt": begin.replace("two", text)}, f"Write {text}")
    on_main(bench)
    bench.commit({"README": "a shop\n"}, "Other work")
    bench.git("cherry-pick", "main..work")
    assert seen(bench) == (True, False)


def test_what_the_work_has_not_in_the_end_is_not_looked_for(bench: HistoryBench) -> None:
    """A file that the agent added and removed again may be anybody's later."""
    bench.commit({"tmp.txt": "tmp\n", "new.txt": "new\n"}, "Add two")
    bench.commit({"tmp.txt": None}, "Remove one")
    on_main(bench)
    bench.git("merge", "--quiet", "--no-ff", "--no-edit", "work")
    bench.commit({"tmp.txt": "tmp\n"}, "Somebody else's")
    assert seen(bench) == (True, False)


def test_the_first_step_of_a_revert_is_the_revert(bench: HistoryBench) -> None:
    """Its time decides whether it came within the window."""
    bench.commit({"new.txt": "new\n"}, "Add a file")
    bench.commit({"other.txt": "other\n"}, "Add another")
    on_main(bench)
    bench.git("merge", "--quiet", "--no-ff", "--no-edit", "work")
    first = bench.commit({"new.txt": None}, "Remove it")
    bench.commit({"other.txt": None}, "Remove the other too")
    landing = look(bench, base=begun_at(bench))
    assert landing is not None
    assert (landing.revert, landing.kept) == (first, True)


def test_work_whose_beginning_is_unknown(bench: HistoryBench) -> None:
    """A fast-forward leaves no commit that would say where it began: its last commit counts."""
    bench.commit({"new.txt": "new\n"}, "Add a file")
    on_main(bench)
    bench.git("merge", "--quiet", "--ff-only", "work")
    bench.commit({"README": None}, "Remove what was there before")
    assert seen(bench, base="") == (True, False)
    bench.commit({"new.txt": None}, "Remove the work")
    assert seen(bench, base="") == (True, True)


def test_conflicts_that_were_resolved_in_the_merge(bench: HistoryBench) -> None:
    """What was merged differs from the work: the forge knows the commit that it was merged as."""
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "2")}, "Count")
    on_main(bench)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "two or three")}, "Other work")
    merged = bench.commit({"cart.txt": bench.text("cart.txt").replace("two or three", "2 or 3")}, "Squash it")
    assert seen(bench) == (False, False)
    assert seen(bench, merged_as=merged) == (True, False)
    bench.git("revert", "--no-edit", "HEAD")
    assert seen(bench, merged_as=merged) == (True, True)


def test_a_merge_that_is_not_on_the_main_branch_any_longer(bench: HistoryBench) -> None:
    """It was reset: nothing has landed; when the same comes again, by another commit, it has."""
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "2")}, "Count")
    on_main(bench)
    bench.commit({"cart.txt": bench.text("cart.txt").replace("two", "two or three")}, "Other work")
    merged = bench.commit({"cart.txt": bench.text("cart.txt").replace("two or three", "2 or 3")}, "Squash it")
    bench.git("reset", "--quiet", "--hard", "HEAD~1")
    assert seen(bench, merged_as=merged) == (False, False)
    bench.commit({"README": "rewritten\n"}, "Rewritten")
    bench.git("cherry-pick", merged)
    assert seen(bench, merged_as=merged) == (True, False)
    assert seen(bench, merged_as="f" * 40) == (False, False)


def test_what_the_work_began_from_was_taken_out_since(bench: HistoryBench) -> None:
    """A person picks the work itself onto the rewritten branch: what was taken out is not looked for."""
    bench.commit({"password.txt": "secret\n"}, "Oops")
    began = bench.git("rev-parse", "HEAD")
    bench.commit({"new.txt": "new\n"}, "Add a file")
    on_main(bench)
    bench.commit({"README": "rewritten\n"}, "Other work")
    assert seen(bench, base=began) == (False, False)
    bench.git("cherry-pick", "work")
    assert seen(bench, base=began) == (True, False)
    bench.git("revert", "--no-edit", "HEAD")
    assert seen(bench, base=began) == (True, True)
    assert seen(bench, base="f" * 40) == (False, False)
