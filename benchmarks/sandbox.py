"""What a sandbox costs at the start of a turn: the same turn with and without, in pairs."""

import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Row, row
from routing.process.table import ProcessTable
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
from routing.sandbox.resource_watch import usual_limits
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.sandbox.turn_folders import remove_turn_folders
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, SandboxTurn
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.stop_signal import StopSignal

NAME = "sandbox"

#: Turns of each kind, alternating.
TURNS = 60

#: What is measured beside no sandbox, by its network.
NETWORKS = (NetworkMode.NONE, NetworkMode.ALLOW_LIST)

_JOB = "0" * 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a turn took, in milliseconds."""

    wall: float
    processor: float


def rows(*, quick: bool) -> list[Row]:
    """Milliseconds that a turn of `true` takes longer, from the making of its folders to its end.

    Turns of all kinds are run in rounds, one after the other, and compared within a round. Of the quietest
    quarter of the rounds the median counts, as other work of the machine only adds. Processor time, with
    that of the programs, is what the same costs on a machine that is busy.
    """
    if not (here := find_bubblewrap()).works:
        raise SystemExit(f"bubblewrap does not work here: {here.why_not}; {here.remedy}")
    sandboxes = AgentSandboxes(limits=usual_limits())
    kinds = [RuntimeSpec(command="true")] + [
        RuntimeSpec(
            command="true", sandbox=SandboxKind.BUBBLEWRAP, profile=SandboxProfile(network=network)
        )
        for network in NETWORKS
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        for spec in kinds:  # what is looked up once a process
            _turn(sandboxes, spec, place)
        count = TURNS // 3 if quick else TURNS
        rounds = [[_turn(sandboxes, spec, place) for spec in kinds] for _ in range(count)]
    quiet = sorted(rounds, key=lambda one: sum(taken.wall for taken in one))[: count // 4]
    without = statistics.median(one[0].wall for one in quiet)
    made = [row("a turn of `true`, without a sandbox", without, unit="ms")]
    for number, (network, target) in enumerate(zip(NETWORKS, (15.0, 15.0), strict=True), 1):
        more = statistics.median(one[number].wall - one[0].wall for one in quiet)
        worked = statistics.median(one[number].processor - one[0].processor for one in quiet)
        name = f"the same in bubblewrap, network {network}"
        made += [
            row(f"{name}: more", more, unit="ms", target=target),
            row(f"{name}: more processor time", worked, unit="ms"),
            row(name, without + more, unit="ms", baseline=without),
        ]
    return made


def _turn(sandboxes: AgentSandboxes, spec: RuntimeSpec, folder: Path) -> Taken:
    """From the making of a turn's folders to the end of its process."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    prompt_file = folder / "work" / "prompt.md"
    begun, worked = time.perf_counter(), _processor()
    sandbox = sandboxes.sandbox(
        SandboxTurn(
            work_dir=folder / "work", job_id=_JOB, fence=1, agent="", spec=spec, prompt_file=prompt_file,
            tree=tree, borrowed=(), environment=environment, worker={},
        )
    )  # fmt: skip
    turn = TurnInput(
        prompt="x", worktree=tree, environment=environment, prompt_file=prompt_file,
        log_file=folder / "work" / "log", sandbox=sandbox,
    )  # fmt: skip
    run_turn(runtime_for(spec), turn, stop=StopSignal(), table=ProcessTable())
    taken = Taken(wall=(time.perf_counter() - begun) * 1000, processor=(_processor() - worked) * 1000)
    remove_turn_folders(folder / "work", _JOB, 1)
    return taken


def _processor() -> float:
    """Seconds of processor time of this process and of all that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
