"""A post office for tests, with a clock that they move and agents that they bring to life."""

from typing import Any

import redis

from routing.events import Event
from routing.store.events.event_store import EventStore
from routing.store.mail.agent_store import AgentStore
from routing.store.mail.mail_store import MailStore
from routing.store.redis.keys import Keys
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.address import Author
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import Mail, MailClaim
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail.receipt import Receipt
from tasks.agents.mail.role import Role
from tests.fleets.stepped_fleet import SteppedClock, contents
from tests.leaks import leaks

#: Seconds for which the tests' store keeps what is over.
RETENTION = 1000

ADA = Author.of_person("ada")

DONE = {"task_id": "0123456789abcdef", "branch": "coalmine/1", "exit_code": 0, "files_modified": ["a.py"]}


class PostFleet:
    """What a test does with mail, in few words."""

    def __init__(self, client: redis.Redis, *, server_time: bool = False) -> None:
        self.redis: Any = client
        self.clock = SteppedClock()
        self.keys = Keys("test")
        clock = None if server_time else self.clock
        self.store = MailStore(client, self.keys, clock, retention_seconds=RETENTION)
        self.agents = AgentRegistry(AgentStore(client, self.keys, clock, retention_seconds=RETENTION))
        self.office = PostOffice(self.store, self.agents)

    def agent(self, role: Role = Role.BUILDER, job: str = "0123456789abcdef", **more: str) -> AgentRecord:
        """Bring an agent to life."""
        return self.agents.register(role=role, job=job, **more)

    def pair(self) -> tuple[str, str]:
        """A lead and its builder."""
        lead = self.agent(Role.LEAD, "1" * 16)
        return lead.name, self.agent(parent=lead.name).name

    def send(self, sender: str | Author, to: str, **letter: Any) -> Receipt:
        """Send a mail to one recipient."""
        (receipt,) = self.send_all(sender, to, **letter)
        return receipt

    def send_all(self, sender: str | Author, to: str, **letter: Any) -> list[Receipt]:
        """Send a letter, to a group too."""
        return self.office.send(_author(sender), Letter.checked(to=to, **({"subject": "hello"} | letter)))

    def reply(self, sender: str | Author, receipt: Receipt, **letter: Any) -> Mail:
        """Answer a mail; returns the answer."""
        (made,) = self.office.reply(_author(sender), receipt.id, **({"body": "yes"} | letter))
        return self.find(made)

    def claim(self, agent: str, *, lease_seconds: float = 30.0) -> MailClaim:
        """Take what waits."""
        return self.office.claim(agent, lease_seconds=lease_seconds)

    def find(self, receipt: Receipt) -> Mail:
        """The mail as it is now."""
        return self.office.find(receipt.id)

    def events(self, kind: str) -> list[Event]:
        """Events of a kind, oldest first."""
        return [event for event in EventStore(self.redis, self.keys).all() if event.kind == kind]

    def everything(self) -> dict[str, Any]:
        """All that the server holds."""
        return contents(self.redis)

    def leaks(self) -> list[str]:
        """Keys that live for ever and must not."""
        return leaks(self.redis, self.keys)


def _author(sender: str | Author) -> Author:
    return sender if isinstance(sender, Author) else Author(address=sender)
