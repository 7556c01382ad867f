"""What a sandbox costs at the start of a turn: the same turn with and without, one after the other."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.results import Row, row
from routing.process.table import ProcessTable
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
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


def rows(*, quick: bool) -> list[Row]:
    """Milliseconds that a turn of `true` takes longer, from the making of its folders to their removal.

    By the fastest tenth, as other work of the machine only adds.
    """
    if not (here := find_bubblewrap()).works:
        raise SystemExit(f"bubblewrap does not work here: {here.why_not}; {here.remedy}")
    sandboxes = AgentSandboxes()
    kinds = [RuntimeSpec(command="true")] + [
        RuntimeSpec(
            command="true", sandbox=SandboxKind.BUBBLEWRAP, profile=SandboxProfile(network=network)
        )
        for network in NETWORKS
    ]  # fmt: skip
    taken: list[list[float]] = [[] for _ in kinds]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TURNS // 3 if quick else TURNS):
            for spec, times in zip(kinds, taken, strict=True):
                times.append(_turn(sandboxes, spec, Path(folder).resolve()))
    without, *confined = (statistics.quantiles(times, n=10)[0] * 1000 for times in taken)
    return [
        row("a turn of `true`, without a sandbox", without, unit="ms"),
        *(
            row(f"the same in bubblewrap, network {network}: more", each - without, unit="ms", target=target)
            for network, each, target in zip(NETWORKS, confined, (15.0, 40.0), strict=True)
        ),
    ]


def _turn(sandboxes: AgentSandboxes, spec: RuntimeSpec, folder: Path) -> float:
    """Seconds from the making of a turn's folders to the end of its process."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    prompt_file = folder / "work" / "prompt.md"
    begun = _now()
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
    remove_turn_folders(folder / "work", _JOB, 1)
    return _now() - begun


def _now() -> float:
    return time.perf_counter()
