"""Backtests in Redis: their state, their pairs, the cases that are worked on, and results that are kept.

A backtest is opened once, gets pairs one by one, and ends once. Lines of pairs and settlements are opaque
here: they are read by `harvest.backtests`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from routing.errors import CorruptRecordError
from routing.store.jobs.acceptance import PUBLISH_SECONDS, UNCLAIMED_SECONDS
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.scripts import Script, flat_json
from routing.store.redis.store import Store
from routing.templates.step import NO_WAY, StepPlace
from routing.templates.version import version_id
from routing.templates.way import WayMove, written

#: Seconds for which a case lives after it was last written.
KEPT_SECONDS = 180 * 86_400


class BacktestState(StrEnum):
    """`running`, then exactly one of the others, once. The values are stored."""

    RUNNING = "running"
    NOT_WORSE = "is not worse"
    WORSE = "is worse"
    UNDECIDED = "undecided"  # its cases, or its money, were used up
    STOPPED = "stopped"


class BacktestAnswer(StrEnum):
    """What became of a step of a backtest. All but OK changed nothing."""

    OK = "ok"
    STALE = "stale"  # another process was faster: read it again
    OVER = "over"  # it has ended
    COLLISION = "collision"  # the id of a new job is another job's
    QUIET = "quiet"  # no check of its health holds it
    UNKNOWN = "unknown"  # the template is not there
    TAKEN = "taken"  # of a step: its version, its way or a trial of the template does not allow it by now


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """The stored facts of a backtest."""

    id: str  # `implementer-b1`: template and running number
    template: str
    champion: int  # version number
    canary: int
    state: BacktestState
    policy: str  # JSON of the policy that decides it, opaque on this floor
    cases: tuple[str, ...]  # digests of its cases, in the order that was drawn
    budget_usd: float | None = None
    fresh: bool = False  # whether kept results of the champion are passed over
    refuse: bool = False  # whether a version that is worse is rejected
    place: StepPlace = NO_WAY  # which step of a way it is
    by: str = ""
    opened_at: float  # seconds since the epoch, the server's
    closed_at: float | None = None
    reason: str = ""  # why it ended, in words
    evidence: str = ""  # JSON state of the test, opaque on this floor
    alarms: tuple[str, ...] = ()  # checks of its health that have fired, and that no person has let go
    released: tuple[str, ...] = ()  # those of them that a person has let go
    revision: int = 0

    @property
    def is_running(self) -> bool:
        """Whether it still gives out cases and decides."""
        return self.state is BacktestState.RUNNING

    @property
    def is_in_doubt(self) -> bool:
        """Whether checks of its health have fired, and no person has decided yet."""
        return self.is_running and bool(self.alarms)

    @property
    def champion_id(self) -> str:
        """`implementer@v2`."""
        return version_id(self.template, self.champion)

    @property
    def canary_id(self) -> str:
        """`implementer@v3`."""
        return version_id(self.template, self.canary)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseJob:
    """One job of a pair that is to be made."""

    id: str
    fields: Mapping[str, str]  # of its record, beside those that all have
    queue_key: str = ""  # list of the broker to push its message to, "" when it is published later
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPair:
    """A case that is to be given out."""

    backtest: str
    index: int
    line: str  # JSON of the pair
    request: str  # JSON
    champion: CaseJob | None  # None: a kept result stands for it
    canary: CaseJob
    first: Literal["champion", "canary"]
    settle_seconds: float

    def values(self, keys: Keys) -> dict[str, Any]:
        """What the script is given."""
        record, none = keys.backtest(self.backtest), CaseJob(id="", fields={})
        champion = self.champion or none
        return {
            "backtest": record,
            "pairs": keys.backtest_pairs(self.backtest),
            "champion": keys.job(champion.id) if champion.id else record,
            "canary": keys.job(self.canary.id),
            "champion_queue": champion.queue_key or record,
            "canary_queue": self.canary.queue_key or record,
            "id": self.backtest,
            "index": self.index,
            "line": self.line,
            "request": self.request,
            "champion_id": champion.id,
            "canary_id": self.canary.id,
            "champion_fields": flat_json(champion.fields),
            "canary_fields": flat_json(self.canary.fields),
            "first": self.first,
            "champion_message": champion.message,
            "canary_message": self.canary.message,
            "look_seconds": UNCLAIMED_SECONDS if self.canary.message else PUBLISH_SECONDS,
            "settle_seconds": self.settle_seconds,
            "pushed": bool(self.canary.message),
        }


_OPEN = Script(
    "backtest_open", BacktestAnswer, keys="template backtest", indexes="backtests:open events",
    args="id before fields data number way_before way mark step steps",
)  # fmt: skip
_DISPATCH = Script(
    "backtest_dispatch",
    BacktestAnswer,
    keys="backtest pairs champion canary champion_queue canary_queue",
    indexes="backtests:open outbox unclaimed jobs due events",
    args="id index line request champion_id canary_id champion_fields canary_fields first champion_message "
    "canary_message look_seconds settle_seconds",
    flags="pushed",
)
_ADVANCE = Script(
    "backtest_advance", BacktestAnswer, keys="backtest settlements template reviews",
    indexes="backtests:open backtests:refusing champions events",
    args="id revision lines evidence state reason data refuses name number review alarms alarm",
    flags="passes",
)  # fmt: skip
_RESUME = Script("backtest_resume", BacktestAnswer, keys="backtest", indexes="events", args="id alarms data")


class BacktestStore(Store):
    """The records of backtests. A step names what it was computed from; STALE: read again and compute anew.

    Records, pairs and settlements stay, like those of trials. Cases expire KEPT_SECONDS after they were
    last written, kept results after as long as their caller says.
    """

    def open(
        self, *, template: str, before: int, fields: Mapping[str, str], data: Mapping[str, Any],
        move: WayMove | None = None,
    ) -> tuple[str, BacktestAnswer]:  # fmt: skip
        """Begin a backtest, if the template still has had `before` of them; its id, and the answer.

        With `move` it is a step of a way, and TAKEN when that is another one by now.
        """
        name = f"{template}-b{before + 1}"
        answer = self.call(
            _OPEN, template=self.keys.template(template), backtest=self.keys.backtest(name), id=name,
            before=before, fields=flat_json({"template": template, **fields}),
            data=json.dumps({"backtest": name, **data}), number=fields["canary"],
            **dict[str, Any](written(move, name)),
            doing=f"beginning backtest {name}",
        )  # fmt: skip
        return name, answer

    def dispatch(self, pair: NewPair) -> BacktestAnswer:
        """Give out a case."""
        return self.call(
            _DISPATCH, **pair.values(self.keys), doing=f"giving out a case of backtest {pair.backtest}"
        )

    def advance(
        self, backtest: Backtest, *, lines: Sequence[str], evidence: str,
        state: BacktestState | None = None, reason: str = "", data: Mapping[str, Any] | None = None,
        refuses: bool = False, review: Mapping[str, Any] | None = None, alarms: Sequence[str] = (),
        alarm: Mapping[str, Any] | None = None,
    ) -> BacktestAnswer:  # fmt: skip
        """Write settlements, the test's next state, and its end if there is one.

        `refuses`: the version is to be rejected with that end; it is in `refusing` until `refused` says so.
        `alarms` are the checks of its health that have fired, while it goes on; where they are others than
        before, `alarm` is the data of the event. `review` is what is kept of the end of a
        step; its way goes on, or its version is champion, when the version is not worse.
        """
        return self.call(
            _ADVANCE, backtest=self.keys.backtest(backtest.id),
            settlements=self.keys.backtest_settlements(backtest.id), id=backtest.id,
            revision=backtest.revision, lines=json.dumps(list(lines)), evidence=evidence,
            state="" if state is None else state.value, reason=reason, data=json.dumps(data or {}),
            refuses="1" if refuses else "", template=self.keys.template(backtest.template),
            reviews=self.keys.reviews(backtest.template), name=backtest.template, number=backtest.canary,
            review=json.dumps(review or {}), passes=state is BacktestState.NOT_WORSE,
            alarms=" ".join(alarms), alarm=json.dumps(alarm or {}),
            doing=f"advancing backtest {backtest.id}",
        )  # fmt: skip

    def resume(self, backtest: Backtest, *, data: Mapping[str, Any]) -> BacktestAnswer:
        """Let it decide again that the checks of its health hold which it was read with.

        QUIET when nothing holds it, STALE when other checks have fired since.
        """
        return self.call(
            _RESUME, backtest=self.keys.backtest(backtest.id), id=backtest.id,
            alarms=" ".join(backtest.alarms), data=json.dumps(data), doing=f"resuming backtest {backtest.id}",
        )  # fmt: skip

    def read(self, backtest: str) -> Backtest | None:
        """One backtest; None for an unknown one, CorruptRecordError for one that is damaged."""
        with redis_errors(f"reading backtest {backtest}"):
            fields = self.redis.hgetall(self.keys.backtest(backtest))
        return parsed_backtest(backtest, fields) if fields else None

    def is_on_way(self, backtest: Backtest) -> bool:
        """Whether it is the present step of its version's way."""
        with redis_errors(f"reading the way of {backtest.canary_id}"):
            mark = self.redis.hget(self.keys.template(backtest.template), "on_way")
        return bool(mark == f"{backtest.canary} {backtest.id}")

    def open_ids(self) -> list[str]:
        """The backtests that run now."""
        with redis_errors("listing backtests"):
            return sorted(self.redis.smembers(self.keys("backtests", "open")))

    def refusing(self) -> list[str]:
        """The backtests that have ended, and whose version has yet to be rejected."""
        with redis_errors("listing backtests"):
            return sorted(self.redis.smembers(self.keys("backtests", "refusing")))

    def refused(self, backtest: str) -> None:
        """Note that a version was rejected, or cannot be."""
        with redis_errors(f"noting the rejection by backtest {backtest}"):
            self.redis.srem(self.keys("backtests", "refusing"), backtest)

    def pairs(self, backtest: str) -> list[str]:
        """JSON records of its pairs, in their order."""
        return self._lines(self.keys.backtest_pairs(backtest))

    def settlements(self, backtest: str) -> list[str]:
        """JSON records of what became of them, in order of arrival."""
        return self._lines(self.keys.backtest_settlements(backtest))

    def _lines(self, key: str) -> list[str]:
        with redis_errors("reading a backtest"):
            return list(self.redis.lrange(key, 0, -1))

    def keep_case(self, digest: str, text: str) -> None:
        """Keep a case for those who work on it, as JSON."""
        with redis_errors("keeping a case"):
            self.redis.set(self.keys("case", digest), text, ex=KEPT_SECONDS)

    def case(self, digest: str) -> str | None:
        """A case as JSON; None when it is not kept, or no longer."""
        with redis_errors("reading a case"):
            found = self.redis.get(self.keys("case", digest))
        return None if found is None else str(found)

    def keep_result(self, key: str, text: str, *, seconds: float) -> None:
        """Keep what a version made of a case for so long, as JSON; not at all for less than a second."""
        if seconds >= 1:
            with redis_errors("keeping a result"):
                self.redis.set(self.keys("case_result", key), text, ex=int(seconds))

    def result(self, key: str) -> str | None:
        """A kept result as JSON; None for none."""
        with redis_errors("reading a kept result"):
            found = self.redis.get(self.keys("case_result", key))
        return None if found is None else str(found)

    def note_reach(self, backtest: str, job: str, reach: str) -> None:
        """Note what the agent of a job could reach of the network."""
        with redis_errors("noting the network of a job"):
            self.redis.hset(self.keys.backtest(backtest), f"reach:{job}", reach)

    def reaches(self, backtest: str) -> dict[str, str]:
        """What the agents of its jobs could reach, by job."""
        with redis_errors(f"reading backtest {backtest}"):
            fields = self.redis.hgetall(self.keys.backtest(backtest))
        return {
            name.removeprefix("reach:"): value for name, value in fields.items() if name.startswith("reach:")
        }


def parsed_backtest(identifier: str, fields: Mapping[str, str]) -> Backtest:
    """The stored hash as a record."""
    try:
        return Backtest(
            id=identifier,
            template=fields["template"],
            champion=int(fields["champion"]),
            canary=int(fields["canary"]),
            state=BacktestState(fields["state"]),
            policy=fields["policy"],
            cases=tuple(json.loads(fields["cases"])),
            budget_usd=float(fields["budget_usd"]) if fields.get("budget_usd") else None,
            fresh=fields.get("fresh") == "1",
            refuse=fields.get("refuse") == "1",
            place=StepPlace.of(fields),
            by=fields.get("by", ""),
            opened_at=float(fields["opened_at"]),
            closed_at=float(fields["closed_at"]) if fields.get("closed_at") else None,
            reason=fields.get("reason", ""),
            evidence=fields.get("evidence", ""),
            alarms=tuple(fields.get("alarms", "").split()),
            released=tuple(fields.get("released", "").split()),
            revision=int(fields["revision"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        message = f"the record of backtest {identifier} cannot be read: {error!r}"
        raise CorruptRecordError(message) from error
