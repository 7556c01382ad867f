"""Addresses: an agent's own name, or the one under which people read mail."""

import re

from routing.errors import InvalidInputError
from tasks.agents.mail.role import Role

#: Where people read mail, and what they send it as.
OPERATOR = "operator"

#: The sender of what Coalmine itself has to say; nobody reads mail there.
COALMINE = "coalmine"

#: What an agent calls the agent that asked for it; people, where nobody else did.
PARENT = "parent"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def agent_name(role: Role, job: str) -> str:
    """The name that an agent has unless it is given another: `builder-4f1d0c2a`; without a job its role."""
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
