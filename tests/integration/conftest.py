"""What is left out of this suite: in a clone without its whole history there is no older release to run."""

import subprocess

from tests.source import OLDER, ROOT

_known = subprocess.run(
    ["git", "-C", ROOT, "cat-file", "-e", f"{OLDER}^{{commit}}"], check=False, stderr=subprocess.DEVNULL
)

collect_ignore = [] if _known.returncode == 0 else ["test_two_versions.py"]
