"""The stories can fail: with routing or attribution broken by one line, they do. So do the tests of pairs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import run

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("broken-stories")

ROOT = Path(__file__).parents[2]

PACKAGES = ("routing", "harvest", "tasks", "console", "coalmine", "tests")

STORIES = (
    "test_a_canary_whose_outcomes_regress_is_rolled_back_once",
    "test_a_canary_with_healthy_outcomes_graduates_once",
)

#: File, the line as it is, and the line that breaks it.
NEVER_ROUTE = (
    "routing/templates/route.py",
    "    return enabled and not pinned and ",
    "    return False and ",
)
CREDIT_THE_CHAMPION = (
    "harvest/draws/draw_ledger.py",
    "            arm=self.arm,\n",
    "            arm=Arm.CHAMPION,\n",
)


#: What must not pass unseen in trials of pairs, by name: a mutation as above, and the tests that notice it.
OF_PAIRS = {
    "the score of the champion is credited to the canary": (
        (
            "harvest/settling/pair_settling.py",
            "        canary=canary.worth.value if is_settled else None,\n",
            "        canary=champion.worth.value if is_settled else None,\n",
        ),
        (
            "tests/unit/test_pairs.py::test_a_pair_is_settled_once_by_both_judgements",
            "tests/unit/test_pairs.py::test_swapping_the_arms_changes_names_alone",
        ),
    ),
    "the judge looks at the champion's work for both": (
        (
            "tasks/agents/pairs/judging.py",
            "        work, repository, lost = claim.works[arm], ",
            "        work, repository, lost = claim.works[Arm.CHAMPION], ",
        ),
        ("tests/integration/test_pair_judging.py::test_both_halves_are_judged_in_the_coins_order",),
    ),
    "what leaves out the canary's half leaves the champion's in": (
        (
            "harvest/settling/pair_settling.py",
            "    left_out = next((each for each in halves if ",
            "    left_out = next((each for each in halves[:1] if ",
        ),
        ("tests/unit/test_pairs.py::test_what_is_not_the_agents_doing_leaves_out_the_whole_pair",),
    ),
    "open pairs are ignored": (
        (
            "harvest/evidence/evidence.py",
            "    return staked.lowest if job.score is None else ",
            "    return ZEROS if job.score is None else ",
        ),
        ("tests/unit/test_pair_evidence.py::test_open_and_settled_pairs_count_by_frozen_stakes",),
    ),
    "the stake on a pair looks at its outcome": (
        (
            "harvest/evidence/evidence.py",
            "        job = self.open[place]\n",
            "        job = replace(self.open[place], **{'discordance': -score} if score < -0.01 else {})\n",
        ),
        ("tests/unit/test_pair_evidence.py::test_open_and_settled_pairs_count_by_frozen_stakes",),
    ),
}


def copied(folder: Path) -> Path:
    """A copy of the project, with what was compiled of it: only the broken file is compiled again."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("recordings")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def mutate(folder: Path, mutation: tuple[str, str, str]) -> None:
    """Change one line of a copy."""
    name, line, broken = mutation
    file = folder / name
    text = file.read_text()
    assert text.count(line) == 1, f"{name} has changed: {line.strip()!r} is to occur once"
    file.write_text(text.replace(line, broken))


def play(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    pytest_of_copy = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment["PYTHONPATH"] = str(copy)
    return run([*pytest_of_copy, *tests], cwd=copy, env=environment, timeout=300)


@pytest.mark.long
@pytest.mark.parametrize(
    "mutation", [NEVER_ROUTE, CREDIT_THE_CHAMPION], ids=["never route", "credit the champion"]
)
def test_a_one_line_break_fails_both_stories(tmp_path: Path, mutation: tuple[str, str, str]) -> None:
    """Never routing to the canary, or crediting its outcomes to the champion, is noticed by both stories.

    That they pass where no line is broken is what `test_stories` shows, on the same files.
    """
    copy = copied(tmp_path / "copy")
    mutate(copy, mutation)
    done = play(copy, *(f"tests/integration/test_stories.py::{story}" for story in STORIES))
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-1000:]
    assert "2 failed" in done.stdout, done.stdout[-3000:]
    assert "error" not in done.stdout.splitlines()[-1], "the stories failed, not their fleets"


@pytest.fixture(scope="module")
def copy_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all mutations of pairs, which are taken back."""
    return copied(tmp_path_factory.mktemp("copy") / "copy")


@pytest.mark.long
@pytest.mark.parametrize("what", OF_PAIRS)
def test_a_one_line_break_of_pairs_fails_the_tests_that_name_it(copy_of_all: Path, what: str) -> None:
    """Each of them, and by a failed assertion of its own; on the files as they are they pass."""
    mutation, tests = OF_PAIRS[what]
    mutate(copy_of_all, mutation)
    try:
        done = play(copy_of_all, *tests)
    finally:
        shutil.copy2(ROOT / mutation[0], copy_of_all / mutation[0])
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-1000:]
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert {name.partition("[")[0] for name in failed} == set(tests), done.stdout[-3000:]
    assert "error" not in done.stdout.splitlines()[-1], "the tests failed, not what they use"
