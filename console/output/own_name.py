"""How a person can type this program's name where they are."""

import os
import shlex
import shutil
import sys
from pathlib import Path

#: What it is called where it is on the PATH.
NAME = "coalmine"


def own_name() -> str:
    """`coalmine` where the shell finds this installation by it; else its path, or a way to run it."""
    own = Path(sys.executable).with_name(NAME)
    found = shutil.which(NAME)
    if found is not None and Path(found).resolve() == own.resolve():
        return NAME
    if not os.access(own, os.X_OK):
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))
