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
    version_of,
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
_FAIL = Script(
    "breaker_fail",
    bool,
    indexes="breakers events trials:open",
    args="account other trial alike words job most jobs first_seconds cap_seconds",
)
_START = Script("breaker_start", bool, indexes="breakers events", args="account")

#: Failures at the start, in a row and alike, that close a version; and of how many jobs they must be.
MOST_FAILED_STARTS = 3
JOBS_OF_FAILED_STARTS = 2


class BreakerStore(Store):
    """The steps that close and open accounts; each may be repeated.

    Workers call `met` and `answered` for the account that their job was leased, `failed` and `started` for
    its version; people `close`, `reopen` and `resume_versions`.
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

    def failed(
        self, version: str, *, alike: str, words: str, job: str, trial: str = "", other: str = ""
    ) -> bool:
        """An agent ended with an error before it did anything; True when jobs of its version wait now.

        `version` is `version_breaker` of it, `other` that of the other arm of its job's `trial`; `alike` is
        what makes two failures alike.
        """
        return self.call(
            _FAIL, account=version, other=other, trial=trial, alike=alike, words=words[:300], job=job,
            most=MOST_FAILED_STARTS, jobs=JOBS_OF_FAILED_STARTS, first_seconds=BACK_OFF_FIRST_SECONDS,
            cap_seconds=BACK_OFF_CAP_SECONDS, doing=f"noting that {version} failed",
        )  # fmt: skip

    def started(self, version: str) -> bool:
        """An agent of a version has started; True when jobs of that version waited for one."""
        return self.call(_START, account=version, doing=f"noting that {version} started")

    def resume_versions(self, *, by: str) -> list[str]:
        """A person has every version tried again that did not start; their ids."""
        closed = [each.account for each in self.all() if version_of(each.account) and not each.is_open]
        for name in closed:
            self.reopen(name, by=by)
        return [version_of(name) for name in closed]

    def close(self, account: str, model: str, *, until: float | None, words: str, by: str) -> bool:
        """A person closes an account until a time, or until it is opened; False when it was closed."""
        return self._close(
            account, model, kind=LimitKind.PERSON, state=BreakerState.CLOSED, until=until, words=words, by=by
        )

    def reopen(self, account: str, *, by: str, model: str | None = None) -> list[str]:
        """A person opens an account, or one model of it and what closes all; returns what was closed.

        The model "" is the runtime's default, and None is every model.
        """
        closed = [each for each in self.all() if each.account == account and not each.is_open]
        chosen = [each for each in closed if model is None or each.model in {model, ALL_MODELS}]
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
