"""Which agents there are. An agent is registered before its first turn, and finished when its job has ended.

Its name is its address and the key of its session. A name is free again when the record of its last agent
has expired. The answers of the store become records or errors here; every error says what to
do.
"""

from collections.abc import Mapping

import structlog

from routing.errors import ConflictError, CorruptRecordError, NotFoundError
from routing.store.mail.agent_store import AgentStore, FinishAnswer, RegisterAnswer, Registration
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.address import agent_name, checked_agent_name
from tasks.agents.mail.role import Role

_log = structlog.get_logger(__name__)


class UnknownAgentError(NotFoundError):
    """No agent has that name, or its record has expired."""


class FinishedAgentError(ConflictError):
    """The agent has ended: it can no longer send or receive mail."""


class NameTakenError(ConflictError):
    """Another agent has, or had a while ago, that name."""


class AgentRegistry:
    """Who is there: registers agents, finds them, and notes their end. It starts and stops no process.

    An agent is live from `register` to `finish`. The same role, job and parent may be registered any number
    of times: a live agent stays as it is, one that has finished begins another life. `finish` may be repeated
    too; it makes the agent's waiting mail dead in the same step. With a `job` it does nothing while that goes
    on, so the worker that reported the job and the watchdog may both call it.

    Workers register an agent before its turn, and a child when its parent asks for one. People and the mail
    commands read. `waits_for_person` is for supervision: an agent that waits for a decision is not silent.

    What a call changes, it changes in one step. Keeps nothing in memory; shared by all threads of a process.
    """

    def __init__(self, store: AgentStore) -> None:
        self._store = store

    def register(
        self, *, role: Role, job: str = "", task: str = "", parent: str = "", name: str = ""
    ) -> AgentRecord:
        """Let an agent live. If it lives, nothing changes; if it has finished, it begins another life.

        Its task is its job unless another is named. Without a name it gets `agent_name`, or a longer one if
        that is taken. Errors: NameTakenError; UnknownAgentError or FinishedAgentError for the parent.
        """
        chosen = checked_agent_name(name or agent_name(role, job))
        wanted = Registration(name=chosen, role=role, job=job, task=task or job, parent=parent)
        answer = self._store.register(wanted)
        if answer is RegisterAnswer.TAKEN and not name and len(f"{role}-{job}") > len(chosen):
            return self.register(role=role, job=job, task=task, parent=parent, name=f"{role}-{job}")
        match answer:
            case RegisterAnswer.TAKEN:
                message = f"another agent is called {chosen}; give this one a name of its own"
                raise NameTakenError(message)
            case RegisterAnswer.NO_PARENT:
                message = (
                    f"no agent is called {parent}, so it cannot be the parent of {chosen}; register it first"
                )
                raise UnknownAgentError(message)
            case RegisterAnswer.PARENT_FINISHED:
                message = f"agent {parent} has finished and cannot be the parent of {chosen}"
                raise FinishedAgentError(message)
            case _:
                return self.find(chosen)

    def finish(self, name: str, *, reason: str, job: str = "") -> bool:
        """End an agent; False when it had ended before. Mail that waits for it becomes dead.

        With a `job`, only if that is over: a person may have retried it meanwhile. False if it is not.
        """
        answer = self._store.finish(name, reason, job=job)
        if answer is FinishAnswer.UNKNOWN:
            raise _unknown(name)
        return answer is FinishAnswer.OK

    def find(self, name: str) -> AgentRecord:
        """The agent of that name, live or finished."""
        fields = self._store.read(name)
        if not fields:
            raise _unknown(name)
        return AgentRecord.parse(fields)

    def waits_for_person(self, name: str) -> bool:
        """Whether an agent waits for a person's decision; False for an unknown agent."""
        fields = self._store.read(name)
        return bool(fields.get("gate")) and AgentRecord.parse(fields).waits_for_person(self._store.now())

    def live(self) -> list[AgentRecord]:
        """All live agents, by name; one whose record cannot be read is logged, and hides no other."""
        return [agent for fields in self._store.live() if (agent := _read(fields)) is not None]


def _read(fields: Mapping[str, str]) -> AgentRecord | None:
    try:
        return AgentRecord.parse(fields)
    except CorruptRecordError as error:
        _log.error("agent.unreadable", agent=fields.get("name", ""), reason=str(error))
        return None


def _unknown(name: str) -> UnknownAgentError:
    return UnknownAgentError(
        f"no agent is called {name[:64]!r}; `coalmine mail agents` lists those that live"
    )
