"""Stands in for an agent program: notes what it is given, then does what a real one was recorded doing."""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main() -> None:
    """Run as `replay_agent.py PROGRAM ARGUMENT…`; REPLAY_* variables say the rest."""
    recording = json.loads(Path(os.environ["REPLAY_RECORDING"]).read_text(encoding="utf-8"))
    code = recording["rc"]

    def end(_signal: int, _frame: FrameType | None) -> None:
        _exit(code)

    signal.signal(signal.SIGTERM, end)
    received = {"argv": sys.argv[1:], "stdin": sys.stdin.read(), "cwd": str(Path.cwd())}
    Path(os.environ["REPLAY_RECEIVED"]).write_text(json.dumps(received), encoding="utf-8")
    lines = [(at, line, sys.stdout) for at, line in recording["stdout"]]
    lines += [(at, line, sys.stderr) for at, line in recording["stderr"]]
    for _, line, stream in sorted(lines, key=lambda entry: entry[0]):
        print(line, file=stream, flush=True)
    while os.environ["REPLAY_ENDS"] != "by itself":
        signal.pause()
    _exit(code)


def _exit(code: int | str) -> None:
    """Exit with the recorded code, or by the recorded signal; what never ended dies of the first signal."""
    number = -signal.SIGTERM if isinstance(code, str) else code
    if number < 0:
        signal.signal(-number, signal.SIG_DFL) if -number != signal.SIGKILL else None
        os.kill(os.getpid(), -number)
    sys.stdout.flush()
    os._exit(number)


if __name__ == "__main__":
    main()
