"""Pools: which accounts a version may use, in which order, and what a job waits for while they are closed.

Pure. The choice itself is made where a lease is won (`job_claim.lua`), by the breakers as they are then; a
`AccountGate` is what that step is given.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from routing.accounts.account import Account, default_account
from routing.accounts.breaker import field_of
from routing.templates.version import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An account with a model that a version may use."""

    account: str  # its id
    model: str  # "" for the runtime's default
    rank: int  # 0 for the version's own model, 1 for its first fallback, …

    @property
    def breaker(self) -> str:
        """The name of its breaker."""
        return field_of(self.account, self.model)


@dataclass(frozen=True, kw_only=True)
class AccountGate:
    """What must be open before a job may begin.

    One of `own`; and one of `other`, what the other arm of its trial may use, while that trial is open: time
    must not favour an arm. And agents of the version must start; in an open trial, those of one of its arms:
    the trial finds out about a version that alone does not.
    """

    version: str  # id of the version that this is about
    own: tuple[Candidate, ...]
    trial: str = ""  # that the job counts in, "" for none
    other: tuple[Candidate, ...] = ()
    is_canary: bool = False  # whether its version is on trial
    starts: str = ""  # name of the version's own breaker: whether its agents start
    other_starts: str = ""  # that of the other arm's version, "" in no trial
    budgets: tuple[tuple[str, float, int], ...] = ()  # of the day: label, dollars and tokens; 0: no limit
    keeps_count: bool = True  # whether a job that falls back still counts in its trial: both arms may
    is_likely: bool = False  # the job was not asked: it may be of another version, or in a trial

    @cached_property
    def json(self) -> str:
        """What the scripts read, and what is kept while jobs wait at it."""
        return json.dumps(
            {
                "version": self.version,
                "trial": self.trial,
                "own": [[each.breaker, each.account, each.model, each.rank] for each in self.own],
                "other": [[each.breaker, each.account, each.model, each.rank] for each in self.other],
                "canary": self.is_canary,
                "starts": self.starts,
                "other_starts": self.other_starts,
                "keeps_count": self.keeps_count,
                "budgets": [list(budget) for budget in self.budgets],
            },
            sort_keys=True,
        )

    @cached_property
    def digest(self) -> str:
        """A name of its own for all jobs that wait at the same gate."""
        return hashlib.sha256(self.json.encode()).hexdigest()[:16]


class GateOf(Protocol):
    """What must be open before a job begins; None: nothing."""

    def __call__(self, job: str, /, *, anew: bool = False) -> AccountGate | None:
        """It may be a likely one, unless it is asked for `anew`."""


def no_gate(_job: str, /, *, anew: bool = False) -> AccountGate | None:  # noqa: ARG001 - none is read either way
    """No job waits for anything."""
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pools:
    """The accounts of a fleet, as one process has them in its settings."""

    accounts: Sequence[Account] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # of this process, to know what it may use

    def find(self, account_id: str, runtime: str) -> Account:
        """The account that a job was leased; the default one of its runtime if no table has it any more."""
        return next(
            (account for account in self.accounts if account.id == account_id), default_account(runtime)
        )

    def of(self, snapshot: Snapshot) -> list[Account]:
        """The accounts that a version may use: those that it names, or else all of its runtime.

        Those whose secrets this process has come alone; without any such all are returned, so that the turn
        is refused in words.
        """
        named = [account for account in self.accounts if account.runtime == snapshot.runtime]
        if snapshot.accounts:
            named = [account for account in named if account.name in snapshot.accounts]
        elif not named:
            return [default_account(snapshot.runtime)]
        return [account for account in named if not account.missing(self.environment)] or named

    def candidates(self, snapshot: Snapshot) -> tuple[Candidate, ...]:
        """What a version may use, its own model before its fallbacks."""
        accounts = self.of(snapshot)
        return tuple(
            Candidate(account=account.id, model=model or "", rank=rank)
            for rank, model in enumerate((snapshot.model, *snapshot.fallback))
            for account in accounts
            if account.serves(model)
        )

    def known(self, runtimes: Sequence[str]) -> list[Account]:
        """All accounts, with the default one of each of these runtimes that no table names."""
        tabled = {account.runtime for account in self.accounts}
        return [*self.accounts, *(default_account(each) for each in runtimes if each not in tabled)]
