"""The short form of the chaos program: a real fleet under all faults, checked by its records."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.source import ROOT
from tests.waiting import run


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_fleet_under_all_faults_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """Each fault once, then several at once; every job ends, each trial has one verdict, no agent is left."""
    report = tmp_path / "report.json"
    asked = {"seed": 1, "jobs": 300, "workers": 4, "seconds": 45, "settle": 300, "report": report}
    options = [f"--{name}={value}" for name, value in asked.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    command = [sys.executable, "-m", "tests.chaos", "--quiet", *options]
    done = run(command, cwd=ROOT, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    said = json.loads(report.read_text())
    assert said["enqueued"] == 300
    assert said["breaches"] == []
    assert said["history"].keys() == {"linearizable"}
