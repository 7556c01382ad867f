"""The workers of the suite cost no imports."""

import os
import subprocess
import sys

from tests.source import ROOT

#: Imports what is preloaded, then becomes a worker and says what that imported of ours.
BECOME_A_WORKER = """
import importlib, sys
from tests.fleets.forked_celery import PRELOADED
for name in PRELOADED:
    importlib.import_module(name)
assert "tasks.work.drain" not in sys.modules, "all fleets would share its event"
preloaded = set(sys.modules)
import tasks.celery
tasks.celery._import_parts()
from routing.jobs.job import JobRequest
assert JobRequest.__pydantic_complete__, "each child would build it anew"
print(*(name for name in sorted(set(sys.modules) - preloaded) if name.startswith(("routing", "harvest"))))
"""


def test_a_fork_has_what_its_parts_are_made_of() -> None:
    """Parts import their modules when they are made: each is among those that are preloaded."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    ended = subprocess.run(
        [sys.executable, "-c", BECOME_A_WORKER],
        env=environment | {"COALMINE_REDIS_URL": "redis://127.0.0.1:1/0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == []
