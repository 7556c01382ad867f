"""The mail of one turn: what it was given, and the mail server at which its agent hands in more."""

from collections.abc import Callable

from tasks.agents.mail.delivery import message
from tasks.agents.mail.mail import MailClaim
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail_socket.server import MailServer, MailTurn
from tasks.agents.runtimes.runtime import TurnInput


class TurnMail:
    """All mail that waited when the turn began is in its hands until it is settled."""

    def __init__(
        self, office: PostOffice, mail_server: MailServer, *, agent: str, lease_seconds: float
    ) -> None:
        self._office = office
        self._server = mail_server
        self._agent = agent
        self._lease_seconds = lease_seconds  # of the claim
        self._claim: MailClaim | None = None
        self._open_turn: MailTurn | None = None
        self._command = ""
        self.message = ""  # all of it as one message, "" for none

    def claim(self) -> None:
        """Take what waits."""
        self._claim = self._office.claim(self._agent, lease_seconds=self._lease_seconds)
        self.message = message(self._claim.mails)

    def keep(self) -> None:
        """Extend the claim, while the turn runs."""
        if self._claim is not None and self._claim.mails:
            self._office.renew(self._claim, lease_seconds=self._lease_seconds)

    def command(self, given: TurnInput, *, job: str, await_mail: Callable[[], None]) -> str:
        """The path of the command with which the agent sends mail; one for all processes of the turn."""
        if self._open_turn is None:
            self._open_turn = MailTurn(
                agent=self._agent,
                folder=given.prompt_file.parent,
                secrets=given.secrets,
                job=job,
                await_mail=await_mail,
            )
            self._command = str(self._server.open(self._open_turn))
        return self._command

    def close(self) -> None:
        """Take the command away."""
        if self._open_turn is not None:
            self._server.close(self._open_turn)

    def settle(self, *, clean: bool, reason: str, counts: bool) -> None:
        """Its mail was delivered, or waits again, behind an attempt that counts or not; done once."""
        claim, self._claim = self._claim, None
        if claim is None or not claim.mails:
            return
        if clean:
            self._office.ack(claim)
        else:
            self._office.put_back(claim, reason=reason, counts=counts)
