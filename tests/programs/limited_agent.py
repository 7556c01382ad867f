"""Stands in for an agent program whose account has a limit: says a recording at first, another one later."""

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Run as `limited_agent.py PROGRAM ARGUMENT…`; LIMITED_… variables say the rest.

    LIMITED_BOOK is a folder: each run leaves there what it was given, its session, and which files it found
    of earlier runs; it leaves one where it works. As many first runs as LIMITED_TIMES say LIMITED_FIRST,
    all later ones LIMITED_THEN; both are files like recordings. One that was ended when it was recorded runs
    until somebody ends it.
    """
    book = Path(os.environ["LIMITED_BOOK"])
    book.mkdir(parents=True, exist_ok=True)
    number = len(list(book.iterdir()))
    seen = {
        "argv": sys.argv[1:],
        "stdin": sys.stdin.read(),
        "key": os.environ.get("THE_KEY", ""),
        "session": os.environ.get("COALMINE_SESSION", ""),
        "files": sorted(file.name for file in Path.cwd().glob("done-by-*")),
    }
    Path(f"done-by-{number}").touch()
    (book / f"{number}.json").write_text(json.dumps(seen), encoding="utf-8")
    name = "LIMITED_FIRST" if number < int(os.environ.get("LIMITED_TIMES", "1")) else "LIMITED_THEN"
    recording = json.loads(Path(os.environ[name]).read_text(encoding="utf-8"))
    for _, line in recording["stdout"]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()  # what it did comes before what ended it
    for _, line in recording["stderr"]:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    while not isinstance(recording["rc"], int):  # the real one went on, and was ended
        signal.pause()
    sys.exit(recording["rc"])


if __name__ == "__main__":
    main()
