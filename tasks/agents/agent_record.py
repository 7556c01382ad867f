"""An agent as stored: its name, its role, whether it lives, and at which decision gate it waits.

Written by the Lua scripts in `routing/store/mail` alone. A job that is retried gives its agent another
*life*: the name stays, and what belongs to the earlier life (its end, its terminal mail) no longer counts.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.errors import CorruptRecordError
from tasks.agents.mail.role import Role


class AgentRecord(BaseModel):
    """An agent as stored. Later versions may add fields; those are passed over."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal["1"] = "1"
    name: str  # its address; no other agent has it
    role: Role
    job: str = ""  # id, "" for an agent of no job
    task: str = ""  # what its terminal mail must be about
    parent: str = ""  # name of the agent that asked for it, "" for none
    depth: int = 0  # 0 for an agent without a parent
    life: int = 1  # 1 for the first; a retry of its job begins the next
    state: Literal["live", "finished"]
    registered_at: float  # seconds since the epoch, the server's, like all times here
    finished_at: float | None = None
    reason: str = ""  # why it has finished, in words
    terminal: int = 0  # sequence of its newest terminal mail, or of its last repetition; 0 for none
    terminal_mail: str = ""  # id of that mail
    terminal_at: float | None = None  # when it was sent, or repeated; None for none, and in older records
    gate: str = ""  # id of the decision gate at which it waits for a person, "" for none
    gate_until: float | None = None  # the gate's deadline, None for none
    gate_closed_at: float | None = None  # when its last gate was answered, or given up at its deadline

    @property
    def is_live(self) -> bool:
        """Whether it can send and receive mail."""
        return self.state == "live"

    def waits_for_person(self, now: float) -> bool:
        """Whether it waits at a gate whose deadline has not passed; `now` by the server's clock."""
        return bool(self.gate) and not self.has_undecided_gate(now)

    def has_undecided_gate(self, now: float) -> bool:
        """Whether the deadline of its gate has passed without an answer."""
        return bool(self.gate) and self.gate_until is not None and now >= self.gate_until

    def waited_until(self, now: float) -> float | None:
        """When it last ceased to wait for a person, None for never, or while it waits."""
        return self.gate_until if self.has_undecided_gate(now) else self.gate_closed_at

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "AgentRecord":
        """A stored agent, or CorruptRecordError."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            name = fields.get("name", "")[:64]
            message = (
                f"the record of agent {name!r} cannot be read: {error.errors()[0]['msg']}; was it written "
                "by a newer Coalmine?"
            )
            raise CorruptRecordError(message) from error
