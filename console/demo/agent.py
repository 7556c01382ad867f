"""A scripted agent, run as a program of its own: what it does comes from the prompt that it is given.

It reads the prompt on its standard input, finds the task in it, writes the function that the task describes
and commits it. How careful it is, the version's own words decide, as they would with a model: told to run the
tests, it does; told to hurry, it often gets the boundary wrong. It imports nothing of Coalmine.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

#: Chance of getting the boundary right, by what the version's prompt says.
_CAREFUL, _USUAL, _HASTY = 0.97, 0.72, 0.12

_TASK = re.compile(r"`shop/(rule_\d+)\.py`.*?of (\d+) or more.*?less (\d+)", re.DOTALL)


def skill(prompt: str) -> float:
    """How likely the boundary comes out right."""
    if "run its test" in prompt:
        return _CAREFUL
    return _HASTY if "as fast as you can" in prompt else _USUAL


def luck(*parts: str) -> float:
    """A number in [0,1) that is the same for the same parts: chance that can be repeated."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def main() -> int:
    """Do the task; 1 when there is none in the prompt."""
    prompt = sys.stdin.read()
    task = _TASK.search(prompt)
    if task is None:
        print("I find no task in what I was given")  # noqa: T201 - what an agent says
        return 1
    rule, least, less = task.groups()
    version = prompt.split("\n", 1)[0]
    right = luck(os.environ.get("DEMO_SEED", ""), rule, version) < skill(version)
    sign = ">=" if right else ">"
    print(f"writing {rule} with amount {sign} {least}", flush=True)  # noqa: T201
    file = Path("shop") / f"{rule}.py"
    docstring = file.read_text(encoding="utf-8").split("\n", 1)[0]
    file.write_text(
        f"{docstring}\n\n\ndef price(amount):\n"
        f"    return amount - {less} if amount {sign} {least} else amount\n",
        encoding="utf-8",
    )
    subprocess.run(["git", "commit", "-qam", f"Price {rule}"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
