"""Sessions in Redis: the lease of a turn, the process that runs it, and the steps between states."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from redis import Redis

from routing.store.redis.faults import redis_errors
from routing.store.redis.keys import Keys
from routing.store.redis.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnEnd:
    """What a turn leaves in its session when its lease is given back."""

    name: str  # of the session
    fence: int
    to: str = ""  # new state, "" when no turn was run
    allowed: Iterable[str] = ()  # states it may come from
    reason: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)  # to be written to the session
    cost_usd: float = 0.0  # of the turn alone
    seconds: float = 0.0  # that it took
    job: str = ""  # id of the job that the turn counts for, "" for none
    flags: Iterable[str] = ()  # retry, mail missing, forget: see session_end.lua


class SessionStore(Store):
    """One call a step; the answers are the scripts' own words, the records plain fields."""

    def __init__(
        self, redis: "Redis", keys: Keys, clock: Callable[[], float] | None = None, *,
        retention_seconds: int = 2_592_000,
    ) -> None:  # fmt: skip
        super().__init__(redis, keys, clock)
        self.retention_seconds = retention_seconds  # for which a session is kept behind its last step

    def begin(
        self, name: str, *, lease_seconds: float, worker: str, start: Mapping[str, str] | None
    ) -> tuple[str, dict[str, str]]:
        """Win a turn's lease: ('ok', the record), or 'busy', 'missing' or 'over' and nothing.

        `start` holds the fields of a session that is to live if it does not; None: only one that lives.
        """
        keys = self.keys
        word, *fields = self.run(
            "session_begin", [keys.session(name), keys("sessions"), keys("turns"), keys("events")],
            name, lease_seconds, worker, "" if start is None else "start", self.retention_seconds,
            _flat(start or {}),
            doing=f"beginning a turn of {name}",
        )  # fmt: skip
        return str(word), _record(fields) if word == "ok" else {}

    def run_by(
        self, name: str, *, fence: int, allowed: Iterable[str], process: Mapping[str, str], lost: str = ""
    ) -> str:
        """Register the process of a turn; `lost` says why an earlier conversation is not resumed."""
        keys = self.keys
        return str(self.run(
            "session_run", [keys.session(name), keys("sessions"), keys("events")],
            name, fence, ",".join(allowed), self.retention_seconds, _flat(process), lost,
            doing=f"registering the process of {name}",
        ))  # fmt: skip

    def seen(self, name: str, *, fence: int, session_id: str, asked: str, host: str) -> str:
        """Note the conversation that an agent says it is in."""
        return str(self.run(
            "session_seen", [self.keys.session(name), self.keys("events")],
            name, fence, session_id, asked, host,
            doing=f"noting the conversation of {name}",
        ))  # fmt: skip

    def renew(
        self, held: Sequence[tuple[str, int]], *, extend_seconds: float, active: bool = False
    ) -> list[str]:
        """Look at leases of turns and extend them, unless by 0: 'ok', 'lost' or 'stop:KIND:REASON' each."""
        if not held:
            return []
        return list(self.run(
            "session_renew", [self.keys("turns"), *(self.keys.session(name) for name, _ in held)],
            extend_seconds, self.retention_seconds, "active" if active else "",
            *(part for name, fence in held for part in (name, fence)),
            doing="renewing leases of turns",
        ))  # fmt: skip

    def end(self, turn: TurnEnd) -> str:
        """End a turn and give its lease back."""
        keys = self.keys
        session = keys.session(turn.name)
        flags = [*turn.flags, *(["job"] if turn.job else [])]
        return str(self.run(
            "session_end",
            [session, keys("sessions"), keys("turns"), keys("events"),
             keys.job(turn.job) if turn.job else session],
            turn.name, turn.fence, turn.to, ",".join(turn.allowed), turn.reason, self.retention_seconds,
            _flat({"v": "1", **turn.fields}), f"{turn.cost_usd:.9f}", ",".join(flags),
            f"{turn.seconds:.3f}",
            doing=f"ending a turn of {turn.name}",
        ))  # fmt: skip

    def move(
        self, name: str, to: str, *, allowed: Iterable[str], reason: str, fence: int | None = None,
        expired: bool = False,
    ) -> str:  # fmt: skip
        """Move a session; `expired`: only when no turn holds it, and what one has left is removed."""
        keys = self.keys
        return str(self.run(
            "session_move", [keys.session(name), keys("sessions"), keys("turns"), keys("events")],
            name, to, ",".join(allowed), reason, self.retention_seconds, "" if fence is None else fence,
            "expired" if expired else "",
            doing=f"moving session {name} to {to}",
        ))  # fmt: skip

    def escalate(
        self, name: str, *, fence: int, last_activity: float, stage: int, data: Mapping[str, object],
        stop: str = "",
    ) -> str:  # fmt: skip
        """Note a stage of a silence, once; `stop`: the turn is to end, KIND:REASON."""
        return str(self.run(
            "session_escalate", [self.keys.session(name), self.keys("events")],
            name, fence, f"{last_activity:.6f}", int(stage), stop, json.dumps(data),
            doing=f"escalating the silence of {name}",
        ))  # fmt: skip

    def stop(self, name: str, *, kind: str, reason: str, fence: int | None = None) -> str:
        """Ask whoever holds a session's turn to end it; the first wish holds."""
        return self._tell(name, fence, "stop", f"{kind}:{reason}")

    def await_others(self, name: str, *, fence: int | None = None) -> str:
        """The agent waits for those that it has sent out: a clean end of this turn does not end its task."""
        return self._tell(name, fence, "awaiting", "1")

    def _tell(self, name: str, fence: int | None, field_name: str, value: str) -> str:
        return str(self.run(
            "session_stop", [self.keys.session(name)], "" if fence is None else fence, field_name, value,
            doing=f"telling session {name}",
        ))  # fmt: skip

    def read(self, name: str) -> dict[str, str]:
        """The fields of a session, none for an unknown one."""
        with redis_errors(f"reading session {name}"):
            return dict(self.redis.hgetall(self.keys.session(name)))

    def read_many(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Several sessions in one round trip; nothing where there is none."""
        with redis_errors("reading sessions"):
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(self.keys.session(name))
            return [dict(fields) for fields in pipeline.execute()]

    def in_turn(self, most: int) -> list[str]:
        """Sessions in whose turn somebody is or was, those first whose lease ran out."""
        with redis_errors("reading who is in a turn"):
            return list(self.redis.zrange(self.keys("turns"), 0, most - 1))

    def idle(self, *, before: float, most: int) -> list[str]:
        """Live sessions whose last step was made before a time, the longest idle first."""
        with redis_errors("reading idle sessions"):
            index = self.keys("sessions")
            return list(self.redis.zrangebyscore(index, "-inf", before, start=0, num=most))

    def forget(self, name: str) -> None:
        """Take a session off the lists whose record has expired."""
        with redis_errors(f"forgetting session {name}"):
            self.redis.zrem(self.keys("sessions"), name)
            self.redis.zrem(self.keys("turns"), name)

    def look_later(self, name: str, *, at: float) -> None:
        """Put off the next look at an idle session."""
        with redis_errors(f"putting off session {name}"):
            self.redis.zadd(self.keys("sessions"), {name: at}, xx=True)


def _flat(fields: Mapping[str, str]) -> str:
    return json.dumps([part for pair in fields.items() for part in pair])


def _record(fields: Sequence[str]) -> dict[str, str]:
    return dict(zip(fields[::2], fields[1::2], strict=True))
