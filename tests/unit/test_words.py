"""The words: no private vocabulary anywhere, and no comparison with an answer's bare text.

A word stands in this list because the field has a better one: write that instead.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source import product, scripts, text, tree, written_by_us

#: Words that once meant something here and nowhere else, and what they are called now.
PRIVATE = {
    "charge": "managed process",
    "charges": "managed processes",
    "sight": "issue detail",
    "lane": "route defaults",
    "lanes": "route defaults",
    "errand": "mail request",
    "errands": "mail requests",
    "lifeline": "parent death signal",
    "departure": "retirement",
    "isolated": "log and continue",
    "given_text": "input text",
    "person_label": "escalation label",
    "(?:mail|shut|open)[ _]window": "mail request, and when one may be made",
    "bell": "wake-up",
    "desk": "console",
    "ground": "reason",
    "stretch": "interval",
    "standing": "state",
}

#: Uses that are right, by file: a pattern that is taken out of a line before it is looked at.
ALLOWED = {
    # the old name of a setting: it is read, its test writes it, and two pages say so
    "tasks/settings/old_places.py": r"for_person_label",
    "tests/unit/test_settings.py": r"(?i)for_person_label",
    "docs/settings.md": r"for_person_label",
    "CHANGELOG.md": r"for_person_label",
    # commands that an older worker put on an agent's PATH still send it
    "tasks/agents/mail_socket/server.py": r"request\.get\(\"errand\"\).*",
}

#: This file names them all.
_HERE = Path("tests/unit/test_words.py")


@pytest.mark.parametrize("word", PRIVATE)
def test_no_word_of_the_private_vocabulary_is_left(word: str) -> None:
    """Neither in prose nor as a part of a name, in any file that we write."""
    found = re.compile(rf"(?<![a-z]){word}(?![a-z])", re.IGNORECASE)
    assert not [
        f"{path}:{number}: {line.strip()}"
        for path in written_by_us()
        if path != _HERE and found.search(text(path))
        for number, line in enumerate(text(path).splitlines(), 1)
        if found.search(_without_allowed(path, line))
    ]


def _without_allowed(path: Path, line: str) -> str:
    """A line without what is right in it."""
    allowed = ALLOWED.get(path.as_posix())
    return re.sub(allowed, "", line) if allowed else line


#: Answers that are also the words of an issue, of a CI run or of a trial's strata: literals with a type.
OF_OTHERS = {"open", "closed", "completed", "repository"}


def answers() -> set[str]:
    """The words that scripts answer with."""
    returned = re.compile(r"\breturn\b([^\n]*)")
    return {
        word
        for path in scripts()
        for line in returned.findall(text(path))
        for word in re.findall(r"'([a-z_]+)'", line)
    }


def test_answers_of_scripts_are_compared_within_the_store_alone() -> None:
    """Outside of it an answer is a member of an enum, which the type checker knows."""
    words = answers() - OF_OTHERS
    assert "ok" in words
    assert "stale" in words
    wrong = [
        f"{path}:{line} compares with {word!r}"
        for path in product()
        if not path.as_posix().startswith("routing/store/")
        for line, word in _compared(path)
        if word in words
    ]
    assert not wrong


def _compared(path: Path) -> Iterator[tuple[int, str]]:
    """The strings that a file compares with `==`, `!=`, `in` or `match`, each with its line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):
            operands: list[ast.expr] = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        for operand in operands:
            members = operand.elts if isinstance(operand, ast.Set | ast.Tuple | ast.List) else [operand]
            for member in members:
                if isinstance(member, ast.Constant) and isinstance(member.value, str):
                    yield member.lineno, member.value
