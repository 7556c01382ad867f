"""Agents in real sandboxes: a shell line is the agent, in a work tree of a real repository or in a folder."""

import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tests.programs.container_engine
from routing.process.table import ProcessTable
from routing.sandbox.profile import SandboxKind, SandboxProfile
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, SandboxTurn
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopSignal
from tests.programs.container_engine import IMAGE

JOB = "0123456789abcdef"


def stand_in_engine(folder: Path) -> str:
    """The program of an engine that runs its containers by bubblewrap; see there."""
    program = folder / "engine"
    script = shlex.join([sys.executable, str(tests.programs.container_engine.__file__)])
    program.write_text(f'#!/bin/sh\nexec {script} "$@"\n')
    program.chmod(0o700)
    return str(program)


@dataclass(kw_only=True)
class SandboxBench:
    """Runs agents in sandboxes, below one folder of the host."""

    folder: Path
    kind: SandboxKind = SandboxKind.BUBBLEWRAP  # what confines, unless a run says otherwise
    sandboxes: AgentSandboxes = field(default_factory=AgentSandboxes)
    environment: Mapping[str, str] = field(default_factory=dict)
    job: str = JOB  # whose agents these are

    @property
    def work_dir(self) -> Path:
        """Where the worker keeps its files."""
        return self.folder / "work"

    @property
    def home(self) -> Path:
        """The worker's home."""
        made = self.folder / "home"
        made.mkdir(exist_ok=True)
        return made

    def run(
        self, line: str, *, tree: Path | None = None, borrowed: tuple[Path, ...] = (),
        stop: StopSignal | None = None, sandbox: SandboxKind | None = None,
        limits: TurnLimits | None = None, shown: Sequence[Path] = (), sockets: Sequence[Path] = (),
        **profile: object,
    ) -> TurnResult:  # fmt: skip
        """Run shell lines as an agent, to its end; from a file, as what a command names is shown to it."""
        tree = tree or self.folder / "tree"
        tree.mkdir(exist_ok=True)
        (tree / "agent.sh").write_text(line)
        kind = sandbox or self.kind
        if kind is SandboxKind.CONTAINER:
            profile = {"image": IMAGE, **profile}
        spec = RuntimeSpec(
            command="sh ./agent.sh", sandbox=kind, profile=SandboxProfile.model_validate(profile)
        )
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment}
        files = self.work_dir / ".coalmine" / "turns" / self.job / "1"
        turn = TurnInput(
            prompt="Do it.",
            worktree=tree.resolve(),
            environment=environment,
            prompt_file=files.resolve() / "prompt.md",
            log_file=files / "turn.log",
        )
        made = self.sandboxes.sandbox(
            SandboxTurn(
                work_dir=self.work_dir, job_id=self.job, fence=1, agent="", spec=spec,
                prompt_file=turn.prompt_file, tree=turn.worktree, borrowed=borrowed, environment=environment,
                worker=os.environ,
            )
        )  # fmt: skip
        if made is not None:
            made = made.showing(shown, sockets=sockets)
        confined = TurnInput(
            **{name: getattr(turn, name) for name in TurnInput.__slots__} | {"sandbox": made}
        )
        return run_turn(
            runtime_for(spec), confined, stop=stop or StopSignal(), table=ProcessTable(),
            limits=limits or TurnLimits(time_limit_seconds=60, stall_seconds=60),
        )  # fmt: skip


def long_sleep() -> str:
    """Seconds of a sleep that no other test sleeps: others run beside, and do so too."""
    return f"300.{secrets.randbelow(10**9):09}"


def sleepers(seconds: str) -> list[int]:
    """The processes that sleep for so long."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", seconds.encode()]:
            found.append(int(process.name))
    return found
