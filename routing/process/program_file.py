"""Which file a program's name means, as it is found when a process is started."""

import os
from collections.abc import Mapping
from pathlib import Path

#: What the kernel runs, and what names an interpreter that it runs.
_ELF, _SCRIPT = b"\x7fELF", b"#!"


def program_file(name: str, *, cwd: Path, environment: Mapping[str, str]) -> str | None:
    """The path of a program that can be run, relative to `cwd` unless it is absolute; None for no such.

    A script without a first line that names its interpreter is none either: a shell would run it, but
    starting it as a process fails.
    """
    places = [""] if "/" in name else os.get_exec_path(dict(environment))
    for place in places:
        path = name if "/" in name else os.path.join(place or ".", name)  # noqa: PTH118 - "./name" keeps its dot
        if _can_run(cwd / path):
            return path
    return None


def _can_run(file: Path) -> bool:
    if not (file.is_file() and os.access(file, os.X_OK)):
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(512)
    except OSError:  # it may be run and not read: then it is no script
        return True
    if not head.startswith(_SCRIPT):
        return head.startswith(_ELF)
    words = head[len(_SCRIPT) :].split(b"\n", 1)[0].split()
    return bool(words) and os.access(os.fsdecode(words[0]), os.X_OK)
