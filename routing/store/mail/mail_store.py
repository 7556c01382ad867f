"""Mail in Redis: sending, claiming for a turn, settling, and the lists that it is found by."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store

#: Entries kept of each list of mails; the mails themselves expire.
KEPT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One recipient's copy of a mail."""

    id: str  # of the mail
    recipient: str
    is_person: bool = False  # nobody claims it: a person reads it
    once: str = ""  # digest of the dedupe key, "" for none


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """A mail on its way to one or more recipients."""

    envelopes: Sequence[Envelope]
    sender: str
    thread: str
    fields: Mapping[str, str]  # that all copies have
    most_waiting: int  # in the mailbox of an agent; a full one refuses
    reply_to: str = ""  # mail id
    flags: Iterable[str] = ()  # agent, terminal, once, gate, undecided: see mail_send.lua


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMail:
    """What became of one envelope."""

    word: str  # sent, same, unknown, finished, full, decided or 'sender finished'
    id: str  # of the mail, which an earlier send may have made; "" when it was refused
    sequence: int


class MailStore(Store):
    """One call a step; the answers are the scripts' own words, the records plain fields."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which mail is kept, delivered or not

    def send(self, dispatch: Dispatch) -> list[SentMail]:
        """Send to all recipients in one step."""
        keys, flags = self.keys, set(dispatch.flags)
        names = [
            keys("mail_sequence"), keys("mails"), keys("events"), keys("mail_waiting"),
            keys.thread(dispatch.thread),
            keys.agent(dispatch.sender) if "agent" in flags else keys("mail_sequence"),
        ]  # fmt: skip
        recipients: list[str] = []
        for envelope in dispatch.envelopes:
            mail, to = keys.mail(envelope.id), envelope.recipient
            once = keys.mail_once(envelope.once) if envelope.once else mail
            names += [mail, keys.agent(to), keys.waiting_mail(to), keys.received_mail(to), once]
            recipients += [envelope.id, to, "person" if envelope.is_person else ""]
        shared = json.dumps([part for pair in dispatch.fields.items() for part in pair])
        answers = self.run(
            "mail_send", names,
            self.retention_seconds, shared, dispatch.most_waiting, ",".join(sorted(flags)),
            dispatch.reply_to, KEPT, *recipients,
            doing=f"sending mail of {dispatch.sender}",
        )  # fmt: skip
        return [SentMail(word=word, id=mail, sequence=int(number)) for word, mail, number in answers]

    def claim(
        self, agent: str, *, lease_seconds: float, most_attempts: int
    ) -> tuple[str, int, list[dict[str, str]]]:
        """Claim what waits for a turn: ('ok', fence, records in no order) or (why not, 0, [])."""
        keys = self.keys
        waiting, claimed = keys.waiting_mail(agent), keys.claimed_mail(agent)
        now = self.now()
        with redis_errors(f"reading the mail of {agent}"):
            mails = [*self.redis.zrange(waiting, 0, -1), *self.redis.zrangebyscore(claimed, "-inf", now)]
        word, *rest = self.run(
            "mail_claim",
            [keys.agent(agent), waiting, claimed, keys("mail_waiting"), keys("mail_sequence"), keys("events"),
             keys("mail_dead"), *map(keys.mail, mails)],
            agent, lease_seconds, most_attempts, self.retention_seconds, *mails,
            doing=f"claiming the mail of {agent}",
        )  # fmt: skip
        if word != "ok":
            return str(word), 0, []
        fence, *records = rest
        return "ok", int(fence), [_record(fields) for fields in records]

    def settle(
        self, agent: str, mails: Sequence[str], *, fence: int,
        outcome: Literal["acked", "queued", "unread"], most_attempts: int, reason: str = "",
    ) -> list[str]:  # fmt: skip
        """Settle claimed mails: 'acked', 'queued', 'dead' or 'stale' each. 'unread': it was no attempt."""
        if not mails:
            return []
        keys = self.keys
        return list(self.run(
            "mail_settle",
            [keys.agent(agent), keys.waiting_mail(agent), keys.claimed_mail(agent), keys("mail_waiting"),
             keys("events"), keys("mail_dead"), *map(keys.mail, mails)],
            agent, fence, outcome, most_attempts, self.retention_seconds, reason, *mails,
            doing=f"settling the mail of {agent}",
        ))  # fmt: skip

    def renew(self, agent: str, mails: Sequence[str], *, fence: int, extend_seconds: float) -> int:
        """Extend the leases of claimed mails; returns how many are still held."""
        if not mails:
            return 0
        keys = self.keys
        return int(self.run(
            "mail_renew", [keys.claimed_mail(agent), keys("mail_waiting"), *map(keys.mail, mails)],
            agent, fence, extend_seconds, *mails,
            doing=f"keeping the mail of {agent}",
        ))  # fmt: skip

    def seen(self, mail: str, reader: str) -> bool:
        """Note that a person read a mail to people; False when one had before."""
        return bool(self.run(
            "mail_seen", [self.keys.mail(mail), self.keys("events")],
            mail, json.dumps({"mails": 1, "by": reader}),
            doing=f"noting that mail {mail} was read",
        ))  # fmt: skip

    def read(self, mail: str) -> dict[str, str]:
        """The fields of a mail, none for an unknown one."""
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
        """Mails that will not be delivered any more, the last to die first."""
        return self._listed(self.keys("mail_dead"), most)

    def to_look_at(self, most: int) -> list[str]:
        """Live agents with mail that no turn has in hand, the longest waiting first."""
        with redis_errors("reading who has mail"):
            index = self.keys("mail_waiting")
            return list(self.redis.zrangebyscore(index, "-inf", self.now(), start=0, num=most))

    def _listed(self, index: str, most: int) -> list[dict[str, str]]:
        with redis_errors("listing mail"):
            pipeline = self.redis.pipeline(transaction=False)
            for mail in self.redis.zrevrange(index, 0, most - 1):
                pipeline.hgetall(self.keys.mail(mail))
            return [fields for fields in pipeline.execute() if fields]


def _record(fields: Sequence[Any]) -> dict[str, str]:
    return dict(zip(fields[::2], fields[1::2], strict=True))
