"""A scripted agent, run as a program of its own: what it does comes from the prompt that it is given.

It reads the prompt on standard input, finds the task in it, writes the function that the task describes and
commits it. The prompt of the version decides how careful it is, as with a model: one that asks for the
rule's test to be run is nearly always right, one that asks for speed often gets the boundary wrong.

It imports nothing from Coalmine and nothing that is not in the standard library: it runs with `-I -S`, in
the work tree of a job, like any other agent. The environment has DEMO_SEED. Exit code 1: the prompt has no
task.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

#: Probability that the boundary is right, by the version's prompt.
_CAREFUL, _USUAL, _HASTY = 0.97, 0.72, 0.12

#: The rule, its boundary and its discount, in the words of `shop.Rule.issue`.
_TASK = re.compile(r"`shop/(rule_\d+)\.py`.*?of (\d+) or more.*?less (\d+)", re.DOTALL)


def skill(prompt: str) -> float:
    """The probability that the boundary is right under this prompt.

    The three values are far enough apart that trials end after few jobs.
    """
    if "run its test" in prompt:
        return _CAREFUL
    return _HASTY if "as fast as you can" in prompt else _USUAL


def luck(*parts: str) -> float:
    """A number in [0,1), evenly spread and the same for the same parts, so that a story can be repeated.

    It is a hash and not a generator, because each agent is a process of its own and they run in any order.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def main() -> int:
    """Do the task; returns 1 when the prompt has none. An error of git ends the program with a traceback."""
    prompt = sys.stdin.read()
    task = _TASK.search(prompt)
    if task is None:
        print("I find no task in this prompt")  # noqa: T201 - what an agent says
        return 1
    rule, least, less = task.groups()
    # The template's prompt is the first line; the task comes after it.
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
