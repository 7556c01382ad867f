"""Removing folders that agents have filled."""

import os
import shutil
from pathlib import Path


def remove_folder(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, writable or not; follow no link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    path.chmod(0o700)
    for parent, folders, _ in os.walk(path):
        for name in folders:
            folder = Path(parent, name)
            if not folder.is_symlink():  # package caches of some languages are read-only
                folder.chmod(0o700)
    shutil.rmtree(path)
