"""Agents in Redis: who lives under which name."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from routing.jobs.job import JobState
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """An agent that is to live under a name."""

    name: str
    role: str
    job: str = ""  # id, "" for an agent of no job
    task: str = ""  # what its terminal mail must be about
    parent: str = ""  # name of a live agent, "" for none


class AgentStore(Store):
    """One call a step; the answers are the scripts' own words."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which finished agents are remembered

    def register(self, agent: Registration) -> str:
        """Let an agent live: 'ok', 'same', 'taken', 'no parent' or 'parent finished'."""
        keys = self.keys
        record = keys.agent(agent.name)
        data = json.dumps({"role": agent.role, "job": agent.job, "parent": agent.parent})
        word, _ = self.run(
            "agent_register",
            [record, keys("agents"), keys("events"), keys.agent(agent.parent) if agent.parent else record],
            agent.name, agent.role, agent.job, agent.task, agent.parent, data,
            doing=f"registering agent {agent.name}",
        )  # fmt: skip
        return str(word)

    def finish(self, name: str, reason: str, *, job: str = "") -> str:
        """End an agent and bury the mail that waits for it: 'ok', 'unchanged' or 'unknown'.

        With a `job` only if that is over, or forgotten; else 'needed'.
        """
        keys = self.keys
        over = ",".join(state.value for state in JobState if state.is_final) if job else ""
        waiting, claimed = keys.waiting_mail(name), keys.claimed_mail(name)
        answer = "again"
        while answer == "again":  # only while mail comes between the two steps
            with redis_errors(f"reading the mail of agent {name}"):
                mails = [*self.redis.zrange(waiting, 0, -1), *self.redis.zrange(claimed, 0, -1)]
            answer = str(self.run(
                "agent_finish",
                [keys.agent(name), keys("agents"), keys("events"), waiting, claimed, keys("mail_waiting"),
                 keys("mail_dead"), keys.job(job) if job else keys.agent(name), *map(keys.mail, mails)],
                name, reason, self.retention_seconds, json.dumps({"reason": reason}), over, *mails,
                doing=f"ending agent {name}",
            ))  # fmt: skip
        return answer

    def read(self, name: str) -> dict[str, str]:
        """The fields of an agent's record, none for an unknown name."""
        with redis_errors(f"reading agent {name}"):
            return dict(self.redis.hgetall(self.keys.agent(name)))

    def live(self) -> list[dict[str, str]]:
        """The records of all live agents, by name."""
        with redis_errors("reading the agents"):
            names = sorted(self.redis.smembers(self.keys("agents")))
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(self.keys.agent(name))
            return [fields for fields in pipeline.execute() if fields]
