"""How the suite itself is run."""

import re

import pytest

from tests.source import ROOT

pytestmark = pytest.mark.xdist_group("source")


def test_a_group_of_tests_runs_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist reads the groups from the tests' names, which not every pytest lets it write."""
    grouped: bool = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@source") == grouped


def test_what_a_module_makes_is_made_once() -> None:
    """Tests that share a fixture of their module name their group; all that is in tests/real has one."""
    paths = (path for path in (ROOT / "tests").rglob("test_*.py") if "real" not in path.parts)
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    made_once = re.compile(r'^@.*scope="module"', re.MULTILINE)
    shares = {name: text for name, text in texts.items() if made_once.search(text)}
    assert shares
    assert not [name for name, text in shares.items() if "mark.xdist_group(" not in text]
