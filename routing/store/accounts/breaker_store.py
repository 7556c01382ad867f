"""Breakers in Redis: one hash, a field an account and model. Claims of jobs read it in their own step."""

import structlog
from pydantic import ValidationError

from routing.accounts.breaker import (
    BACK_OFF_CAP_SECONDS,
    BACK_OFF_FIRST_SECONDS,
    BROKEN_SECONDS,
    Breaker,
    BreakerState,
    field_of,
)
from routing.accounts.closed_account import ALL_MODELS, ClosedAccount, closed_accounts
from routing.accounts.limit import AccountLimit, LimitKind
from routing.store.redis.faults import redis_errors
from routing.store.redis.scripts import Script
from routing.store.redis.store import Store

_log = structlog.get_logger(__name__)

_CLOSE = Script(
    "breaker_close",
    bool,
    indexes="breakers events",
    args="account model kind state given words job first_seconds cap_seconds broken_seconds by",
)
_OPEN = Script("breaker_open", int, indexes="breakers events", args="account model job by")


class BreakerStore(Store):
    """The steps that close and open accounts; each may be repeated.

    Workers call `met` and `answered` for the account that their job was leased, people `close` and `reopen`.
    A field is made by the first job of its account and model, and stays: there are as many as there are
    accounts and models that were ever used. That all jobs of a closed account wait is not written anywhere:
    `job_claim` looks here.
    """

    def met(self, account: str, model: str, limit: AccountLimit, *, job: str) -> bool:
        """A job's turn met a limit; True when people have to hear of it."""
        return self._close(
            account,
            ALL_MODELS if limit.is_wide else model,
            kind=limit.kind,
            state=BreakerState.BROKEN if limit.kind.needs_person else BreakerState.LIMITED,
            until=limit.until,
            words=limit.words,
            job=job,
        )

    def answered(self, account: str, model: str, *, job: str) -> bool:
        """The model answered a job; True when it was the one that tries a closed account, which is open now.

        Of any other job this changes nothing.
        """
        opened = self.call(
            _OPEN, account=account, model=model, job=job, by="", doing=f"opening account {account}"
        )
        return opened > 0

    def close(self, account: str, model: str, *, until: float | None, words: str, by: str) -> bool:
        """A person closes an account until a time, or until it is opened; False when it was closed."""
        return self._close(
            account, model, kind=LimitKind.PERSON, state=BreakerState.CLOSED, until=until, words=words, by=by
        )

    def reopen(self, account: str, *, by: str, model: str = "") -> list[str]:
        """A person opens an account, with all its models or one; returns the breakers that were closed."""
        closed = [each for each in self.all() if each.account == account and not each.is_open]
        chosen = [each for each in closed if not model or each.model in {model, ALL_MODELS}]
        for each in chosen:
            self.call(
                _OPEN, account=account, model=each.model, job="", by=by, doing=f"opening account {account}"
            )
        return [field_of(each.account, each.model) for each in chosen]

    def all(self) -> list[Breaker]:
        """Every breaker, by account and model; one that cannot be read is logged and left out."""
        with redis_errors("reading accounts"):
            found = self.redis.hgetall(self.keys("breakers"))
            now, leases = self.now(), self.keys("leases")
            read = [each for name, text in sorted(found.items()) if (each := _parsed(name, text)) is not None]
            probes = [each.probe for each in read if each.probe and not each.is_open]
            ends = self.redis.zmscore(leases, probes) if probes else []
        alive = {probe for probe, end in zip(probes, ends, strict=True) if end is not None and end > now}
        return [_with_probe(each, alive) for each in read]

    def closed(self) -> list[ClosedAccount]:
        """What is closed now, and for how long; those for a person first."""
        return closed_accounts(self.all(), self.now())

    def _close(
        self, account: str, model: str, *, kind: LimitKind, state: BreakerState, until: float | None,
        words: str, job: str = "", by: str = "",
    ) -> bool:  # fmt: skip
        return self.call(
            _CLOSE, account=account, model=model, kind=kind.value, state=state.value, given=until,
            words=words[:300], job=job, first_seconds=BACK_OFF_FIRST_SECONDS,
            cap_seconds=BACK_OFF_CAP_SECONDS, broken_seconds=BROKEN_SECONDS, by=by,
            doing=f"closing account {account}",
        )  # fmt: skip


def _parsed(name: str, text: str) -> Breaker | None:
    try:
        return Breaker.model_validate_json(text)
    except ValidationError as error:
        _log.error("account.unreadable", breaker=name, reason=str(error))
        return None


def _with_probe(breaker: Breaker, alive: set[str]) -> Breaker:
    """The breaker with the state that people see: a job is at work on it whose answer decides."""
    if breaker.is_open or breaker.probe not in alive:
        return breaker
    return breaker.model_copy(update={"state": BreakerState.PROBING})
