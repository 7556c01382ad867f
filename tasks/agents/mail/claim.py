"""The mail that one turn of an agent has in hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.agents.mail.mail import Mail


@dataclass(frozen=True, kw_only=True, slots=True)
class MailClaim:
    """All mail that waited when the turn began, in the order of delivery."""

    agent: str
    fence: int  # grows with each claim and each mail; 0 when nothing waited
    mails: Sequence[Mail]

    @property
    def ids(self) -> list[str]:
        """The ids of the mails."""
        return [mail.id for mail in self.mails]
