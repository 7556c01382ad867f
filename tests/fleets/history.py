"""A small library with a past: fixes that closed issues and brought tests, and changes that make no case.

Its functions are wrong at first, one for each issue; each fix is a merge with a test of its own. Its judge is
`python -m unittest`, so nothing has to be installed.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from routing.git.git import Git

#: Runs all tests of the library.
JUDGE = f"{sys.executable} -m unittest discover --quiet --start-directory tests --top-level-directory ."


@dataclass(frozen=True, slots=True)
class PastLibrary:
    """The repository at `path`, and the clone beside it in which its past was made."""

    path: Path
    bench: Path
    good: tuple[int, ...]  # issues whose changes make cases, the newest last
    texts: dict[int, str] = field(default_factory=dict)  # of issues, by number

    @property
    def git(self) -> Git:
        """Git in the repository itself."""
        return Git(self.path)


def source(right: Mapping[int, bool]) -> str:
    """The library's one module: a function for each issue, right or wrong by one."""
    lines = [
        f"def f{number}(x):\n    return x + {number if is_right else number + 1}\n"
        for number, is_right in right.items()
    ]
    return "\n\n".join(lines)


def test_of(number: int) -> str:
    """The test that a fix brings."""
    return (
        f"import unittest\n\nfrom calc import f{number}\n\n\nclass F{number}(unittest.TestCase):\n"
        f"    def test_adds(self):\n        self.assertEqual(f{number}(1), {number + 1})\n"
    )


def past_library(folder: Path, issues: int = 4, *, odd: bool = True) -> PastLibrary:
    """A library `calc` with so many fixes in its past, and with `odd` six changes that make no case."""
    path, bench = folder / "calc.git", folder / "calc-bench"
    git = Git(folder)
    git("init", "--quiet", "--bare", "--initial-branch", "main", str(path))
    git("clone", "--quiet", str(path), str(bench))
    work = Git(bench)
    work("checkout", "--quiet", "-B", "main")
    (bench / "tests").mkdir()
    (bench / "tests" / "__init__.py").write_text("")
    right = dict.fromkeys(range(1, issues + 1), False)
    (bench / "calc.py").write_text(source(right))
    (bench / "tests" / "test_base.py").write_text(
        "import unittest\n\n\nclass Base(unittest.TestCase):\n    def test_runs(self):\n        pass\n"
    )
    _commit(work, "The library")
    texts = {}
    for number in right:
        right[number] = True
        texts[number] = f"f{number}(1) returns {number + 2}, and should return {number + 1}."
        files = {"calc.py": source(right), f"tests/test_{number}.py": test_of(number)}
        merge = f"Merge fix-{number}\n\nFixes #{number}\n"
        _merged(bench, f"fix-{number}", files, message=f"Correct f{number}", merge=merge)
    if odd:
        texts |= dict.fromkeys(range(101, 106), "Something is wrong.")
        _odd_changes(bench, right, folder)
    work("push", "--quiet", "origin", "main")
    return PastLibrary(path, bench, tuple(right), texts)


def _odd_changes(bench: Path, right: Mapping[int, bool], folder: Path) -> None:
    """No tests; no issue; tests that pass before; a test that depends on how often it ran; a broken test.

    The last one was made before, and taken back.
    """
    changed, work = source(right), Git(bench)
    closes = "Merge {}\n\nCloses #{}\n"
    readme = {"README.md": "calc\n"}
    _merged(bench, "words", readme, message="Describe it", merge=closes.format("words", 101))
    test = "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_it(self):\n        {}\n"
    files = {"calc.py": f"{changed}\n\nA = 1\n", "tests/test_a.py": test.format("import calc; calc.A")}
    _merged(bench, "no-issue", files, message="Add A", merge="Merge no-issue\n")
    files = {"calc.py": f"{changed}\n\nA = 2\n", "tests/test_b.py": test.format("pass")}
    _merged(bench, "silent", files, message="Change A", merge=closes.format("silent", 102))
    runs = f"from pathlib import Path; runs = Path({str(folder / 'runs')!r})"
    count = "runs.open('a').write('x'); self.assertLess(len(runs.read_text()), 3)"
    flaky = f"{runs}; {count}; import calc; self.assertTrue(calc.B)"
    files = {"calc.py": f"{changed}\n\nA = B = 2\n", "tests/test_c.py": test.format(flaky)}
    _merged(bench, "flaky", files, message="Add B", merge=closes.format("flaky", 103))
    work("revert", "--no-edit", "-m", "1", "HEAD")
    files = {"calc.py": f"{changed}\n\nA = C = 2\n", "tests/test_d.py": test.format("self.fail()")}
    _merged(bench, "broken", files, message="Add C", merge=closes.format("broken", 104))
    work("revert", "--no-edit", "-m", "1", "HEAD")
    files = {"calc.py": f"{changed}\n\nA = C = 2\n", "tests/test_e.py": test.format("import calc; calc.C")}
    _merged(bench, "again", files, message="Add C again", merge=closes.format("again", 105))


def _merged(bench: Path, branch: str, files: Mapping[str, str], *, message: str, merge: str) -> None:
    work = Git(bench)
    work("checkout", "--quiet", "-b", branch)
    for name, text in files.items():
        (bench / name).write_text(text)
    _commit(work, message)
    work("checkout", "--quiet", "main")
    work("merge", "--quiet", "--no-ff", "--message", merge, branch)


def _commit(work: Git, message: str) -> None:
    work("add", "--all")
    work("commit", "--quiet", "--message", message)
