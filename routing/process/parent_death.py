"""Programs that die with us, even when we are killed and cannot clean up.

On Linux the kernel does it (`PR_SET_PDEATHSIG`, see prctl(2)): the command is started through a few lines of
Python that request the signal and then become the command. A `preexec_fn` could do the same, but is not safe
in a process with threads. The kernel sends the signal when the *thread* that started the program ends; see
`Command.outlives_thread`. Other systems have no such call: there the command is returned unchanged.
"""

import os
import signal
import sys
from collections.abc import Sequence

# Runs in the child. Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored over exec.
# If the parent died before the call, the parent's process id has changed.
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
