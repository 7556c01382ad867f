"""Who sends a mail."""

from dataclasses import dataclass
from typing import Self

from tasks.agents.mail.address import COALMINE, OPERATOR


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """The sender. An agent's is made by its worker, a person's by the command line: never by a letter."""

    address: str
    person: str = ""  # a person's own name, "" for all others
    task: str = ""  # job of an agent's turn: what an agent of several jobs is at work on

    @classmethod
    def of_person(cls, name: str) -> Self:
        """A person: they all write from one address."""
        return cls(address=OPERATOR, person=name)

    @property
    def is_agent(self) -> bool:
        """Whether the sender is an agent of the fleet."""
        return self.address not in {OPERATOR, COALMINE}


#: Coalmine itself.
FLEET = Author(address=COALMINE)
