"""Which files of a change are tests, by the names that projects give them: pure.

A file that only serves tests (fixtures, recordings, snapshots) counts by its folder.
"""

import re
from pathlib import PurePosixPath

#: Folders whose whole content is about tests.
_FOLDERS = frozenset(
    {
        *("test", "tests", "testing", "testdata", "test_data", "spec", "specs", "__tests__", "__snapshots__"),
        *("e2e", "fixtures"),
    }
)

#: Names of tests in the languages that have a habit: Python, Go, Ruby, JavaScript, Java, C#, Rust, PHP.
_NAME = re.compile(
    r"test_.+|conftest\.py|.+_tests?\.[a-z0-9]+|.+_spec\.[a-z0-9]+|.+\.(?:test|spec)\.[a-z0-9]+"
    r"|tests?\.[a-z0-9]+|.+[a-z0-9]Tests?\.[a-z0-9]+|.+Spec\.[a-z0-9]+"
)

#: Files that change with most changes and that no test needs.
_WORDS = re.compile(
    r"(?:.*\.(?:md|rst|txt|adoc)|LICENSE.*|AUTHORS.*|\.git(?:ignore|attributes))", re.IGNORECASE
)


def is_test(path: str) -> bool:
    """Whether a file belongs to the tests."""
    pure = PurePosixPath(path)
    return bool(_FOLDERS & {part.lower() for part in pure.parts[:-1]} or _NAME.fullmatch(pure.name))


def is_code(path: str) -> bool:
    """Whether a file may be what the tests of a change are about: neither a test nor mere words."""
    return not is_test(path) and not _WORDS.fullmatch(PurePosixPath(path).name)
