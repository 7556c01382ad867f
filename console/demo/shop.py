"""The repository of the demonstration: a shop with a test for each price rule, and no rule written yet.

Each rule is one issue and one file, so that agents that work at the same time never conflict, and CI judges
a tree by the tests of the rules that are written. The texts of issues are read by `agent`, which knows
their words: change both together.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from routing.git.git import Git

#: The program that is the CI of the repository: it runs the tests of the rules that are written. It looks at
#: the whole tree, so that main is green before the first rule, and the merge of two branches is judged too.
CI_PROGRAM = '''\
"""CI of the shop: runs the tests of all rules that are written."""

import sys
import unittest
from pathlib import Path

written = [file.stem for file in sorted(Path("shop").glob("rule_*.py")) if "return 0" not in file.read_text()]
sys.path.insert(0, "")
suite = unittest.defaultTestLoader.loadTestsFromNames([f"tests.test_{name}" for name in written])
sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1)
'''


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A price rule: orders of `least` or more cost `less` less than their amount.

    Everything about it follows from its number, so a story with the same seed has the same issues.
    """

    number: int

    @property
    def name(self) -> str:
        """`rule_007`."""
        return f"rule_{self.number:03d}"

    @property
    def least(self) -> int:
        """The boundary. Hasty work writes `>` where `>=` is right."""
        return 10 + 3 * self.number

    @property
    def less(self) -> int:
        """The discount: 1 to 7, always below the boundary."""
        return 1 + self.number % 7

    def module(self) -> str:
        """The Python file in which an agent writes the rule; unwritten it returns 0, so its tests fail."""
        return f'"""Rule {self.number} of the shop."""\n\n\ndef price(amount):\n    return 0\n'

    def test(self) -> str:
        """The rule's test; it fails until the rule is written with the right boundary."""
        return textwrap.dedent(f"""\
            import unittest

            from shop.{self.name} import price


            class {self.name.title().replace("_", "")}(unittest.TestCase):
                def test_below(self):
                    self.assertEqual(price({self.least - 1}), {self.least - 1})

                def test_boundary(self):
                    self.assertEqual(price({self.least}), {self.least - self.less})

                def test_above(self):
                    self.assertEqual(price({self.least + 5}), {self.least + 5 - self.less})
            """)

    def issue(self) -> str:
        """The rule's issue, as a file of the local forge."""
        return textwrap.dedent(f"""\
            ---
            number: {self.number}
            title: "Rule {self.number}: discount from {self.least} on"
            state: open
            labels: [agent]
            ---
            In `shop/{self.name}.py`, an order of {self.least} or more costs less {self.less} than its amount;
            a smaller one costs its amount. `tests/test_{self.name}.py` says it in numbers.
            """)


class Shop:
    """The repository and its issues, in one folder. Call `build` once, then `file_issues` as often as needed.

    Git errors are raised as they are: a demonstration without git cannot go on.
    """

    def __init__(self, folder: Path, *, rules: int) -> None:
        self.repository = folder / "shop"
        self.issues = folder / "issues"
        self._rules = [Rule(number=number) for number in range(1, rules + 1)]
        self._filed = 0

    def build(self) -> None:
        """Make the repository, with one commit on its main branch. The folder must not hold one yet."""
        for folder in (self.issues, self.repository / "shop", self.repository / "tests"):
            folder.mkdir(parents=True)
        for package in ("shop", "tests"):
            (self.repository / package / "__init__.py").touch()
        for rule in self._rules:
            _write(self.repository / "shop" / f"{rule.name}.py", rule.module())
            _write(self.repository / "tests" / f"test_{rule.name}.py", rule.test())
        _write(self.repository / "ci.py", CI_PROGRAM)
        git = Git(self.repository)
        git("init", "--quiet", "--initial-branch=main")
        git("add", "--all")
        git("commit", "--quiet", "--message", "Open the shop; its price rules are still to be written")

    def file_issues(self, count: int) -> int:
        """File the next issues; returns how many, fewer than `count` when no rules are left.

        An issue is a file in the folder that the local forge polls; it is open from then on.
        """
        rules = self._rules[self._filed : self._filed + count]
        for rule in rules:
            _write(self.issues / f"{rule.number:03d}-{rule.name}.md", rule.issue())
        self._filed += len(rules)
        return len(rules)

    @property
    def filed(self) -> int:
        """How many issues were filed so far."""
        return self._filed

    def merges(self) -> int:
        """How many branches were merged into main: counted by git, and not by the fleet's own records."""
        return int(Git(self.repository)("rev-list", "--count", "--merges", "--first-parent", "main"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
