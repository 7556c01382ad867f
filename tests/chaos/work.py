"""The kinds of work that a chaos fleet is given, and the agents that do it."""

import shlex
from pathlib import Path

from routing.templates.version import Snapshot
from tasks.settings.settings import Settings

#: The templates whose jobs are worked without a process: by draws, and in pairs.
NO_OP, NO_OP_PAIRS = "no-op", "no-op-pairs"

#: The templates whose jobs real processes do: without a repository, and for the issues of a forge.
SCRIPT, ISSUE = "script", "implementer"

#: The share of their attempts that succeeds, by how the prompt of a version begins.
SKILLS = {"usual": 0.8, "good": 0.97, "bad": 0.35}

#: Seconds that an attempt without a process takes at the most.
NO_OP_SECONDS = 0.2

#: Seconds that one of those that take longer does at the most.
LONG_SECONDS = 6.0

#: A file in the folder of the fleet: while it is there, no work tree can be made.
DISK_FULL = "disk-full"

#: A file that makes the CI of the forge slow.
FORGE_SLOW = "forge-slow"


def kept_for(settings: Settings, seconds: float) -> Settings:
    """Settings by which what has ended is kept for seconds, where a person may set a day at the least."""
    days = seconds / 86_400
    backlog = settings.issues.backlog.model_copy(update={"retention_days": days})
    return settings.model_copy(
        update={
            "job": settings.job.model_copy(update={"retention_days": days}),
            "issues": settings.issues.model_copy(update={"backlog": backlog}),
        }
    )


def no_op(prompt: str) -> Snapshot:
    """A version of a template without processes; its command is for workers that know of no such thing."""
    percent = round(100 * SKILLS[prompt.partition("-")[0]])
    command = f"[ $(( $(od -An -N2 -tu2 /dev/urandom) % 100 )) -lt {percent} ]"
    return Snapshot(prompt=prompt, command=command)


def script(folder: Path, *, commits: bool = False) -> Snapshot:
    """An agent that holds a lock of its job while it lives, and notes where it finds it held.

    The kernel frees the lock with the last process that has it, however that ends. One in seven leaves a
    process that goes on in a session of its own; one in five takes some seconds, so that it meets faults.
    """
    book, overlaps, locks = (shlex.quote(str(folder / name)) for name in ("book", "overlaps", "locks"))
    command = f"""
exec 9>> {locks}/"$COALMINE_JOB_ID"
flock -n 9 || echo "$COALMINE_JOB_ID" >> {overlaps}
echo "start $COALMINE_JOB_ID $$" >> {book}
[ $(($$ % 7)) != 0 ] || setsid sleep 600 9>&- > /dev/null 2>&1 &
if [ $(($$ % 5)) = 0 ]; then sleep 3; else sleep 0.$(($$ % 4)); fi
{'echo "$COALMINE_JOB_ID" > "work-$COALMINE_JOB_ID.txt"' if commits else ":"}
echo "end $COALMINE_JOB_ID $$" >> {book}
"""
    return Snapshot(prompt="work", command=command.strip())
