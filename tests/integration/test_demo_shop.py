"""The shop of the demonstration: what its CI judges."""

import subprocess
import sys
from pathlib import Path

import pytest

from console.demo.shop import Rule, Shop
from routing.git.git import Git


def judged(git: Git) -> int:
    """The exit code of CI at what is checked out."""
    return subprocess.run(
        [sys.executable, "-I", "ci.py"], cwd=git.directory, capture_output=True, check=False
    ).returncode


def written(git: Git, rule: Rule, operator: str) -> None:
    """Commit a rule; `>` in place of `>=` is the mistake of hasty work."""
    body = (
        f"def price(amount):\n    return amount - {rule.less} if amount {operator} {rule.least} else amount\n"
    )
    (git.directory / "shop" / f"{rule.name}.py").write_text(body)
    git("commit", "--quiet", "--all", "--message", f"Price {rule.name}")


@pytest.mark.parametrize(("operator", "code"), [(">", 1), (">=", 0)])
def test_a_branch_that_main_was_merged_into_is_judged_by_its_own_rule(
    tmp_path: Path, operator: str, code: int
) -> None:
    """What main brought says nothing about the branch's own work."""
    Shop(tmp_path, rules=2).build()
    git = Git(tmp_path / "shop")
    git("checkout", "--quiet", "-b", "work")
    written(git, Rule(number=1), operator)
    assert judged(git) == code
    git("checkout", "--quiet", "main")
    written(git, Rule(number=2), ">=")
    git("checkout", "--quiet", "work")
    git("merge", "--quiet", "--no-ff", "--no-edit", "main")
    assert judged(git) == code
