"""What programs say at the limits of their accounts, and what is to be understood by it: for each runtime."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from routing.accounts.breaker import BACK_OFF_FIRST_SECONDS, BROKEN_SECONDS, Breaker
from routing.accounts.limit import LimitKind


def claude_result(text: str, **fields: Any) -> dict[str, Any]:
    """The last line of Claude Code."""
    return {"type": "result", "subtype": "success", "is_error": True, "result": text, **fields}


def gemini_error(text: str) -> dict[str, Any]:
    """The last line of Gemini CLI."""
    return {"type": "result", "status": "error", "stats": {}, "error": {"message": text}}


def opencode_error(status: int, **headers: str) -> dict[str, Any]:
    """The last line of opencode."""
    data = {"message": "no", "statusCode": status, "responseHeaders": headers}
    return {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}}


SPENT = {"type": "turn.failed", "error": {"message": "You've hit your usage limit. Try again in 3 days."}}
RETRY = '{"error":{"code":429,"message":"Please retry in 3600.5s"}}'
WRONG_KEY = '{"error":{"code":400,"message":"API key not valid."}}'
BUSY = '{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}'

#: A full hour, five to six hours after the suite began: where the clocks are never changed, in any zone.
SOON = (time.time() // 3600 + 6) * 3600
DAYS = 86_400.0


def clock(zone: str, form: str) -> str:
    """SOON as a program says it that tells the time of a zone."""
    return f"{datetime.fromtimestamp(SOON, ZoneInfo(zone)):{form}}"


@dataclass(frozen=True, kw_only=True)
class SaidLimit:
    """What a program says at a limit, and what is to be understood by it."""

    runtime: str
    kind: LimitKind
    says: str | Sequence[Mapping[str, Any]] = ()  # a recording, or lines
    errors: Sequence[str] = ()  # of standard error
    has_session: bool = False  # whether it has named one
    after: float | None = None  # when it is over, seconds after the words
    at: float | None = None  # the same, since the epoch

    @property
    def is_broken(self) -> bool:
        """Whether a person has to look at it."""
        return self.kind is LimitKind.AUTH

    def is_until(self, breaker: Breaker) -> bool:
        """Whether it is closed until then; a span began with the words, a little before the turn ended."""
        assert breaker.until is not None
        assert breaker.since is not None
        seconds = breaker.until - breaker.since
        if self.at is not None:
            return breaker.given and breaker.until == self.at
        if self.after is not None:
            return breaker.given and self.after - 60 < seconds <= self.after
        return not breaker.given and seconds == (BROKEN_SECONDS if self.is_broken else BACK_OFF_FIRST_SECONDS)


def recorded(name: str, kind: LimitKind, *, has_session: bool = True) -> SaidLimit:
    """What a real program printed; none says when its limit ends."""
    return SaidLimit(runtime=name.partition("-")[0], says=name, kind=kind, has_session=has_session)


REJECTED = {"status": "rejected", "resetsAt": SOON, "rateLimitType": "five_hour"}
IN_KOLKATA = f"resets {clock('Asia/Kolkata', '%I:%M%p').lstrip('0').lower()} (Asia/Kolkata)"
IN_TOKYO = f"Try again at {clock('Asia/Tokyo', '%b %d, %Y %I:%M %p')}."  # that of the program's TZ
WITH_OFFSET = f"resets at {clock('Etc/GMT-2', '%Y-%m-%dT%H:%M:%S')}+02:00"
BY_HTTP = f"{clock('UTC', '%a, %d %b %Y %H:%M:%S')} GMT"

ROWS = [
    recorded("claude-7-err429-max2", LimitKind.RATE),
    recorded("claude-7-err529-max2", LimitKind.OVERLOADED),
    recorded("claude-7-err401", LimitKind.AUTH),
    recorded("claude-9-noapikey", LimitKind.AUTH),
    SaidLimit(runtime="claude", says=[claude_result(f"You've hit your limit · {IN_KOLKATA}")],
        kind=LimitKind.USAGE, at=SOON),
    SaidLimit(runtime="claude", says=[{"type": "rate_limit_event", "rate_limit_info": REJECTED}],
        kind=LimitKind.USAGE, at=SOON),
    recorded("codex-6-err429", LimitKind.RATE),
    recorded("codex-6-err401", LimitKind.AUTH),
    recorded("codex-stdin-err529", LimitKind.OVERLOADED),
    SaidLimit(runtime="codex", says=[SPENT], kind=LimitKind.USAGE, after=3 * DAYS),
    SaidLimit(runtime="codex", says=[{"type": "error", "message": f"You've hit your limit. {IN_TOKYO}"}],
        kind=LimitKind.USAGE, at=SOON),
    SaidLimit(runtime="gemini", says=[gemini_error(RETRY)], kind=LimitKind.RATE, after=3600.5),
    SaidLimit(runtime="gemini", errors=["You have exhausted your daily quota on this model."],
        kind=LimitKind.USAGE),
    SaidLimit(runtime="gemini", says=[gemini_error(WRONG_KEY)], kind=LimitKind.AUTH),
    recorded("gemini-stdin-err429", LimitKind.RATE),
    SaidLimit(runtime="gemini", says=[gemini_error(BUSY)], kind=LimitKind.OVERLOADED),
    SaidLimit(runtime="opencode", says=[opencode_error(429, **{"retry-after": BY_HTTP})], kind=LimitKind.RATE,
        at=SOON, has_session=True),
    recorded("opencode-logs-err429", LimitKind.RATE),
    recorded("opencode-logs-err429-after", LimitKind.RATE, has_session=False),
    recorded("opencode-logs-err529", LimitKind.OVERLOADED),
    recorded("opencode-logs-err401", LimitKind.AUTH),
    SaidLimit(runtime="command", says=[{"type": "limit", "text": "enough", "until": SOON}],
        kind=LimitKind.USAGE, at=SOON),
    SaidLimit(runtime="command", errors=["error: usage limit reached; try again in 2 hours"],
        kind=LimitKind.USAGE, after=7200.0),
    SaidLimit(runtime="command", errors=[f"error: quota exceeded, {WITH_OFFSET}"],
        kind=LimitKind.USAGE, at=SOON),
    SaidLimit(runtime="command", errors=["error: 401 Unauthorized"], kind=LimitKind.AUTH),
    SaidLimit(runtime="command", errors=["error: 529 Overloaded"], kind=LimitKind.OVERLOADED),
]  # fmt: skip
