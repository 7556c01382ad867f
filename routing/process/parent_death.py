"""Programs that die with us, even when we are killed and can clean up nothing.

On Linux the kernel does it (`PR_SET_PDEATHSIG`, see prctl(2)): the command is started through a few lines of
Python that ask for the signal and then become the command, so no `preexec_fn` runs in a process with threads.
The kernel sends the signal when the *thread* that started the program ends, so start it from a thread that
lives as long as the program may. Other systems have no such call; there the command is returned unchanged.
"""

import os
import signal
import sys
from collections.abc import Sequence

# Runs in the child. Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored over exec.
# A parent that died before the call is seen by its process id.
_LAUNCHER = """\
import os, signal, sys
number, parent, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
for name in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() != parent:
    sys.exit(0)
try:
    os.execvp(command[0], command)
except OSError as error:
    print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
    sys.exit(127)  # as in a shell
"""


def tied_to_us(argv: Sequence[str], *, death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Wrap `argv` so that the program gets `death_signal` when the thread that starts it ends."""
    if not sys.platform.startswith("linux") or not sys.executable:
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(int(death_signal)), str(os.getpid()), *argv]
