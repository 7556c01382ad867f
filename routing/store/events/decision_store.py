"""What people have decided: a stream of its own, so that it is not lost among the events of a busy fleet."""

from dataclasses import dataclass

from routing.store.redis.faults import redis_errors
from routing.store.redis.store import Store

#: Decisions that are kept, about.
MOST_KEPT = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class NotedDecision:
    """Who decided what, when, about what, and why."""

    act: str  # the words of the command that does the same: `job cancel`
    thing: str  # a job, an issue, a trial, a version, an account; "" for the fleet
    by: str  # the name that the person gave; for a command the user of the machine
    way: str  # by which door it came: `page`, `api`, `command`, `mcp`
    reason: str = ""
    id: str = ""  # of the stream; grows
    at: float = 0.0  # seconds since the epoch, the server's


class DecisionStore(Store):
    """A decision is noted after its step, which has an event of its own.

    One that was refused, or that changed nothing, is not noted.
    """

    def note(self, decision: NotedDecision) -> None:
        """Add a decision at this moment. Its `id` and `at` are the server's."""
        fields = {
            "v": "1", "at": f"{self.now():.6f}", "act": decision.act, "thing": decision.thing,
            "by": decision.by, "way": decision.way, "reason": decision.reason,
        }  # fmt: skip
        with redis_errors("noting a decision"):
            self.redis.xadd(self.keys("decisions"), fields, maxlen=MOST_KEPT, approximate=True)

    def newest(self, most: int, *, before: str = "") -> list[NotedDecision]:
        """The last decisions, the newest first; `before`: only those before that id."""
        with redis_errors("reading decisions"):
            end = f"({before}" if before else "+"
            found = self.redis.xrevrange(self.keys("decisions"), max=end, count=most)
        return [_decision(identifier, fields) for identifier, fields in found]


def _decision(identifier: str, fields: dict[str, str]) -> NotedDecision:
    return NotedDecision(
        id=identifier,
        at=float(fields.get("at", 0)),
        **{name: fields.get(name, "") for name in ("act", "thing", "by", "way", "reason")},
    )
