"""Groups: one address for all live agents, or for those of a role."""

from collections.abc import Iterable

from routing.errors import InvalidInputError, NotFoundError
from tasks.agents.agent_record import AgentRecord
from tasks.agents.mail.role import Role

EVERYBODY = "@all"

#: The address of each group and the roles in it.
GROUPS: dict[str, frozenset[Role]] = {EVERYBODY: frozenset(Role)} | {
    f"@{role}s": frozenset({role}) for role in Role
}


class UnknownGroupError(InvalidInputError):
    """There is no such group; nothing was sent."""


class EmptyGroupError(NotFoundError):
    """Nobody but the sender is in the group; nothing was sent."""


def is_group(address: str) -> bool:
    """Whether an address means a group."""
    return address.startswith("@")


def members(group: str, live: Iterable[AgentRecord], *, sender: str) -> list[str]:
    """The live agents of a group without the sender, by name."""
    roles = GROUPS.get(group)
    if roles is None:
        message = f"{group[:40]!r} is no group and nothing was sent; use one of: {', '.join(GROUPS)}"
        raise UnknownGroupError(message)
    found = sorted(agent.name for agent in live if agent.role in roles and agent.name != sender)
    if not found:
        message = f"no live agent but the sender is in {group}, so nothing was sent; name an agent instead"
        raise EmptyGroupError(message)
    return found
