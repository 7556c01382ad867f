"""Makes the text screens in docs/recordings: what a terminal shows of a command, every few seconds.

    python -m tests.programs.terminal_screens docs/recordings/demo-80x24.txt 80x24 5 coalmine demo

Needs tmux, which draws the screen. The folder that the command runs in is the current one; its path, and the
one of temporary files, are written as `~` and `/tmp`. A screen like the one before is left out.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: The longest that a command is watched, in seconds.
LONGEST_SECONDS = 420.0


def screens(size: str, every_seconds: float, command: str) -> list[str]:
    """What the terminal shows, every so many seconds until the command has ended."""
    width, height = size.split("x")
    server = ["tmux", "-L", f"screens-{os.getpid()}"]
    shell = f"{command}; sleep {every_seconds + 2}"  # so that the end is seen
    subprocess.run(
        [*server, "new-session", "-d", "-x", width, "-y", height, shell, ";", "set", "status", "off"],
        check=True,
    )
    found: list[str] = []
    begun = time.monotonic()
    while time.monotonic() - begun < LONGEST_SECONDS:
        shown = subprocess.run([*server, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        if shown.returncode != 0:  # the command has ended, and the server with it
            break
        screen = _plain(shown.stdout.rstrip())
        if screen and found[-1:] != [screen]:
            found.append(screen)
        time.sleep(every_seconds)
    subprocess.run([*server, "kill-server"], capture_output=True, check=False)
    return found


def _plain(screen: str) -> str:
    """The screen without the paths of this machine, and with the widths as they are."""
    for path, name in ((str(Path.cwd()), "~"), (tempfile.gettempdir(), "/tmp")):  # noqa: S108 - a name
        screen = screen.replace(path, name)
    return screen


def main() -> None:
    """Write the file that is named first."""
    file, size, every, *command = sys.argv[1:]
    found = screens(size, float(every), " ".join(command))
    line = "-" * int(size.split("x")[0])
    Path(file).write_text(f"\n{line}\n".join(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
