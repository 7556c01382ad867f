"""A session as stored: an agent's conversation across turns, and the turn that is being run.

Its key is the agent's name, so an agent has one session, however many jobs it works on. A session has several
lives when its job is retried: its counters begin anew, its conversation may be resumed. Written by the Lua
scripts in `routing/store/sessions` alone.
"""

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from routing.errors import CorruptRecordError
from tasks.agents.mail.role import Role
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.state import SessionState


class SessionRecord(BaseModel):
    """One session. Later versions may add fields; those are passed over."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    v: Literal["1"] = "1"
    name: str  # the agent's
    state: SessionState
    role: Role = Role.BUILDER
    parent: str = ""  # name of the agent that asked for this one, "" for none
    job: str = ""  # id of the job that its last turn was for, "" for none
    life: int = 1  # how often it was brought to life
    created_at: float  # seconds since the epoch, the server's, like all times here
    finished_at: float | None = None
    last_activity: float  # of its last event; accurate to two seconds
    reason: str = ""  # why it is in its state, in words
    runtime: str = ""  # name of the runtime that the conversation is with
    runtime_session: str = ""  # the conversation's id as the runtime said it, "" when there is none
    session_host: str = ""  # that the conversation is kept on
    gave_up: str = ""  # the state that its earlier life ended in, until a turn of the new one runs
    billed: Usage = Usage()  # what the conversation has consumed so far
    turns: int = 0  # that were run
    cost_usd: float = 0.0  # of all turns
    retries: int = 0  # unclean turns of this life
    awaiting: bool = False  # the agent waits for others that it has sent out
    fence: int = 0  # of the newest turn
    lease_until: float | None = None  # end of the turn's lease, None between turns
    holder: str = ""  # worker that runs the turn
    host: str = ""  # the machine of the turn's process, "" between turns
    boot_id: str = ""
    pid: int | None = None
    start_ticks: int | None = None  # clock ticks from the boot to the process's start
    marker: str = ""  # in the environment of all that the turn started
    left: str = ""  # marker of an earlier turn that nobody ended, until the next process is registered
    stop: str = ""  # KIND:REASON for which the turn is to end, "" for none
    stage: int = 0  # of the escalation of a silence

    @model_validator(mode="before")
    @classmethod
    def _billed(cls, value: dict[str, object]) -> dict[str, object]:
        parts = [value[name] for name in ("billed", "billed_cache") if isinstance(value.get(name), str)]
        if not parts:
            return value
        return value | {
            "billed": Usage(**{name: n for part in parts for name, n in json.loads(str(part)).items()})
        }

    @field_validator("pid", "start_ticks", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return None if value == "" else value

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "SessionRecord":
        """A stored session, or CorruptRecordError."""
        try:
            return cls.model_validate(fields)
        except (ValidationError, TypeError, ValueError) as error:
            name = fields.get("name", "")[:64]
            wrong = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            message = f"session {name!r} cannot be read: {wrong}; was it written by a newer Coalmine?"
            raise CorruptRecordError(message) from error


#: Of what was billed, the part that earlier releases do not know. They refuse more, so it has its own field.
_CACHE = ("cache_read_tokens", "cache_write_tokens")


def billed_fields(usage: Usage) -> dict[str, str]:
    """What a conversation has consumed, as fields of the stored session."""
    billed = {
        "cost_usd": usage.cost_usd or 0.0,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    cache = {name: getattr(usage, name) for name in _CACHE}
    return {"billed": json.dumps(billed), "billed_cache": json.dumps(cache)}
