"""What a start costs: CPU of a command, of beat and of a worker before its first line.

CPU and not time, because the machine does other things as well; each figure is the least of some runs. It
stands beside that of importing Celery, which nothing can do without that speaks to a broker: on another
machine, or a busy one, the ratio is what to look at.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks.fleet import MeasuredFleet, measured_fleet
from benchmarks.results import Row, row

NAME = "starts"

#: Seconds of CPU that a command may take before it prints, with what it prints.
MOST_SECONDS = 0.5

#: What is compared to: a program that imports Celery's application and does nothing.
PEER = ("-c", "from celery import Celery")

COMMANDS = ("--version", "--help", "job --help", "status", "job list", "issue list", "template list", "cost")

#: What is imported by the processes of a fleet.
PROCESSES = {"beat": "import tasks.celery", "a worker": "import tasks.celery as c; c._import_parts()"}


def rows(*, quick: bool) -> list[Row]:
    """Each command on a fleet with one template, then the processes of a fleet."""
    runs = 3 if quick else 15
    with measured_fleet() as site:
        environment = environment_of(site)
        peer = _least(PEER, environment, runs)
        found = [
            row(
                f"starts: coalmine {line}",
                _least(("-m", "coalmine", *line.split()), environment, runs),
                unit="s of CPU",
                target=MOST_SECONDS,
                baseline=peer,
            )
            for line in COMMANDS
        ]
        for name, program in PROCESSES.items():
            found.append(
                row(
                    f"starts: imports of {name}",
                    _least(("-c", program), environment, runs),
                    unit="s of CPU",
                    baseline=peer,
                )
            )
    return found


def environment_of(site: MeasuredFleet) -> Mapping[str, str]:
    """Nothing of the machine's settings, and this fleet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COALMINE_")}
    return kept | {"COALMINE_REDIS_URL": site.url}


def _least(arguments: Sequence[str], environment: Mapping[str, str], runs: int) -> float:
    """The least CPU of some runs of Python with these arguments, in seconds."""
    return min(cpu_of(arguments, environment) for _ in range(runs))


def cpu_of(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds of processor of one run of Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
