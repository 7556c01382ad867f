"""How the suite itself is run."""

import ast

import pytest

from tests.source import ROOT, tree

pytestmark = pytest.mark.xdist_group("source")


def test_a_group_of_tests_runs_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist reads the groups from the tests' names, which not every pytest lets it write."""
    grouped: bool = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@source") == grouped


def test_what_a_module_makes_is_made_once() -> None:
    """Tests that share a fixture of their module name their group; all that is in tests/real has one."""
    paths = (path for path in (ROOT / "tests").rglob("test_*.py") if "real" not in path.parts)
    shares = [path for path in paths if _has_shared_fixture(tree(path))]
    assert shares
    assert not [path.name for path in shares if "mark.xdist_group(" not in path.read_text(encoding="utf-8")]


def _has_shared_fixture(module: ast.Module) -> bool:
    """Whether a fixture of it is made once for all of its tests."""
    return any(
        isinstance(node, ast.keyword)
        and node.arg == "scope"
        and isinstance(node.value, ast.Constant)
        and node.value.value == "module"
        for node in ast.walk(module)
    )
