"""Mail in Redis: sending, claiming for a turn, settling, and the lists that it is found by.

A mail is delivered at least once: a turn claims all that waits, and acknowledges it when it ended cleanly. A
claim has a lease and a fence, so that two turns never both settle a mail.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Done, Script, flat_json
from routing.store.redis.store import Store

#: Entries kept of each list of mails; the mails themselves expire.
KEPT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One recipient's copy of a mail."""

    id: str  # of the mail
    recipient: str
    is_person: bool = False  # nobody claims it: a person reads it
    once: str = ""  # digest of the dedupe key; "" for none


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """A mail on its way to one or more recipients."""

    envelopes: Sequence[Envelope]
    sender: str
    thread: str
    fields: Mapping[str, str]  # that all copies have
    most_waiting: int  # in the mailbox of an agent; a full one refuses
    reply_to: str = ""  # mail id
    by_agent: bool = False  # the sender is an agent, and must live
    terminal: bool = False  # it ends the sender's task
    keyed: bool = False  # there is a dedupe key
    gate: bool = False  # the sender waits for a person
    undecided: bool = False  # only to an agent that still waits at the gate that this answers


class MailAnswer(StrEnum):
    """What became of mail for a recipient. With all but SENT and SAME nothing was sent."""

    SENT = "sent"
    SAME = "same"  # an earlier mail has its dedupe key
    UNKNOWN = "unknown"  # no such recipient
    FINISHED = "finished"
    FULL = "full"  # too much mail waits for the recipient
    DECIDED = "decided"  # the recipient no longer waits at the gate
    SENDER_FINISHED = "sender finished"  # the one answer for all envelopes


@dataclass(frozen=True, slots=True)
class SentMail:
    """What became of one envelope, with its mail."""

    answer: MailAnswer
    id: str  # of the mail, which an earlier send may have made; "" when it was refused
    sequence: int


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """Mail that a turn has claimed."""

    fence: int  # of the claim, which renewing and settling must name; 0 when no mail waited
    records: list[dict[str, str]]  # in no order


class SettleAnswer(StrEnum):
    """What became of one claimed mail."""

    ACKED = "acked"
    QUEUED = "queued"
    DEAD = "dead"  # that was its last attempt
    STALE = "stale"  # it is not claimed with that fence, or no longer


def _claimed(words: Sequence[Any]) -> ClaimedMail | MailAnswer:
    """The fence and the mails after `ok`, else the reason."""
    if words[0] != Done.OK:
        return MailAnswer(words[0])
    records = [dict(zip(fields[::2], fields[1::2], strict=True)) for fields in words[2:]]
    return ClaimedMail(int(words[1]), records)


_SEND = Script(
    "mail_send",
    lambda answers: [SentMail(MailAnswer(word), mail, int(number)) for word, mail, number in answers],
    keys="thread sender",
    indexes="mail_sequence mails events mail_waiting",
    args="retention_seconds fields most_waiting reply_to most_listed",
    flags="by_agent terminal keyed gate undecided",
    each_keys="mail agent waiting received once",
    each_args="id name person",
)
_CLAIM = Script(
    "mail_claim",
    _claimed,
    keys="agent waiting claimed",
    indexes="mail_waiting mail_sequence events mail_dead",
    args="name lease_seconds most_attempts retention_seconds call_id",
    each_keys="mail",
    each_args="id",
)
_SETTLE = Script(
    "mail_settle",
    lambda words: list(map(SettleAnswer, words)),
    keys="agent waiting claimed",
    indexes="mail_waiting events mail_dead",
    args="name fence outcome most_attempts retention_seconds reason",
    each_keys="mail",
    each_args="id",
)
_RENEW = Script(
    "mail_renew",
    int,
    keys="claimed",
    indexes="mail_waiting",
    args="name fence extend_seconds",
    each_keys="mail",
    each_args="id",
)
_SEEN = Script("mail_seen", bool, keys="mail", indexes="events", args="id data")


class MailStore(Store):
    """Mail, as plain fields; what a letter may say is checked in `tasks.agents.mail`.

    A mail to an agent is `queued`, `claimed` by a turn under a lease, and `acked`, or `queued` again; it is
    `dead` after its last attempt, or when its agent ends. One to a person is `queued` until a person read it,
    which makes it `acked`.

    `send` puts all envelopes of a letter into one atomic step, and answers for each. An envelope with a
    dedupe key is sent once: repeated, it answers SAME with the first mail. Without a key a repeated send is a
    second mail.

    `claim` reads the lists and then claims in one step, so mail that comes between the two waits for the next
    turn. It gives a fence, which `renew` and `settle` must name. A claim whose lease ran out can still be
    settled, until another turn has claimed the mail: then its answer is STALE. A mail is delivered at least
    once: a turn may have read what it could not settle.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which mail is kept, delivered or not

    def send(self, dispatch: Dispatch) -> list[SentMail]:
        """Send to all recipients in one step; an answer for each, or the one SENDER_FINISHED."""
        thread = self.keys.thread(dispatch.thread)
        return self.call(
            _SEND, thread=thread, sender=self.keys.agent(dispatch.sender) if dispatch.by_agent else thread,
            retention_seconds=self.retention_seconds, fields=flat_json(dispatch.fields),
            most_waiting=dispatch.most_waiting, reply_to=dispatch.reply_to, most_listed=KEPT,
            by_agent=dispatch.by_agent, terminal=dispatch.terminal, keyed=dispatch.keyed,
            gate=dispatch.gate, undecided=dispatch.undecided, each=map(self._row, dispatch.envelopes),
            doing=f"sending mail of {dispatch.sender}",
        )  # fmt: skip

    def _row(self, envelope: Envelope) -> dict[str, str]:
        """What `mail_send` is given for one recipient."""
        keys, mail, to = self.keys, self.keys.mail(envelope.id), envelope.recipient
        return {
            "mail": mail,
            "agent": keys.agent(to),
            "waiting": keys.waiting_mail(to),
            "received": keys.received_mail(to),
            "once": keys.mail_once(envelope.once) if envelope.once else mail,
            "id": envelope.id,
            "name": to,
            "person": "1" if envelope.is_person else "",
        }

    def claim(
        self, agent: str, *, lease_seconds: float, most_attempts: int, call_id: str = ""
    ) -> ClaimedMail | MailAnswer:
        """Claim all mail that waits for an agent, for one turn; UNKNOWN or FINISHED if it takes none.

        Mail that an earlier turn claimed and did not settle in time is claimed again, up to `most_attempts`.
        With a `call_id` of its own the call may be made again, and has what it claimed.
        """
        waiting, claimed = self.keys.waiting_mail(agent), self.keys.claimed_mail(agent)
        with redis_errors(f"reading the mail of {agent}"):
            mails = [*self.redis.zrange(waiting, 0, -1), *self.redis.zrange(claimed, 0, -1)]
        return self.call(
            _CLAIM, agent=self.keys.agent(agent), waiting=waiting, claimed=claimed, name=agent,
            lease_seconds=lease_seconds, most_attempts=most_attempts,
            retention_seconds=self.retention_seconds, call_id=call_id, each=self._rows(mails),
            doing=f"claiming the mail of {agent}",
        )  # fmt: skip

    def settle(
        self, agent: str, mails: Sequence[str], *, fence: int,
        outcome: Literal["acked", "queued", "unread"], most_attempts: int, reason: str = "",
    ) -> list[SettleAnswer]:  # fmt: skip
        """Settle claimed mails; an answer for each. `unread`: they wait again, and that is not an attempt."""
        if not mails:
            return []
        keys = self.keys
        return self.call(
            _SETTLE, agent=keys.agent(agent), waiting=keys.waiting_mail(agent),
            claimed=keys.claimed_mail(agent), name=agent, fence=fence, outcome=outcome,
            most_attempts=most_attempts, retention_seconds=self.retention_seconds, reason=reason,
            each=self._rows(mails), doing=f"settling the mail of {agent}",
        )  # fmt: skip

    def renew(self, agent: str, mails: Sequence[str], *, fence: int, extend_seconds: float) -> int:
        """Extend the leases of claimed mails; returns how many are still held."""
        if not mails:
            return 0
        return self.call(
            _RENEW, claimed=self.keys.claimed_mail(agent), name=agent, fence=fence,
            extend_seconds=extend_seconds, each=self._rows(mails), doing=f"keeping the mail of {agent}",
        )  # fmt: skip

    def _rows(self, mails: Iterable[str]) -> list[dict[str, str]]:
        return [{"mail": self.keys.mail(mail), "id": mail} for mail in mails]

    def seen(self, mail: str, reader: str) -> bool:
        """Note that a person read a mail to people; False when one had before."""
        return self.call(
            _SEEN, mail=self.keys.mail(mail), id=mail, data=json.dumps({"mails": 1, "by": reader}),
            doing=f"noting that mail {mail} was read",
        )  # fmt: skip

    def read(self, mail: str) -> dict[str, str]:
        """The fields of a mail; empty for an unknown one."""
        with redis_errors(f"reading mail {mail}"):
            return dict(self.redis.hgetall(self.keys.mail(mail)))

    def newest(self, most: int, *, recipient: str = "", thread: str = "") -> list[dict[str, str]]:
        """Mails of the fleet, of one recipient or of one thread, the newest first."""
        index = self.keys("mails")
        if recipient:
            index = self.keys.received_mail(recipient)
        if thread:
            index = self.keys.thread(thread)
        return self._listed(index, most)

    def dead(self, most: int) -> list[dict[str, str]]:
        """Mails that will not be delivered, the last to be given up first."""
        return self._listed(self.keys("mail_dead"), most)

    def to_look_at(self, most: int) -> list[str]:
        """Live agents with mail that no turn holds: new, given back, or of a claim that ran out.

        The longest waiting first.
        """
        with redis_errors("reading who has mail"):
            index = self.keys("mail_waiting")
            return list(self.redis.zrangebyscore(index, "-inf", self.now(), start=0, num=most))

    def _listed(self, index: str, most: int) -> list[dict[str, str]]:
        """The mails of a list, the newest first; those that have expired are left out."""
        with redis_errors("listing mail"):
            pipeline = self.redis.pipeline(transaction=False)
            for mail in self.redis.zrevrange(index, 0, most - 1):
                pipeline.hgetall(self.keys.mail(mail))
            return [fields for fields in pipeline.execute() if fields]
