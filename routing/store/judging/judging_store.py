"""Judging of pairs: handing work over, the lease of the one who judges, and what is written at its end."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis

from routing.errors import CorruptRecordError
from routing.jobs.job import Job
from routing.jobs.signal import Signal
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.lease import LeaseStatus, lease_statuses
from routing.store.redis.scripts import Script, record_or
from routing.store.redis.store import Store
from routing.templates.trial import Arm

#: What is judged in place of an arm's work, to see whether its judge can be run at all.
BASE = "base"

#: Seconds after which a pair that nobody has begun to judge is offered again: its message may be lost.
OFFER_SECONDS = 60.0


class HandedWork(BaseModel):
    """The work of one half, fit to be judged on any host: one commit of nobody's on the pair's base."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    v: int = 1  # form of this record
    commit: str  # as the agent made it, for people
    neutral: str  # the commit that is judged: the same files, and nothing that tells whose they are
    base_branch: str  # that both versions began from, like the next
    base_commit: str
    object_format: str = "sha1"
    bundle: str  # of the neutral commit without its base, as git makes it, in base64


class HandAnswer(StrEnum):
    """What became of work that was handed over. All but OK wrote nothing."""

    OK = "ok"
    KNOWN = "known"  # the job handed work over before, and that counts
    STALE = "stale"  # another worker has the job
    CANCELLED = "cancelled"  # people asked to end the job before
    OVER = "over"  # its trial, or its backtest, has ended


class BeginAnswer(StrEnum):
    """What became of the wish to have a pair judged."""

    OK = "ok"
    STALE = "stale"  # newer signals came: it is decided again
    ALREADY = "already"


class JudgingRefusal(StrEnum):
    """Why a pair is not to be judged by the one who asked."""

    MISSING = "missing"
    TAKEN = "taken"  # another worker judges it
    OVER = "over"  # nobody needs it any more


class AtAnswer(StrEnum):
    """What became of the note of what is judged."""

    OK = "ok"
    STALE = "stale"  # another worker has the pair; nothing was written


class EndAnswer(StrEnum):
    """What became of the end of a judging."""

    OK = "ok"
    STALE = "stale"  # another worker has the pair, or it is done; nothing was written


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgingClaim:
    """The right to judge a pair for a time, and what is to be judged."""

    pair: str  # its id, see `Job.pair_id`
    champion: str  # id of its job, "" where a kept result stands for it
    canary: str
    fence: int
    attempts: int  # this one too; of workers that were lost before, and of this one
    first: Arm  # whose work is judged first
    works: Mapping[Arm, HandedWork]  # of the halves that handed work over
    lost: Mapping[str, int] = field(default_factory=dict)  # workers, by what they judged: an arm, BASE or ''

    @property
    def order(self) -> tuple[Arm, ...]:
        """The halves in the order in which they are judged."""
        return tuple(sorted(self.works, key=lambda arm: arm is not self.first))


_HAND_OVER = Script(
    "work_hand_over", HandAnswer, keys="job signals pair", indexes="trials:open backtests:open due",
    args="id fence arm work signal fact retention_seconds",
)  # fmt: skip
_BEGIN = Script(
    "judging_begin", BeginAnswer, keys="pair champion canary champion_signals canary_signals",
    indexes="judging",
    args="id champion_id canary_id first champion_seen canary_seen retention_seconds",
)  # fmt: skip
_TAKE = Script("judging_take", list[str], indexes="judging", args="most again_seconds")
_CLAIM = Script(
    "judging_claim", record_or(JudgingRefusal), keys="pair owner",
    indexes="judging trials:open backtests:open pulse",
    args="id lease_seconds worker call_id",
)  # fmt: skip
_AT = Script("judging_at", AtAnswer, keys="pair", args="fence at")
_RENEW = Script(
    "judging_renew", lease_statuses, indexes="judging trials:open backtests:open",
    args="extend_seconds", each_keys="pair owner", each_args="id fence",
)  # fmt: skip
_END = Script(
    "judging_end", EndAnswer, keys="pair champion canary champion_signals canary_signals",
    indexes="judging due events", flags="again",
    args="id champion_id canary_id fence champion_fact canary_fact signal wait_seconds data",
)  # fmt: skip


class JudgingStore(Store):
    """The way of a pair to its judge.

    `hand_over` is each job's worker's, under the job's fence; `begin` the harvest's, when both halves have
    said what they have to say; `take` names the pairs whose message is to be sent. A worker goes `claim`,
    `renew`, `end` or `give_back`. A pair whose lease ran out is named again. What the judge says is written
    once, under the fence of its claim, for both halves in one step. `drop` is for pairs that nobody needs.
    All of it may be repeated.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self._retention_seconds = retention_seconds  # for which handed work waits at the most

    def hand_over(self, job: Job, fact: Signal, work: HandedWork | None) -> HandAnswer:
        """Hand a job's first work to the judge of its pair, with what is known of its costs so far.

        `fact` says so, or is the judge's word already where `work` is None.
        """
        keys = self.keys
        arm = job.pair_arm or (Arm.CANARY if job.shadow else Arm.CHAMPION)
        return self.call(
            _HAND_OVER, job=keys.job(job.id), signals=keys.signals(job.id), pair=keys.pair(job.pair_id),
            id=job.id, fence=job.fence, arm=arm,
            work="" if work is None else work.model_dump_json(), signal=fact.id,
            fact=fact.model_dump_json(exclude={"spent"})[:-1], retention_seconds=self._retention_seconds,
            doing=f"handing over the work of job {job.id}",
        )  # fmt: skip

    def begin(
        self, pair: str, *, champion: str, canary: str, first: Arm, seen: tuple[int, int]
    ) -> BeginAnswer:
        """Have a pair judged; `seen`: signals of champion and canary that this was decided from.

        `champion` is "" where a kept result stands for its job: then the canary's signals are seen twice.
        """
        return self.call(
            _BEGIN, **self._of(pair, champion, canary), id=pair, champion_id=champion, canary_id=canary,
            first=first, champion_seen=seen[0], canary_seen=seen[1],
            retention_seconds=self._retention_seconds, doing=f"having pair {pair} judged",
        )  # fmt: skip

    def drop(self, pairs: Sequence[str]) -> None:
        """Forget what pairs handed over, as nobody needs it: who judges one of them finds its lease lost."""
        if pairs:
            with redis_errors("dropping work that nobody judges"):
                self.redis.delete(*map(self.keys.pair, pairs))
                self.redis.zrem(self.keys("judging"), *pairs)

    def take(self, most: int = 100) -> list[str]:
        """The ids of pairs for which a message is to be sent now."""
        return self.call(
            _TAKE, most=most, again_seconds=OFFER_SECONDS, doing="looking for pairs to be judged"
        )

    def claim(
        self, pair: str, *, lease_seconds: float, worker: str, call_id: str = ""
    ) -> JudgingClaim | JudgingRefusal:
        """Win the lease of a pair; CorruptRecordError for work that cannot be read."""
        keys = self.keys
        found = self.call(
            _CLAIM, pair=keys.pair(pair), owner=keys.job(pair), id=pair, lease_seconds=lease_seconds,
            worker=worker, call_id=call_id, doing=f"claiming the judging of pair {pair}",
        )  # fmt: skip
        return found if isinstance(found, JudgingRefusal) else _claimed(pair, found)

    def at(self, claim: JudgingClaim, at: str) -> AtAnswer:
        """Note what is judged now, an arm's work or the BASE: so it is known if its worker is lost."""
        return self.call(
            _AT, pair=self.keys.pair(claim.pair), fence=claim.fence, at=at,
            doing=f"noting what is judged of pair {claim.pair}",
        )  # fmt: skip

    def renew(
        self, held: Sequence[JudgingClaim], /, *, extend_seconds: float, active: bool = False
    ) -> list[LeaseStatus]:
        """Look at leases, or extend them; 'stop' when the trial, the backtest or the pair has ended."""
        del active
        keys, asked = self.keys, list[dict[str, str | int]]()
        for one in held:
            asked.append({"pair": keys.pair(one.pair), "owner": keys.job(one.pair)})
            asked[-1] |= {"id": one.pair, "fence": one.fence}
        return self.call(_RENEW, extend_seconds=extend_seconds, each=asked, doing="renewing leases of judges")

    def end(self, claim: JudgingClaim, said: Mapping[Arm, Signal]) -> EndAnswer:
        """Write what the judge says, of both halves at once."""
        data: dict[str, object] = {"first": claim.first}
        data |= {arm.value: {"value": fact.value, "note": fact.note} for arm, fact in said.items()}
        return self._end(claim, said, wait_seconds=0.0, data=data)

    def give_back(self, claim: JudgingClaim, *, wait_seconds: float = 0.0) -> EndAnswer:
        """Have the pair judged by another worker, as if this one had not begun."""
        return self._end(claim, {}, wait_seconds=wait_seconds, data={}, again=True)

    def _end(
        self, claim: JudgingClaim, said: Mapping[Arm, Signal], *, wait_seconds: float,
        data: Mapping[str, object], again: bool = False,
    ) -> EndAnswer:  # fmt: skip
        facts = {arm: said[arm].model_dump_json() if arm in said else "" for arm in Arm}
        return self.call(
            _END, **self._of(claim.pair, claim.champion, claim.canary), id=claim.pair,
            champion_id=claim.champion, canary_id=claim.canary, fence=claim.fence,
            champion_fact=facts[Arm.CHAMPION], canary_fact=facts[Arm.CANARY], signal="judgement",
            wait_seconds=wait_seconds, data=json.dumps(data), again=again,
            doing=f"ending the judging of pair {claim.pair}",
        )  # fmt: skip

    def _of(self, pair: str, champion: str, canary: str) -> dict[str, Any]:
        keys, champion = self.keys, champion or canary
        return {
            "pair": keys.pair(pair),
            "champion": keys.job(champion),
            "canary": keys.job(canary),
            "champion_signals": keys.signals(champion),
            "canary_signals": keys.signals(canary),
        }


def _claimed(pair: str, fields: Mapping[str, str]) -> JudgingClaim:
    try:
        return JudgingClaim(
            pair=pair,
            champion=fields.get("champion", pair),  # earlier releases wrote neither
            canary=fields.get("canary", ""),
            fence=int(fields["fence"]),
            attempts=int(fields["attempts"]),
            first=Arm(fields["first"]),
            works={
                arm: HandedWork.model_validate_json(fields[f"work:{arm}"])
                for arm in Arm
                if f"work:{arm}" in fields
            },
            lost={at: int(fields.get(f"lost:{at}", 0)) for at in (*Arm, BASE, "")},
        )
    except (KeyError, ValueError, ValidationError) as error:
        message = f"what is to be judged of pair {pair} cannot be read: {error!r:.200}"
        raise CorruptRecordError(message) from error
