"""The judge of pairs: one command on a commit in a clean clone, which cannot see whose work it is."""

import re
from pathlib import Path

import pytest

from routing.base import Base
from routing.git.git import Git
from routing.process.command import Ended
from tasks.agents.pairs.judge import Judge, Judgement, judgement_of
from tests.repositories import new_repository

ENDED = Ended(exit_code=0, seconds=1.0)


@pytest.fixture
def work(tmp_path: Path) -> tuple[Git, str, Base]:
    """A commit that says whose it is in every place that an agent can write to, and where it began."""
    repository = new_repository(tmp_path)
    git = Git(repository.path)
    base = Base(branch="main", commit=git("rev-parse", "HEAD"))
    (repository.path / "done.txt").write_text("done\n")
    git("checkout", "--quiet", "-b", "coalmine/canary-v2")
    git("add", "-A")
    named = ("-c", "user.name=canary", "-c", "user.email=canary@example.org")
    git(*named, "commit", "--quiet", "-m", "the canary's work of implementer@v2")
    git("checkout", "--quiet", "main")
    return Git(repository.path / ".git"), git("rev-parse", "coalmine/canary-v2"), base


def judged(work: tuple[Git, str, Base], folder: Path, command: str, seconds: float = 30.0) -> Judgement:
    """What a command says of the work."""
    judge = Judge(command=command, timeout_seconds=seconds)
    return judge.judge(*work, work_dir=folder / "judge", name="shop")


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("test -e done.txt", 1.0),
        ("test -e missing.txt", 0.0),
        ("echo coalmine-score: 0.5; echo coalmine-score: 0.75", 0.75),
        ("echo coalmine-score: 1.0; exit 3", 0.0),
        ("echo coalmine-score: 75; test -e done.txt", 0.0),
        ("echo coalmine-score: much; exit 1", 0.0),
        ("no-such-program-anywhere", None),
    ],
)
def test_a_commit_is_scored(
    tmp_path: Path, work: tuple[Git, str, Base], command: str, value: float | None
) -> None:
    """By exit status, or by the last line with a score in range; a command that is not there scores none.

    One that says no score in range of the work, and passes or fails its base, was broken by the work.
    """
    assert judged(work, tmp_path, command).value == value
    assert list((tmp_path / "judge").iterdir()) == []


def test_a_judge_that_takes_too_long_is_ended(tmp_path: Path, work: tuple[Git, str, Base]) -> None:
    """The work scores 0, and it is known why."""
    found = judged(work, tmp_path, "tail -f /dev/null", seconds=0.5)
    assert (found.value, found.overdue) == (0.0, True)


def test_the_judge_cannot_tell_whose_work_it_is(tmp_path: Path, work: tuple[Git, str, Base]) -> None:
    """Not by branch, author, message, path, variable or any object that the clone has."""
    seen = tmp_path / "seen"
    look = (
        "{ env; pwd; git log --all --format=fuller; git for-each-ref; cat .git/HEAD; git reflog; }"
        f" > {seen};"
        " git show --no-patch --format=%P HEAD"
    )
    assert judged(work, tmp_path, look).value == 1.0
    text = seen.read_text()
    assert work[2].commit in text
    said = [word for word in ("canary", "champion", work[1], "coalmine/") if word in text]
    assert said + re.findall(r"\bv2\b", text) == []  # in a random name it is a part of a word


def test_the_same_work_by_another_author_looks_the_same(tmp_path: Path, work: tuple[Git, str, Base]) -> None:
    """The commit that is judged depends on files and base alone."""
    git, commit, base = work
    tree = git("rev-parse", f"{commit}^{{tree}}")
    named = ("-c", "user.name=b", "-c", "user.email=b@invalid")
    other = git(*named, "commit-tree", tree, "-p", base.commit, "-m", "x")
    shown = []
    for each in (commit, other):
        seen = tmp_path / each
        judged((git, each, base), tmp_path, f"git rev-parse HEAD > {seen}")
        shown.append(seen.read_text())
    assert commit != other
    assert shown[0] == shown[1]


def test_what_the_end_of_the_command_means() -> None:
    """A signal, and a score beside a failure: code under test can print one, so it lifts no failed exit."""
    assert judgement_of(Ended(exit_code=3, seconds=1.0), "coalmine-score: 1.0\n").value == 0.0
    assert judgement_of(Ended(exit_code=-9, seconds=1.0), "").value == 0.0
    assert judgement_of(Ended(exit_code=126, seconds=1.0), "").value is None
    over = judgement_of(Ended(exit_code=0, seconds=1.0, took="memory"), "coalmine-score: 1.0\n")
    assert (over.value, "limit: memory" in over.note) == (0.0, True), "it was ended, whatever it said then"
    assert judgement_of(ENDED, "coalmine-score: 0.2\nmore\n").value == 0.2
    assert judgement_of(ENDED, "not coalmine-score: 0.2\n").value == 1.0


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("0.25\n1.5", 0.25),
        ("0.25\n-0.5", 0.25),
        ("0.25\nmuch", 0.25),
        ("0.25\n", 0.25),
        (".5", 0.5),
        ("1.", 1.0),
        ("+1e-1 \r", 0.1),
        ("-0.0", 0.0),
        ("1.5", None),
        ("75", None),
        ("-0.5", None),
        ("nan", None),
        ("1e999", None),
        ("0.7 of 1", None),
        ("0_1", None),
        ("", None),
    ],
)
def test_the_last_score_in_range_counts(lines: str, value: float | None) -> None:
    """Whatever is printed after it; scores out of range alone are a broken judge's, and pass nothing."""
    output = "".join(f"coalmine-score: {line}\n" for line in lines.split("\n"))
    found = judgement_of(ENDED, output)
    assert found.value == value
    assert value is not None or "not a number from 0 to 1" in found.note


def test_a_score_out_of_range_lifts_no_failure() -> None:
    """The exit status alone counts there, and what is shown of the line is short and printable."""
    assert judgement_of(Ended(exit_code=1, seconds=1.0), "coalmine-score: 75\n").value == 0.0
    note = judgement_of(ENDED, "coalmine-score: \x1b[31m" + "9" * 60_000).note
    assert note.isprintable()
    assert len(note) < 120
    assert judgement_of(ENDED, f"coalmine-score: {'9' * 60_000}x\n").value is None  # in no time
