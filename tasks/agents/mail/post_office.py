"""The post office: takes mail, keeps it, and hands it to the turns of agents.

All mail goes through here: agents send through `mail_socket`, people through the command line, Coalmine
itself as FLEET. Every call is one step of the store. A turn's calls come in the order `terminal_sequence`,
`claim`, `renew` again and again, `terminal_since`, then `ack` or `put_back`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from routing.errors import CoalmineError
from routing.store.mail.mail_store import Dispatch, Envelope, MailAnswer, MailStore, SettleAnswer
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry
from tasks.agents.mail.address import (
    COALMINE,
    FLEET,
    OPERATOR,
    PARENT,
    Author,
    checked_agent_name,
    is_group,
    members,
)
from tasks.agents.mail.letter import Letter
from tasks.agents.mail.mail import MOST_SUBJECT, Mail, MailClaim, MailType, checked_mail_id, new_mail_id
from tasks.agents.mail.payloads import Payload, checked_deadline, checked_payload, needs_payload
from tasks.agents.mail.receipt import (
    NobodyReadsError,
    Receipt,
    ReservedTypeError,
    UnknownMailError,
    receipts,
    refusal,
)
from tasks.agents.mail.role import ENDING_TYPES, Role

_log = structlog.get_logger(__name__)

#: Turns that may claim a mail before it is given up.
MOST_ATTEMPTS = 5

#: Mails that may wait for one agent: they all go into one message. Coalmine's own may be twice as many.
MOST_WAITING = 200


class PostOffice:
    """Sends, keeps and hands out mail. It runs no agent: `arrived` is called to wake the recipient's job.

    Who calls what:

    - Agents, by way of their turn's socket, and people: `send`, `reply`, `find`, `newest`; people also
      `seen`, `dead`.
    - A turn: the calls that the module lists, in that order, with `ack` or `put_back` once at the end.
    - The sweep: `agents_with_mail`. Workers and the watchdog: `send` as FLEET.

    `send` is one atomic step for all recipients. It wakes them after that: if waking fails, the sweep does
    it. With a dedupe key a letter may be repeated after an UnavailableError, and the receipt says `created`
    False; without one it is sent twice. `reply` of a person is two steps, the answer first: the mail may stay
    unread.

    Mail is delivered at least once. A turn that dies neither acks nor puts back: its mail is free when its
    lease has run out, and dead after MOST_ATTEMPTS. `renew` and `ack` return False when the claim was lost:
    another turn has the mail, or will have it.

    Errors of sending are in `receipt`; nothing was sent then. UnknownMailError is also the answer about mail
    of others. Keeps nothing in memory; shared by all threads of a process.
    """

    def __init__(
        self, store: MailStore, agents: AgentRegistry, *, new_id: Callable[[], str] = new_mail_id,
        arrived: Callable[[Sequence[str]], object] = lambda _names: None,
    ) -> None:  # fmt: skip
        self._store = store
        self._agents = agents
        self._new_id = new_id
        self._arrived = arrived  # called with the agents that mail was sent to, in the sender's thread

    def send(
        self, author: Author, letter: Letter, *, replied: Mail | None = None, if_undecided: bool = False
    ) -> list[Receipt]:
        """Send a letter: one mail, or one for each member of a group, all in one step. Errors: see `receipt`.

        `replied`: the mail that this answers, whose thread it joins. `if_undecided`: only to an agent that
        still waits at the gate that is `replied` to, else DecidedError.
        """
        if letter.type is MailType.WORKER_DIED and author != FLEET:
            message = f"only Coalmine itself sends {letter.type} mail; nothing was sent: use another type"
            raise ReservedTypeError(message)
        payload = checked_payload(letter.type, letter.payload)
        deadline = checked_deadline(payload, self._store.now)
        sender = self._agents.find(author.address) if author.is_agent else None
        recipients = self._recipients(author, _parent(sender) if letter.to == PARENT else letter.to)
        task = (sender.task or author.task) if sender is not None else ""
        terminal = sender is not None and is_terminal(sender.role, task, letter.type, payload)
        ends = task if terminal else ""
        envelopes = [
            Envelope(
                id=self._new_id(),
                recipient=to,
                is_person=to == OPERATOR,
                once=_once(author, to, letter, ends=ends),
            )
            for to in recipients
        ]
        thread = replied.thread if replied else envelopes[0].id
        dispatch = Dispatch(
            envelopes=envelopes,
            sender=author.address,
            thread=thread,
            fields=_fields(author, letter, payload)
            | {"thread": thread, "task": task}
            | {"reply_to": replied.id if replied else ""}
            | ({} if deadline is None else {"deadline": f"{deadline:.6f}"}),
            most_waiting=2 * MOST_WAITING if author == FLEET else MOST_WAITING,
            reply_to=replied.id if replied else "",
            by_agent=author.is_agent,
            terminal=terminal,
            keyed=bool(letter.dedupe_key),
            gate=letter.type is MailType.DECISION_GATE,
            undecided=if_undecided,
        )
        answers = self._store.send(dispatch)
        made = receipts(answers, letter.type, sender=author.address, recipients=recipients, terminal=terminal)
        self._tell([receipt.recipient for receipt in made if receipt.created])
        return made

    def _tell(self, names: Sequence[str]) -> None:
        """Report arrivals. The mail is sent in any case; if this fails, the sweep does it later."""
        try:
            self._arrived([name for name in names if name != OPERATOR])
        except CoalmineError as error:
            _log.warning("mail.nobody_woken", agents=names, reason=str(error))

    def reply(
        self, author: Author, mail: str, *, body: str, type_: str = "", subject: str = "",
        payload: Mapping[str, Any] | None = None, priority: str = "", dedupe_key: str = "",
    ) -> list[Receipt]:  # fmt: skip
        """Answer the other side of a mail, in its thread.

        Without a type the answer has the first mail's, unless that one ends a task or lacks its payload.
        """
        first = self.find(mail, reader=author.address)
        letter = Letter.checked(
            to=first.recipient if first.sender == author.address else first.sender,
            type_=type_ or _type_of_reply(first, payload),
            subject=subject or _subject_of_reply(first),
            body=body,
            payload=payload,
            priority=priority or first.priority,
            dedupe_key=dedupe_key,
        )
        made = self.send(author, letter, replied=first)
        if author.address == OPERATOR:
            self.seen(first, by=author.person)
        return made

    def find(self, mail: str, *, reader: str = "") -> Mail:
        """A mail; for a reader, only one that the reader sent or was sent."""
        fields = self._store.read(checked_mail_id(mail))
        if not fields or (reader and reader not in {fields.get("sender"), fields.get("recipient")}):
            message = f"no mail {mail} was sent to, or by, {reader or 'anybody'}; see `mail list`"
            raise UnknownMailError(message)
        return Mail.parse(fields)

    def seen(self, mail: Mail, *, by: str) -> bool:
        """Note that a person read a mail to people; False for other mail, and when one had read it before."""
        return mail.recipient == OPERATOR and self._store.seen(mail.id, by)

    def newest(self, most: int, *, recipient: str = "", thread: str = "") -> list[Mail]:
        """Mails of the fleet, of one recipient or of one thread, the newest first."""
        to = recipient if recipient in {"", OPERATOR} else checked_agent_name(recipient)
        found = self._store.newest(most, recipient=to, thread=checked_mail_id(thread) if thread else "")
        return [Mail.parse(fields) for fields in found]

    def dead(self, most: int) -> list[Mail]:
        """Mails that will not be delivered, the latest first."""
        return [Mail.parse(fields) for fields in self._store.dead(most)]

    def agents_with_mail(self, most: int) -> list[str]:
        """Live agents with mail that no turn holds: new, given back, or of a claim that ran out.

        The longest waiting first.
        """
        return self._store.to_look_at(most)

    def claim(self, agent: str, *, lease_seconds: float, call_id: str = "") -> MailClaim:
        """Take all mail that waits for an agent, for one turn of it; with a `call_id` it may be repeated."""
        claimed = self._store.claim(
            agent, lease_seconds=lease_seconds, most_attempts=MOST_ATTEMPTS, call_id=call_id
        )
        if isinstance(claimed, MailAnswer):
            raise refusal(claimed, agent)
        mails = sorted(map(Mail.parse, claimed.records), key=lambda mail: mail.place)
        return MailClaim(agent=agent, fence=claimed.fence, mails=mails)

    def renew(self, claim: MailClaim, *, lease_seconds: float) -> bool:
        """Extend a claim, from now; False if the claim on any of its mail was lost."""
        held = self._store.renew(claim.agent, claim.ids, fence=claim.fence, extend_seconds=lease_seconds)
        return held == len(claim.mails)

    def ack(self, claim: MailClaim) -> bool:
        """The turn was clean: its mail is delivered. False if its claim on any of it was lost."""
        answers = self._store.settle(
            claim.agent, claim.ids, fence=claim.fence, outcome="acked", most_attempts=MOST_ATTEMPTS
        )
        return SettleAnswer.STALE not in answers

    def put_back(self, claim: MailClaim, *, reason: str, counts: bool = True) -> list[str]:
        """The turn was unclean: its mail waits for the next; returns the mails that are dead now.

        `counts`: whether it was an attempt at delivering it, of which there are only so many.
        """
        answers = self._store.settle(
            claim.agent,
            claim.ids,
            fence=claim.fence,
            outcome="queued" if counts else "unread",
            most_attempts=MOST_ATTEMPTS,
            reason=reason,
        )
        settled = zip(claim.ids, answers, strict=True)
        return [mail for mail, answer in settled if answer is SettleAnswer.DEAD]

    def terminal_sequence(self, agent: str) -> int:
        """The sequence of an agent's newest terminal mail, or of its last repetition; 0 for none.

        Noted when a turn begins, so that an older mail is not taken for this turn's.
        """
        return self._agents.find(agent).terminal

    def terminal_since(self, agent: str, sequence: int) -> Mail | None:
        """The agent's newest terminal mail, if it was sent or repeated after that sequence."""
        record = self._agents.find(agent)
        return self.find(record.terminal_mail) if record.terminal > sequence else None

    def _recipients(self, author: Author, to: str) -> Sequence[str]:
        if is_group(to):
            return members(to, self._agents.live(), sender=author.address)
        if to == author.address:
            message = f"{to} would send mail to itself, so nothing was sent; name somebody else"
            raise NobodyReadsError(message)
        if to == COALMINE:
            message = (
                f"nobody reads mail to {COALMINE}, so nothing was sent; people read mail to {OPERATOR}, and "
                f"{MailType.DISPATCH} mail of an agent gets it a child"
            )
            raise NobodyReadsError(message)
        return [to if to == OPERATOR else checked_agent_name(to)]


def _parent(sender: AgentRecord | None) -> str:
    """Whom `parent` means; people have none."""
    if sender is None:
        raise NobodyReadsError("only an agent has a parent, so nothing was sent; name an agent")
    return sender.parent or OPERATOR


def is_terminal(role: Role, task: str, type_: MailType, payload: Payload) -> bool:
    """Whether a mail ends its sender's task: its type does, for this role, and it is about this task."""
    return type_ in role.terminal_types and getattr(payload, "task_id", task) == task


def _type_of_reply(first: Mail, payload: Mapping[str, Any] | None) -> MailType:
    if first.type in ENDING_TYPES or (needs_payload(first.type) and payload is None):
        return MailType.STATUS
    return first.type


def _subject_of_reply(first: Mail) -> str:
    return first.subject if first.subject.startswith("Re: ") else f"Re: {first.subject}"[:MOST_SUBJECT]


def _fields(author: Author, letter: Letter, payload: Payload) -> dict[str, str]:
    return {
        "v": "1",
        "type": letter.type.value,
        "sender": author.address,
        "author": author.person,
        "group": letter.to if is_group(letter.to) else "",
        "subject": letter.subject,
        "body": letter.body,
        "payload": payload.model_dump_json(),
        "priority": letter.priority.value,
    }


def _once(author: Author, to: str, letter: Letter, *, ends: str) -> str:
    """One sender's key for one recipient, of its own for mail that `ends` a task; "" without a key."""
    if not letter.dedupe_key:
        return ""
    parts = f"{author.address}\0{to}\0{letter.dedupe_key}" + (f"\0{ends}" if ends else "")
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()
