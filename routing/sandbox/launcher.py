"""The first program in a sandbox: it sets limits, and becomes the program.

The system's prlimit(1); where there is none a few lines of Python, which start in ten times the time.
"""

import os
import resource
import shutil
import sys
from collections.abc import Sequence
from functools import cache

from routing.sandbox.mount import ProcessLimits

# Runs inside, without site packages: only what Python itself has. Python ignores SIGPIPE and SIGXFSZ.
# `posix` is what `os` is made of; without site nothing else has imported that, and it costs a millisecond.
_TEXT = """\
import posix, sys
import _signal as signal  # without the enums of the other one, which cost milliseconds
processes, file_bytes = sys.argv[1].split("|")
for name in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
import resource
for limit, value in ((resource.RLIMIT_NPROC, processes), (resource.RLIMIT_FSIZE, file_bytes)):
    if value:
        most = resource.getrlimit(limit)[1]
        value = int(value) if most < 0 else min(int(value), most)
        resource.setrlimit(limit, (value, value))
program, refused = sys.argv[2:], None
folders = posix.environ.get(b"PATH", b"/bin:/usr/bin").split(b":")
name = program[0].encode(sys.getfilesystemencoding(), "surrogateescape")
for file in [name] if b"/" in name else [folder + b"/" + name for folder in folders if folder]:
    try:
        posix.execv(file, program)
    except (FileNotFoundError, NotADirectoryError) as error:
        refused = refused or error
    except OSError as error:
        refused = error
print(f"{program[0]} cannot be run: {refused and refused.strerror}", file=sys.stderr)
sys.exit(127)  # as in a shell
"""


@cache
def system_limiter() -> str | None:
    """The system's prlimit(1), None where it has none."""
    return shutil.which("prlimit", path="/usr/bin:/bin")


def launched(argv: Sequence[str], *, limits: ProcessLimits, limiter: str | None = None) -> list[str]:
    """The command that runs `argv` under limits; unchanged where there is nothing to do first.

    `limiter` is a program as `system_limiter` finds one.
    """
    if limits.processes is None and limits.file_bytes is None:
        return list(argv)
    # The worker ends a turn with too many processes; this is for one that makes them faster than it looks.
    processes = None if limits.processes is None else limits.processes + limits.processes // 4 + 16
    if limiter is not None:
        given = (
            ("nproc", resource.RLIMIT_NPROC, processes),
            ("fsize", resource.RLIMIT_FSIZE, limits.file_bytes),
        )
        options = [_option(name, limit, value) for name, limit, value in given if value is not None]
        return [limiter, *options, "--", *argv]
    said = "|".join("" if part is None else str(part) for part in (processes, limits.file_bytes))
    return [os.path.realpath(sys.executable), "-I", "-S", "-c", _TEXT, said, *argv]


def _option(name: str, limit: int, value: int) -> str:
    """An option of prlimit(1): soft and hard limit, no higher than this process's own."""
    most = resource.getrlimit(limit)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    return f"--{name}={value}:{value}"
