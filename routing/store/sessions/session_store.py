"""Sessions in Redis: the lease of a turn, the process that runs it, and the steps between states."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from redis import Redis

from routing.cost import NO_COST, Cost, Payer
from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.lease import LeaseStatus, lease_statuses
from routing.store.redis.scripts import Answered, Script, answered, flat_json, record_or
from routing.store.redis.store import Store

#: Seconds for which the sums of a day are kept: more than a year, to compare with.
DAY_COSTS_SECONDS = 400 * 86_400


class TurnRefusal(StrEnum):
    """Why a turn's lease was not won."""

    BUSY = "busy"  # another turn's lease is alive
    MISSING = "missing"
    OVER = "over"  # the session has ended


class SessionAnswer(StrEnum):
    """What became of a step on a session. All but OK changed nothing, but for a turn's end: see `end`."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"  # the turn is over, or another holds the session
    ALIVE = "alive"  # a turn holds it
    ACTIVE = "active"  # the agent has spoken since
    DONE = "done"  # this stage of the silence was noted before
    STATE = "state"  # its state, which comes with the answer, does not allow the step


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnd:
    """What a turn leaves in its session when its lease is given back."""

    name: str  # of the session's agent
    fence: int
    to: str = ""  # new state, "" when no turn was run
    allowed: Iterable[str] = ()  # states it may come from
    reason: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)  # to be written to the session
    cost: Cost = NO_COST  # of the turn alone
    payer: Payer | None = None  # whose sums it is added to, beside its job's; None for nobody's
    job: str = ""  # id of the job that the turn counts for, "" for none
    job_fence: int = 0  # of that job's lease
    finished: str = ""  # the turn as JSON if it did its work, for the job to keep until that is delivered
    retry: bool = False  # it counts as a retry
    put_off: bool = False  # it met a limit of its account: not one of the turns that the job may have
    mail_missing: bool = False  # it should have sent the mail that ends its task
    forget: bool = False  # its conversation cannot be resumed
    call_id: str = ""  # of this end: with it `end` may be called again, and answers as at first


_BEGIN = Script(
    "session_begin",
    record_or(TurnRefusal),
    keys="session",
    indexes="sessions turns events pulse",
    args="name lease_seconds worker retention_seconds call_id fields",
    flags="start",
)
_RUN = Script(
    "session_run",
    answered(SessionAnswer),
    keys="session",
    indexes="sessions events",
    args="name fence allowed retention_seconds process lost",
)
_SEEN = Script(
    "session_seen", SessionAnswer, keys="session", indexes="events", args="name fence seen asked host"
)
_RENEW = Script(
    "session_renew",
    lease_statuses,
    indexes="turns",
    args="extend_seconds retention_seconds",
    flags="active",
    each_keys="session",
    each_args="name fence",
)
_END = Script(
    "session_end",
    answered(SessionAnswer),
    keys="session job template_costs trial_costs day_costs",
    indexes="sessions turns events",
    args="name fence to allowed reason retention_seconds fields cost cost_usd seconds template "
    "repository version arm costs_seconds job_fence finished call_id",
    flags="retry counts put_off mail_missing forget",
)
_MOVE = Script(
    "session_move",
    answered(SessionAnswer),
    keys="session",
    indexes="sessions turns events pulse",
    args="name to allowed reason retention_seconds fence",
    flags="expired",
)
_ESCALATE = Script(
    "session_escalate",
    SessionAnswer,
    keys="session",
    indexes="events",
    args="name fence last_activity stage stop data",
)
_STOP = Script("session_stop", SessionAnswer, keys="session", args="fence field value")


class SessionStore(Store):
    """Sessions of agents, as plain fields; `tasks.agents.session` knows their states.

    A turn goes `begin`, `run_by`, `seen` and `renew` as often as needed, `end`. Each step carries the fence
    that `begin` gave; once another turn has begun, those of the earlier one are refused as STALE. `begin` and
    `end` may be repeated after an UnavailableError with the same `call_id`, and answer as at first. Without
    one, a second `begin` is BUSY until the lease of the first has run out, and a second `end` is STALE.

    The watchdog has no fence. It uses `in_turn` and `idle` to look, `escalate` with the fence and the time of
    the last activity that it read, and `move` with `expired`, which takes over a turn only when its lease ran
    out. A move without a fence can lead only to `stalled` or `zombie`. `stop` and `await_others` leave a note
    for the turn that is held now, with or without its fence. The wish to stop is gone when the turn is over,
    the other note when the next process starts.

    Each step is one script and atomic, except `forget`. `read_many` is not a snapshot.
    """

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which a session is kept after its last step

    def begin(
        self, name: str, *, lease_seconds: float, worker: str, start: Mapping[str, str] | None,
        call_id: str = "",
    ) -> dict[str, str] | TurnRefusal:  # fmt: skip
        """Win the lease of an agent's next turn: the session's record, or why not.

        `start` holds the fields of a session that is to live if none does; None: only one that lives. With a
        `call_id` of its own the call may be made again, and finds what it won.
        """
        return self.call(
            _BEGIN, session=self.keys.session(name), name=name, lease_seconds=lease_seconds, worker=worker,
            call_id=call_id, retention_seconds=self.retention_seconds, fields=flat_json(start or {}),
            start=start is not None, doing=f"beginning a turn of {name}",
        )  # fmt: skip

    def run_by(
        self, name: str, *, fence: int, allowed: Iterable[str], process: Mapping[str, str], lost: str = ""
    ) -> Answered[SessionAnswer]:
        """Register the process of a turn; `lost` says why an earlier conversation is not resumed."""
        return self.call(
            _RUN, session=self.keys.session(name), name=name, fence=fence, allowed=",".join(allowed),
            retention_seconds=self.retention_seconds, process=flat_json(process), lost=lost,
            doing=f"registering the process of {name}",
        )  # fmt: skip

    def seen(self, name: str, *, fence: int, session_id: str, asked: str, host: str) -> SessionAnswer:
        """Note the conversation that an agent says it is in; `asked` is the one that it was to resume."""
        return self.call(
            _SEEN, session=self.keys.session(name), name=name, fence=fence, seen=session_id, asked=asked,
            host=host, doing=f"noting the conversation of {name}",
        )  # fmt: skip

    def renew(
        self, held: Sequence[tuple[str, int]], *, extend_seconds: float, active: bool = False
    ) -> list[LeaseStatus]:
        """Look at leases of turns, by agent and fence, and extend them, unless by 0.

        `active`: all of the agents have spoken, so that none of them is silent any longer. What a status says
        to `stop` for is a kind and a reason, as in `stop`.
        """
        each = [{"session": self.keys.session(name), "name": name, "fence": fence} for name, fence in held]
        if not each:
            return []
        return self.call(
            _RENEW, each=each, extend_seconds=extend_seconds, retention_seconds=self.retention_seconds,
            active=active, doing="renewing leases of turns",
        )  # fmt: skip

    def end(self, turn: TurnEnd) -> Answered[SessionAnswer]:
        """End a turn and give its lease back, which happens even where its new state is not allowed.

        What it cost is added to all sums in the same step; those of a day are of the day on which this is
        called (UTC). With a payer this is two round trips.
        """
        session, payer, cost = self.keys.session(turn.name), turn.payer, turn.cost
        version, arm = payer.labels if payer else ("", "")
        return self.call(
            _END, session=session, job=self.keys.job(turn.job) if turn.job else session, name=turn.name,
            template_costs=self.keys.template_costs(payer.template) if payer else session,
            trial_costs=self.keys.trial_costs(payer.trial) if arm and payer else session,
            day_costs=self.keys.day_costs(int(self.now() // 86_400)) if payer else session,
            fence=turn.fence, to=turn.to, allowed=",".join(turn.allowed), reason=turn.reason,
            retention_seconds=self.retention_seconds, fields=flat_json({"v": "1", **turn.fields}),
            cost=flat_json({name: f"{value:.9f}" for name, value in cost.measures().items()}),
            cost_usd=f"{cost.usd:.9f}", seconds=f"{cost.seconds:.3f}",
            template=payer.template if payer else "", version=version, arm=arm,
            repository=payer.repository if payer else "",
            costs_seconds=DAY_COSTS_SECONDS, retry=turn.retry, put_off=turn.put_off,
            counts=bool(turn.job), mail_missing=turn.mail_missing, forget=turn.forget,
            job_fence=turn.job_fence, finished=turn.finished, call_id=turn.call_id,
            doing=f"ending a turn of {turn.name}",
        )  # fmt: skip

    def move(
        self, name: str, to: str, *, allowed: Iterable[str], reason: str, fence: int | None = None,
        expired: bool = False,
    ) -> Answered[SessionAnswer]:  # fmt: skip
        """Move a session; `expired`: only when no turn holds it, and what one has left is removed."""
        return self.call(
            _MOVE, session=self.keys.session(name), name=name, to=to, allowed=",".join(allowed),
            reason=reason, retention_seconds=self.retention_seconds, fence=fence, expired=expired,
            doing=f"moving session {name} to {to}",
        )  # fmt: skip

    def escalate(
        self, name: str, *, fence: int, last_activity: float, stage: int, data: Mapping[str, object],
        stop: str = "",
    ) -> SessionAnswer:  # fmt: skip
        """Note a stage of a silence, once; `stop`: the turn is to end, KIND:REASON."""
        return self.call(
            _ESCALATE, session=self.keys.session(name), name=name, fence=fence,
            last_activity=f"{last_activity:.6f}", stage=int(stage), stop=stop, data=json.dumps(data),
            doing=f"escalating the silence of {name}",
        )  # fmt: skip

    def stop(self, name: str, *, kind: str, reason: str, fence: int | None = None) -> SessionAnswer:
        """Ask the holder of a session's turn to end it; the first such request holds."""
        return self._note(name, fence, "stop", f"{kind}:{reason}")

    def await_others(self, name: str, *, fence: int | None = None) -> SessionAnswer:
        """The agent waits for those that it has sent out: a clean end of this turn does not end its task."""
        return self._note(name, fence, "awaiting", "1")

    def _note(self, name: str, fence: int | None, field_name: str, value: str) -> SessionAnswer:
        return self.call(
            _STOP, session=self.keys.session(name), fence=fence, field=field_name, value=value,
            doing=f"noting a request in session {name}",
        )  # fmt: skip

    def read(self, name: str) -> dict[str, str]:
        """The fields of a session; empty for an unknown one."""
        with redis_errors(f"reading session {name}"):
            return dict(self.redis.hgetall(self.keys.session(name)))

    def read_many(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Several sessions in one round trip; empty where there is none."""
        with redis_errors("reading sessions"):
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(self.keys.session(name))
            return [dict(fields) for fields in pipeline.execute()]

    def in_turn(self, most: int) -> list[str]:
        """Sessions with a turn that holds, or held, the lease; those whose lease ran out come first."""
        with redis_errors("reading who is in a turn"):
            return list(self.redis.zrange(self.keys("turns"), 0, most - 1))

    def idle(self, *, before: float, most: int) -> list[str]:
        """Live sessions whose last step was made before a time, the longest idle first."""
        with redis_errors("reading idle sessions"):
            index = self.keys("sessions")
            return list(self.redis.zrangebyscore(index, "-inf", before, start=0, num=most))

    def forget(self, name: str) -> None:
        """Take a session whose record has expired off the lists."""
        with redis_errors(f"forgetting session {name}"):
            self.redis.zrem(self.keys("sessions"), name)
            self.redis.zrem(self.keys("turns"), name)

    def look_later(self, name: str, *, at: float) -> None:
        """Put off the next look at an idle session until `at`, seconds since the epoch."""
        with redis_errors(f"putting off session {name}"):
            self.redis.zadd(self.keys("sessions"), {name: at}, xx=True)
