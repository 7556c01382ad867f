"""The accounts that agents work with, as they are now: those of the settings here, and all that were used."""

from dataclasses import dataclass
from typing import Any

from console.output.rendering import iso
from routing.accounts.breaker import Breaker, version_of
from routing.errors import CorruptRecordError, NotFoundError
from tasks.composition.composition import Coalmine


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLine:
    """An account, or one model of it, as it is now."""

    account: str  # `claude:team-a`
    in_settings: bool  # whether a table, or the runtime's default, names it here
    breaker: Breaker  # an open one where nothing was ever closed


def account_lines(coalmine: Coalmine) -> list[AccountLine]:
    """Every account that is in the settings here or was ever used, by name and model."""
    breakers = [each for each in coalmine.breakers.all() if not (each.is_open and version_of(each.account))]
    named = {account.id for account in coalmine.pools.known(_runtimes(coalmine))}
    unused = named - {breaker.account for breaker in breakers}
    found = [*breakers, *(Breaker(account=account) for account in unused)]
    return [
        AccountLine(account=breaker.account, in_settings=breaker.account in named, breaker=breaker)
        for breaker in sorted(found, key=lambda each: (each.account, each.model))
    ]


def known_account(parts: Coalmine, account: str) -> str:
    """The name again; NotFoundError for one that no account has."""
    names = sorted({line.account for line in account_lines(parts)})
    if account not in names:
        known = ", ".join(names) or "none"
        message = f"no account is called {account[:60]!r} (known: {known}); see `coalmine account list`"
        raise NotFoundError(message)
    return account


def _runtimes(coalmine: Coalmine) -> list[str]:
    """The runtimes of all champions; one that cannot be read is left out."""
    runtimes = set()
    for name in coalmine.templates.names():
        try:
            runtimes.add(coalmine.templates.champion(name).snapshot.runtime)
        except (CorruptRecordError, NotFoundError):
            continue
    return sorted(runtimes)


def account_document(line: AccountLine, now: float) -> dict[str, Any]:
    """For scripts; `model` is `*` for the whole account and "" for the runtime's default."""
    breaker = line.breaker
    left = None if breaker.is_open else breaker.seconds_left(now)
    return {
        "account": line.account,
        "model": breaker.model,
        "state": breaker.state.value,
        "kind": breaker.kind.value if breaker.kind and not breaker.is_open else None,
        "since": iso(breaker.since) if not breaker.is_open else None,
        "until": iso(breaker.until) if not breaker.is_open else None,
        "seconds_left": None if left is None else round(left),
        "said_until": breaker.given,
        "words": breaker.words,
        "probe": breaker.probe or None,
        "used_at": iso(breaker.used_at),
        "in_settings": line.in_settings,
    }
