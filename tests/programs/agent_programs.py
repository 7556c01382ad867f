"""Small agents for tests: Python programs that are run as an operator's shell line."""

import shlex
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from routing.process.cgroup import CgroupHome
from routing.process.table import ProcessTable
from tasks.agents.runtimes.agent_event import AgentEvent, TextEvent
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.process import run_turn
from tasks.agents.turn.result import TurnResult
from tasks.agents.turn.stop_signal import StopReason, StopSignal
from tests.waiting import wait_until

QUICK = TurnLimits(time_limit_seconds=30, stall_seconds=30, kill_grace_seconds=0.3)


@dataclass(kw_only=True)
class AgentBench:
    """Runs programs as agents in a folder of their own."""

    folder: Path
    limits: TurnLimits = QUICK
    prompt: str = "the prompt"
    session_id: str | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    stop_at: str = ""  # text at which the turn is cancelled
    stop: StopSignal = field(default_factory=StopSignal)
    home: CgroupHome | None = None  # of its cgroups, None for none
    events: list[AgentEvent] = field(default_factory=list)

    @property
    def log_file(self) -> Path:
        """Where the output is kept."""
        return self.folder / "turn" / "turn.log"

    def turn_input(self) -> TurnInput:
        """What a turn of this bench is given."""
        worktree = self.folder / "tree"
        worktree.mkdir(exist_ok=True)
        prompt_file = self.folder / "turn" / "prompt.md"
        return TurnInput(
            prompt=self.prompt,
            worktree=worktree,
            environment={"PATH": "/usr/bin:/bin", "COALMINE_PROMPT_FILE": str(prompt_file), **self.secrets},
            prompt_file=prompt_file,
            log_file=self.log_file,
            session_id=self.session_id,
            secrets=self.secrets,
        )

    def python(self, program: str) -> TurnResult:
        """Run a Python program as the agent."""
        return self.shell(f"exec {shlex.quote(sys.executable)} -c {shlex.quote(program)}")

    def shell(self, line: str) -> TurnResult:
        """Run a shell line as the agent."""
        return run_turn(
            runtime_for(RuntimeSpec(command=line)),
            self.turn_input(),
            stop=self.stop,
            table=ProcessTable(),
            home=self.home,
            limits=self.limits,
            on_event=self._heard,
        )

    def _heard(self, event: AgentEvent) -> None:
        self.events.append(event)
        if self.stop_at and event == TextEvent(text=self.stop_at):
            self.stop.set(StopReason.CANCEL)

    def in_background(self, program: str) -> "BackgroundTurn":
        """Run a Python program as the agent from a thread."""
        return BackgroundTurn(self, program)


class BackgroundTurn:
    """A turn in a thread; `result` waits for it."""

    def __init__(self, bench: AgentBench, program: str) -> None:
        self._results: list[TurnResult] = []
        self._thread = threading.Thread(target=lambda: self._results.append(bench.python(program)))
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the turn goes on."""
        return self._thread.is_alive()

    def result(self) -> TurnResult:
        """Wait for the end of the turn."""
        wait_until(lambda: not self.is_alive, description="the turn has ended", timeout=30)
        return self._results[0]
