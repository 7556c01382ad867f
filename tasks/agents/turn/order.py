"""What a turn is to do, and what is known when it begins.

The order is made before the lease is won, by a view that may be stale. So it holds no prompt: it holds the
function that composes one, which is called under the lease with a `TurnStart` that holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from routing.cost import Payer
from routing.jobs.retry import Attempts
from tasks.agents.agent_record import AgentRecord
from tasks.agents.runtimes.agent_event import AgentEvent, Usage
from tasks.agents.runtimes.runtime import Runtime, TurnInput
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.result import TurnResult


class HeldTurn(NamedTuple):
    """A turn whose lease was won."""

    name: str  # of the session
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnStart:
    """What is known of a session once its lease was won."""

    session_id: str | None  # conversation to resume, None to begin one
    earlier: bool  # whether earlier turns were run
    mail: str  # all mail that waited, as one message; "" for none
    lost: bool = False  # there is an earlier conversation, and it cannot be resumed


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnOrder:
    """A turn that is to be run; made by the runner of the job's attempt."""

    agent: AgentRecord
    worker: str  # name of the worker that runs it
    job: str  # id of the job that it counts for, "" for none
    job_fence: int = 0  # of that job's lease
    payer: Payer | None = None  # whose sums its cost is added to; None for nobody's
    work_dir: str = ""  # the folder of this host that the job's work is in
    runtime: Runtime
    begins: bool  # whether a session begins if the agent has none; False: only mail for one that lives
    compose: Callable[[TurnStart], TurnInput | None]  # in the turn's thread; called again after a fresh start
    limits: TurnLimits
    attempts: Attempts  # of the job, this one among them
    on_event: Callable[[AgentEvent], None]
    on_usage: Callable[[Usage], None] = lambda _: None  # what the turn has consumed so far; it may not raise
    judged: Callable[[TurnResult], TurnResult] = lambda result: result  # the last word on what ended it
