"""Addresses: agents, people, groups of agents; and who a sender is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from routing.errors import InvalidInputError, NotFoundError
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.role import Role

#: Where people read mail, and what they send it as.
OPERATOR = "operator"

#: The sender of what Coalmine itself has to say; nobody reads mail there.
COALMINE = "coalmine"

#: What an agent calls the agent that asked for it; it means people if no agent did.
PARENT = "parent"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def agent_name(role: Role, job: str) -> str:
    """The name of an agent that is not given one: `builder-4f1d0c2a`, or its role alone without a job."""
    return f"{role}-{job[:8]}" if job else role.value


def checked_agent_name(name: str) -> str:
    """Return the name, or say what an agent may be called."""
    if not _NAME.fullmatch(name) or name in {OPERATOR, COALMINE, PARENT}:
        message = (
            f"{name[:64]!r} cannot be the name of an agent: a name has up to 63 small letters, digits and "
            f"dashes, begins with a letter, and is none of {OPERATOR}, {COALMINE} and {PARENT}"
        )
        raise InvalidInputError(message)
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who sends.

    Made by the worker for an agent, by the command line for a person, and never from a letter.
    """

    address: str
    person: str = ""  # a person's own name, "" for all others
    task: str = ""  # the job of an agent's turn: the task of an agent that several jobs share

    @classmethod
    def of_person(cls, name: str) -> Self:
        """A person; all people write from one address."""
        return cls(address=OPERATOR, person=name)

    @property
    def is_agent(self) -> bool:
        """Whether the sender is an agent of the fleet."""
        return self.address not in {OPERATOR, COALMINE}


#: Coalmine itself.
FLEET = Author(address=COALMINE)

#: The group of all live agents.
EVERYBODY = "@all"

#: The address of each group and the roles in it.
GROUPS: dict[str, frozenset[Role]] = {EVERYBODY: frozenset(Role)} | {
    f"@{role}s": frozenset({role}) for role in Role
}


class UnknownGroupError(InvalidInputError):
    """No group has that name; nothing was sent."""


class EmptyGroupError(NotFoundError):
    """Nobody but the sender is in the group; nothing was sent."""


def is_group(address: str) -> bool:
    """Whether an address is that of a group."""
    return address.startswith("@")


def members(group: str, live: Iterable[AgentRecord], *, sender: str) -> list[str]:
    """The names of a group's live agents, without the sender; an unknown or empty group is an error."""
    roles = GROUPS.get(group)
    if roles is None:
        message = f"{group[:40]!r} is not a group, so nothing was sent; use one of: {', '.join(GROUPS)}"
        raise UnknownGroupError(message)
    found = sorted(agent.name for agent in live if agent.role in roles and agent.name != sender)
    if not found:
        message = f"no live agent but the sender is in {group}, so nothing was sent; name an agent instead"
        raise EmptyGroupError(message)
    return found
