"""A command's end costs nothing: Python leaves its objects to the system."""

import os
import subprocess
import sys

from tests.source import ROOT

#: A command in a process with garbage that would say when it is collected.
PROGRAM = """
import sys
from coalmine.__main__ import main

class Loud:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("collected")

Loud()
sys.argv = ["coalmine", "--version"]
main()
"""


def test_a_command_ends_without_a_look_for_garbage() -> None:
    """A last look at all that a start has made takes a fifth of the whole command."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("coalmine ")
    assert "collected" not in ended.stdout
