"""Ways for other users to folders that lie in one of root's alone, in a mount namespace of a test's own."""

from collections.abc import Sequence
from pathlib import Path


def passages(folder: Path, needed: Sequence[Path]) -> Sequence[str]:
    """Commands by which other users reach folders that lie in one of root's alone, and see nothing beside."""
    shut: dict[Path, list[Path]] = {}
    for path in needed:
        barred = [one for one in (path, *path.parents) if not one.stat().st_mode & 0o001]
        if barred:
            shut.setdefault(barred[-1], []).append(path)
    lines: list[str] = []
    for number, (barrier, paths) in enumerate(shut.items()):
        aside = folder / f"aside-{number}"
        aside.mkdir()
        lines += [f"mount --bind {barrier} {aside}", f"mount -t tmpfs -o mode=755 none {barrier}"]
        for path in paths:
            lines += [f"mkdir -p {path}", f"mount --bind {aside / path.relative_to(barrier)} {path}"]
        lines += [f"umount --lazy {aside}"]
    return lines
