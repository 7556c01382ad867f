"""An agent whose provider allows a few calls, then none for a while, for each account; it keeps a book."""

import fcntl
import json
import os
import sys
import time
from pathlib import Path

#: Calls that an account allows between two limits, and seconds for which a limit lasts.
CALLS, LIMIT_SECONDS = 6, 1.2

#: Seconds until the model answers.
ANSWER_SECONDS = 0.2


def main() -> None:
    """Run as `metered_agent.py FOLDER`; the variable ACCOUNT names the account."""
    folder, account = Path(sys.argv[1]), os.environ["ACCOUNT"]
    begun = time.time()
    until = _asked(folder / f"{account}.json")
    if until is not None:
        sys.stdout.write(json.dumps({"type": "limit", "until": until, "text": "enough for now"}) + "\n")
    else:
        time.sleep(ANSWER_SECONDS)
        sys.stdout.write(json.dumps({"type": "tool", "name": "work"}) + "\n")
        sys.stdout.flush()
    entry = {"account": account, "begun": begun, "ended": time.time(), "until": until,
             "job": os.environ["COALMINE_JOB_ID"]}  # fmt: skip
    with (folder / "book.jsonl").open("a") as book:
        fcntl.flock(book, fcntl.LOCK_EX)
        book.write(json.dumps(entry) + "\n")
    sys.exit(0 if until is None else 1)


def _asked(file: Path) -> float | None:
    """Ask the provider: None when it serves, or else until when it does not."""
    with file.open("a+") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        state.seek(0)
        text = state.read()
        left, until = json.loads(text) if text else (CALLS, 0.0)
        now = time.time()
        if now >= until and left == 0:
            left, until = CALLS, now + LIMIT_SECONDS
        answer = until if now < until else None
        if answer is None:
            left -= 1
        state.seek(0)
        state.truncate()
        state.write(json.dumps([left, until]))
        return answer


if __name__ == "__main__":
    main()
