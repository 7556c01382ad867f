"""A library that is not ours, from its source distribution, which install.sh got from the registry."""

import os
from pathlib import Path

import pytest

from tests.waiting import carried_out

#: A library of one module, with a suite of its own of some 500 tests.
_ARCHIVE = "inflection-0.5.1.tar.gz"


def unpacked_library(folder: Path) -> Path:
    """The library in a new folder `inflection`; no repository yet."""
    archive = Path(os.environ.get("REAL_PROGRAMS", ".real")).absolute() / "sdists" / _ARCHIVE
    if not archive.exists():
        pytest.fail(f"{archive} is not there; run tests/real/install.sh first")
    unpack = ["tar", "--extract", "--gzip", "--no-same-owner", "--file", str(archive)]
    carried_out([*unpack, "--directory", str(folder)])
    path = folder / "inflection"
    (folder / _ARCHIVE.removesuffix(".tar.gz")).rename(path)
    return path
