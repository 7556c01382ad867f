"""An agent for tests that has conversations: a program that speaks JSON lines through the `command` runtime.

A conversation is a file of replies in the folder that is its first argument. Reading and writing it are
apart, so that two turns at once lose a reply; a turn that finds another one at it says so in `clashes`.
The second argument is a shell line that runs meanwhile, and makes it exit as the line does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def say(**line: object) -> None:
    """One line of output."""
    print(json.dumps(line), flush=True)  # noqa: T201 - it is how agents speak


def main(folder: Path, line: str) -> int:
    """One turn."""
    prompt = sys.stdin.read()
    asked = os.environ.get("COALMINE_SESSION", "")
    known = bool(asked) and (folder / asked).exists()
    session = asked if known else f"s{len(list(folder.glob('s*'))) + 1}"
    (folder / session).touch()
    say(type="session", id=session)
    flag = folder / f"busy-{session}"
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        with (folder / "clashes").open("a") as clashes:
            clashes.write(f"{session}\n")
    replies = (folder / session).read_text()
    done = subprocess.run(["/bin/sh", "-c", line], check=False)
    job = os.environ["COALMINE_JOB_ID"]
    (folder / session).write_text(f"{replies}{job} {len(prompt)}\n")
    flag.unlink(missing_ok=True)
    say(type="usage", cost_usd=0.25)
    say(type="result", text="done")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
