"""The mail of one turn: what it was given, and the command with which its agent sends more.

Order of calls: `claimed` around the turn; `command` when the process is started; `close` when the agent may
send no more; `settle` once. Called by the turn's thread alone.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from routing.sandbox.sandbox import Sandbox
from routing.store.redis.lease import LeaseStatus
from tasks.agents.mail.delivery import message
from tasks.agents.mail.mail import MailClaim
from tasks.agents.mail.post_office import PostOffice
from tasks.agents.mail_socket.server import MailServer, MailTurn
from tasks.agents.runtimes.runtime import TurnInput
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind


class TurnMail:
    """Holds all mail that waited when the turn began, until it is settled."""

    def __init__(
        self, office: PostOffice, mail_server: MailServer, *, agent: str, keeper: LeaseKeeper,
        kind: LeaseKind[MailClaim],
    ) -> None:  # fmt: skip
        self._office = office
        self._server = mail_server
        self._agent = agent
        self._keeper = keeper
        self._kind = kind
        self._call_id = secrets.token_hex(8)  # of the claim, which is repeated when its answer was lost
        self._claim: MailClaim | None = None
        self._verdict: tuple[bool, str, bool] | None = None  # of the first call of `settle`
        self._open_turn: MailTurn | None = None
        self._command = ""
        self.message = ""  # all of it as one message, "" for none

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Take what waits, and keep it for the time of the block."""
        claim = self._claim = self._office.claim(
            self._agent, lease_seconds=self._kind.lease_seconds, call_id=self._call_id
        )
        self.message = message(claim.mails)
        if not claim.mails:
            yield
            return
        with self._keeper.holding(self._kind, claim):
            yield

    def command(self, given: TurnInput, *, job: str, await_mail: Callable[[], None]) -> str:
        """The path of the command with which the agent sends mail; one for all processes of the turn."""
        if self._open_turn is None:
            self._open_turn = MailTurn(
                agent=self._agent,
                folder=given.prompt_file.parent,
                secrets=given.secrets,
                job=job,
                await_mail=await_mail,
                sends=given.sends_mail,
            )
            self._command = str(self._server.open(self._open_turn))
        return self._command

    def shown_in(self, sandbox: Sandbox | None) -> Sandbox | None:
        """The sandbox with what the command needs; the command is open."""
        if sandbox is None or self._open_turn is None:
            return sandbox
        files, sockets = self._server.shown(self._open_turn)
        return sandbox.showing(files, sockets=sockets)

    def close(self) -> None:
        """Take the command away."""
        if self._open_turn is not None:
            self._server.close(self._open_turn)

    def settle(self, *, clean: bool, reason: str, counts: bool) -> None:
        """Acknowledge the mail after a clean turn, else have it wait again.

        `counts`: whether the turn was one of the few attempts at delivering it. May be repeated after a
        StoreAwayError; what the first call said counts, and when that was done, later calls change nothing.
        """
        self._verdict = self._verdict or (clean, reason, counts)
        clean, reason, counts = self._verdict
        claim = self._claim
        if claim is None or not claim.mails:
            return
        if clean:
            self._office.ack(claim)
        else:
            self._office.put_back(claim, reason=reason, counts=counts)
        self._claim = None


def mail_leases(office: PostOffice, lease_seconds: float) -> LeaseKind[MailClaim]:
    """The leases of claimed mail. One that is lost ends no turn: its mail is delivered once more."""

    def renew(claims: Sequence[MailClaim], *, extend_seconds: float, **_: bool) -> list[LeaseStatus]:
        held = [office.renew(claim, lease_seconds=extend_seconds) for claim in claims]
        return [LeaseStatus(held=kept) for kept in held]

    return LeaseKind(name="mail", lease_seconds=lease_seconds, renew=renew)
