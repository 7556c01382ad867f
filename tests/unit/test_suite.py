"""How the suite itself is run."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import ROOT

pytestmark = pytest.mark.xdist_group("source")


#: A suite of a group, of which one test fails.
FEW = """
import pathlib

import pytest

pytestmark = pytest.mark.xdist_group("few")


@pytest.mark.parametrize("name", ["passes", "fails"])
def test_one(name):
    with pathlib.Path({runs!r}).open("a") as file:
        print(name, file=file)
    assert name == "passes"
"""


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


def test_ci_runs_once_more_what_failed_and_nothing_else(tmp_path: Path) -> None:
    """The options of `.ci/run` find a failure of a group, by the name that it was kept by."""
    runs = tmp_path / "runs"
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_few.py").write_text(FEW.format(runs=str(runs)), encoding="utf-8")
    failed = tmp_path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    failed.parent.mkdir(parents=True)
    failed.write_text(json.dumps({"test_few.py::test_one[fails]@few": True}), encoding="utf-8")
    once_more = re.search(r"-m pytest (.+) \"\$@\"", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert once_more
    command = [sys.executable, "-m", "pytest", "-p", "xdist.plugin", *shlex.split(once_more[1])]
    few = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    few["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ended = subprocess.run(command, cwd=tmp_path, env=few, check=False, capture_output=True, timeout=100)
    assert ended.returncode == 1, ended.stdout
    assert runs.read_text(encoding="utf-8") == "fails\n"
