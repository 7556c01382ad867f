"""What a turn of a session is asked to do, and the lease under which it does that."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from routing.jobs.retry import Attempts
from tasks.agents.agent_record import AgentRecord
from tasks.agents.runtimes.agent_event import AgentEvent
from tasks.agents.runtimes.runtime import Runtime, TurnInput
from tasks.agents.turn.limits import TurnLimits


class HeldTurn(NamedTuple):
    """A turn whose lease was won."""

    name: str  # of the session
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnStart:
    """What is known when a turn's lease has been won; its input is made of it."""

    session_id: str | None  # conversation to resume, None to begin one
    earlier: bool  # whether earlier turns were run
    mail: str  # all mail that waited, as one message; "" for none
    lost: bool = False  # an earlier conversation cannot be resumed


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnOrder:
    """A turn that is to be run."""

    agent: AgentRecord
    worker: str  # name of the worker that runs it
    job: str  # id of the job that it counts for, "" for none
    runtime: Runtime
    begins: bool  # whether there is more to say than mail: then a session begins if there is none
    compose: Callable[[TurnStart], TurnInput | None]  # under the lease, again without a lost conversation
    limits: TurnLimits
    attempts: Attempts  # of the job, this one among them
    on_event: Callable[[AgentEvent], None]
