"""The words: no private vocabulary and no stilted phrases, and no comparison with an answer's bare text.

A word stands in this list because the field has a better one: write that instead.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from harvest.evidence.verdict import Verdict
from tests import declared_scripts
from tests.source import modules, nodes, product, scripts, text, tree, written_by_us

#: One process reads and parses the source for all of them.
pytestmark = pytest.mark.xdist_group("source")

#: Words that once meant something here and nowhere else, and what they are called now.
PRIVATE = {
    "charge": "managed process",
    "sight": "issue detail",
    "lane": "route defaults",
    "errand": "mail request",
    "lifeline": "parent death signal",
    "departure": "retirement",
    "isolated": "log and continue",
    "given[ _]text": "input text",
    "person[ _]label": "escalation label",
    "(?:mail|shut|open)[ _]window": "mail request, and when one may be made",
    "bell": "wake-up",
    "desk": "console",
    "ground": "reason",
    "stretch": "interval",
    "standing": "state",
}

#: Turns of phrase that nobody would say aloud, as patterns, and what to write.
STILTED = {
    "whoever": "the worker that …, a person who …",
    "told": "reported, gets a mail, learns",
    r"(?<!there[ _])(?:is|are|was|were|be|been)[ _]no[ _](?!longer|more)[a-z]+": "is not a …",
    "behind": "after",
    "mend(?:s|ed|ing|er)?": "repair, fix",
}

#: Uses that are right in any file.
IDIOMS = (
    r"(?i)\b(?:leave|leaves|leaving|left)\b(?: [\w']+){0,7} behind\b",  # remains: nothing is left behind
    r"\bbehind a proxy\b",  # a place, not an order
)

#: Uses that are right in one file: a pattern that is taken out of a line before it is looked at.
ALLOWED = {
    # the old name of a setting: it is read, its test writes it, and two pages say so
    "tasks/settings/old_places.py": r"for_person_label",
    "tests/unit/test_settings.py": r"(?i)for_person_label",
    "docs/settings.md": r"for_person_label",
    "CHANGELOG.md": r"for_person_label",
    # commands that an older worker put on an agent's PATH still send it
    "tasks/agents/mail_socket/server.py": r"request\.get\(\"errand\"\).*",
    # the name of a log line, for which operators may search
    "tasks/issues/closing.py": r"\"issue\.not_told\"",
    # git and GitHub call commits that a branch lacks so
    "routing/forges/github/changes.py": r"[\"`]behind[\"`]",
    "tests/fakes/forge_world.py": r"behind, ahead = .*|int\(behind\)",
    "tests/servers/github_server.py": r"\bbehind(?:_by)?\b",
    # a clock is ahead of another one or behind it
    "routing/store/redis/health.py": r"'ahead of' .* 'behind'",
    "tests/unit/test_health.py": r"3\.0 s behind",
}

#: This file names them all.
_HERE = Path("tests/unit/test_words.py")

#: Where a name in CamelCase has its parts.
_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@pytest.mark.parametrize("word", PRIVATE | STILTED)
def test_no_word_that_has_a_better_one_is_left(word: str) -> None:
    """Neither in prose nor as a part of a name, in any file that we write."""
    assert not [each for each, line in _suspects() if _pattern(word).search(line)]


@pytest.mark.parametrize(
    ("word", "line", "is_found"),
    [
        ("charge", "class _LocalCharges:", True),
        ("charge", "recharge it", False),
        ("desk", "self._desk = HTTPDesk()", True),
        ("stretch", "for stretches of time", True),
        ("whoever", "Whoever asks", True),
        ("told", "def test_agent_is_told_once()", True),
        ("told", "class ToldParent:", True),
        ("behind", "behind the end of the job", True),
        ("behind", "leaves no work tree behind, and", False),
        ("mend(?:s|ed|ing|er)?", "_mend(client)", True),
        ("mend(?:s|ed|ing|er)?", "amended", False),
        (next(word for word in STILTED if "[ _]no" in word), "what is no number", True),
        (next(word for word in STILTED if "[ _]no" in word), "def test_it_is_no_answer()", True),
        (next(word for word in STILTED if "[ _]no" in word), "it is no longer so; there is no job", False),
    ],
)
def test_words_are_found_in_sentences_and_in_names(word: str, line: str, *, is_found: bool) -> None:
    """With plurals and parts of CamelCase; parts of other words and idioms are not found."""
    assert bool(_pattern(word).search(_prepared(line, None))) is is_found


@cache
def _pattern(word: str) -> re.Pattern[str]:
    """A word on its own or as a part of a name, also in the plural."""
    return re.compile(rf"(?<![a-z])(?:{word})(?:e?s)?(?![a-z])", re.IGNORECASE)


@cache
def _suspects() -> list[tuple[str, str]]:
    """The lines that hold one of the words: where each stands, and the line without what is right in it.

    Names are split at their case. All words are looked for at once and in whole files, because the lines are
    many.
    """
    any_of_them = _pattern("|".join(f"(?:{word})" for word in PRIVATE | STILTED))
    return [
        (f"{path}:{number}: {line.strip()}", line)
        for path in written_by_us()
        if path != _HERE
        for whole in [_prepared(text(path), ALLOWED.get(path.as_posix()))]
        if any_of_them.search(whole)
        for number, line in enumerate(whole.splitlines(), 1)
        if any_of_them.search(line)
    ]


def _prepared(written: str, allowed: str | None) -> str:
    for pattern in (*IDIOMS, *filter(None, [allowed])):
        written = re.sub(pattern, "", written)
    return _PARTS.sub(" ", written)


#: Answers that are also the words of an issue, a CI run, a trial's strata or ledger: literals with a type.
OF_OTHERS = {"open", "closed", "completed", "repository", "settled", "provisional", "excluded"}

#: Words that tests compare with something else than an answer of the store, and with what.
OF_TESTS = {
    "again": "what a fake tick returns",
    "late": "the subject of a mail",
    "no parent": "a part of a message",
    "paused": "a call of a fake",
    "state": "a field of a request",
    "turn": "a part of a reason",
    "warning": "a log level",
}

#: Tests that read a text in which answers are words, and which text.
READ_TEXT = {
    "tests/acceptance/": "what a command printed",
    "tests/contract/": "what a forge, or the webhook door, sent",
    "tests/servers/": "what was sent to a forge",
    "tests/fakes/": "the state of a fake forge",
    "tests/chaos/": "a history as it was written, by models that know nothing of the store",
    "tests/unit/test_benchmark_results.py": "a stored measurement",
}


def members(named: str, *, within: str = "") -> set[str]:
    """The values of the string enums whose names match, and which are made within a folder or file."""
    return {
        str(member.value.value)
        for path in product()
        if path.as_posix().startswith(within)
        for made in tree(path).body
        if isinstance(made, ast.ClassDef) and "StrEnum" in {ast.unparse(base) for base in made.bases}
        if re.search(named, made.name)
        for member in made.body
        if isinstance(member, ast.Assign) and isinstance(member.value, ast.Constant)
    }


def answers() -> set[str]:
    """The words that the store answers with, in its enums and in its scripts, and those of a verdict."""
    returned = re.compile(r"\breturn\b([^\n]*)")
    in_scripts = {
        word
        for path in scripts()
        for line in returned.findall(text(path))
        for word in re.findall(r"'([a-z_]+)'", line)
    }
    return in_scripts | declared_scripts.answers() | set(Verdict)


def states() -> set[str]:
    """The words that records carry and agents' workers report: a test may say them as they are stored."""
    return members(r"(State|Kind|Status|Step)$") - members(r"(Kind|Status)$", within="routing/store/")


def test_answers_of_the_store_are_compared_as_members() -> None:
    """Outside of it an answer is a member of an enum, which the type checker knows; in the tests as well."""
    words = answers() - OF_OTHERS
    assert {"ok", "stale", "early", "no champion", "hold"} <= words
    in_tests = words - states() - set(OF_TESTS)
    assert {"ok", "stale", "early", "no champion", "hold"} <= in_tests
    places = [(path, words) for path in product() if not path.as_posix().startswith("routing/store/")]
    ours = [path for path in modules("tests") if not path.as_posix().startswith(tuple(READ_TEXT))]
    places += [(path, in_tests) for path in ours]
    wrong = [
        f"{path}:{line} compares with {word!r}"
        for path, known in places
        if path != _HERE
        for line, word in _compared(path)
        if word in known
    ]
    assert not wrong


def _compared(path: Path) -> Iterator[tuple[int, str]]:
    """The strings that a file compares with `==`, `!=`, `in` or `match`, each with its line."""
    operands = [each for node in nodes(tree(path), ast.Compare) for each in (node.left, *node.comparators)]
    for operand in operands + [node.value for node in nodes(tree(path), ast.MatchValue)]:
        members = operand.elts if isinstance(operand, ast.Set | ast.Tuple | ast.List) else [operand]
        for member in members:
            if isinstance(member, ast.Constant) and isinstance(member.value, str):
                yield member.lineno, member.value
