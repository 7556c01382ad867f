"""Agents in Redis: who lives under which name.

A name belongs to one agent of one job for as long as its record is kept, so that mail reaches who it was
meant for.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from redis import Redis

from routing.jobs.job import JobState
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """An agent that is to live under a name. Role, job and parent distinguish it from others."""

    name: str
    role: str
    job: str = ""  # id, "" for an agent of no job
    task: str = ""  # what its terminal mail must be about
    parent: str = ""  # name of a live agent, "" for none


class RegisterAnswer(StrEnum):
    """What became of a registration."""

    OK = "ok"
    SAME = "same"  # the same agent of the same job lives already
    TAKEN = "taken"  # another agent has, or had, the name
    NO_PARENT = "no parent"
    PARENT_FINISHED = "parent finished"


class FinishAnswer(StrEnum):
    """What became of the end of an agent."""

    OK = "ok"
    UNCHANGED = "unchanged"  # it had ended before
    UNKNOWN = "unknown"
    AGAIN = "again"  # mail came between reading and ending; the store repeats the step
    NEEDED = "needed"  # its job goes on


_REGISTER = Script(
    "agent_register",
    RegisterAnswer,
    keys="agent parent_agent",
    indexes="agents events",
    args="name role job task parent data",
)
_FINISH = Script(
    "agent_finish",
    FinishAnswer,
    keys="agent waiting claimed job",
    indexes="agents events mail_waiting mail_dead",
    args="name reason retention_seconds data final_states count",
    each_keys="mail",
    each_args="id",
)
_FINAL_STATES = ",".join(state for state in JobState if state.is_final)


class AgentStore(Store):
    """The records of agents, as plain fields: who lives, whose child it is, and the gate at which it waits.

    An agent is registered, lives, and is finished; its record is kept for a while after that. A record that
    has expired frees its name. `AgentRegistry` makes errors of the answers; `MailStore.send` writes the gate
    and the terminal mail of a sender.

    `register` is one step, and answers the same however often the same agent is registered. `finish` reads
    the agent's mail and then ends agent and mail in one step; if mail came in between, it reads again, so
    AGAIN never comes out. NEEDED changed nothing: the agent's job goes on.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which finished agents are remembered

    def register(self, agent: Registration) -> RegisterAnswer:
        """Let an agent live."""
        record = self.keys.agent(agent.name)
        return self.call(
            _REGISTER, agent=record, parent_agent=self.keys.agent(agent.parent) if agent.parent else record,
            **asdict(agent),
            data=json.dumps({"role": agent.role, "job": agent.job, "parent": agent.parent}),
            doing=f"registering agent {agent.name}",
        )  # fmt: skip

    def finish(self, name: str, reason: str, *, job: str = "") -> FinishAnswer:
        """End an agent and give up the mail that waits for it; with a `job`, only if that is over or gone."""
        keys = self.keys
        waiting, claimed = keys.waiting_mail(name), keys.claimed_mail(name)
        answer = FinishAnswer.AGAIN
        while answer is FinishAnswer.AGAIN:
            with redis_errors(f"reading the mail of agent {name}"):
                mails = [*self.redis.zrange(waiting, 0, -1), *self.redis.zrange(claimed, 0, -1)]
            answer = self.call(
                _FINISH, agent=keys.agent(name), waiting=waiting, claimed=claimed,
                job=keys.job(job) if job else keys.agent(name), name=name, reason=reason,
                retention_seconds=self.retention_seconds, data=json.dumps({"reason": reason}),
                final_states=_FINAL_STATES if job else "", count=len(mails),
                each=[{"mail": keys.mail(mail), "id": mail} for mail in mails],
                doing=f"ending agent {name}",
            )  # fmt: skip
        return answer

    def read(self, name: str) -> dict[str, str]:
        """The fields of an agent's record; empty for an unknown name."""
        with redis_errors(f"reading agent {name}"):
            return dict(self.redis.hgetall(self.keys.agent(name)))

    def live(self) -> list[dict[str, str]]:
        """The records of all live agents, sorted by name."""
        with redis_errors("reading the agents"):
            names = sorted(self.redis.smembers(self.keys("agents")))
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(self.keys.agent(name))
            return [fields for fields in pipeline.execute() if fields]
