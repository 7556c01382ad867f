"""`coalmine account …`: the credentials that agents work with, and their limits.

What closes an account is in the store, so these commands see the same on every machine; the tables of the
settings only add accounts that nobody has used yet.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from console.invocation import AsJson, examples, opened, started
from console.output.rendering import iso, one_line, table, when, word
from routing.accounts.breaker import Breaker
from routing.accounts.closed_account import ALL_MODELS, ClosedAccount
from routing.errors import CorruptRecordError, InvalidInputError, NotFoundError
from tasks.composition.composition import Coalmine

account_app = typer.Typer(help="Accounts that agents work with, and their limits.", no_args_is_help=True)

_SPAN = re.compile(r"(\d{1,6})\s*(s|min|m|h|d)?")
_SPAN_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}

#: The longest time for which an account is closed, in seconds.
_LONGEST_SPAN = 366 * 86_400

AccountId = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="RUNTIME:NAME, for instance claude:default.")
]
Model = Annotated[
    str, typer.Option(metavar="MODEL", help="Only for this model, in the runtime's words. (default: all)")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLine:
    """An account, or one model of it, as it is now."""

    account: str  # `claude:team-a`
    in_settings: bool  # whether a table, or the runtime's default, names it here
    breaker: Breaker  # an open one where nothing was ever closed


@account_app.command("list", epilog=examples("account list", "account list --json"))
def list_accounts(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List accounts: which are closed, why, and when each is tried again."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    now, lines = coalmine.now(), account_lines(coalmine)
    held = coalmine.job_store.occupancy().limited
    document = {"accounts": [account_document(line, now) for line in lines], "held": held}
    terminal.answer(document, accounts_view(lines, now), held_words(held))


@account_app.command(epilog=examples("account close claude:default --for 2h --reason 'the bill'"))
def close(
    ctx: typer.Context,
    account: AccountId,
    *,
    model: Model = ALL_MODELS,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="30m, 2h, 3d, … (default: until it is reopened)")
    ] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; people who look see it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Close an account: no job begins on it. Agents that are running go on."""
    seconds = _span_seconds(duration) if duration else None
    coalmine, terminal = opened(ctx, as_json=as_json)
    _known(coalmine, account)
    user = started(ctx).user
    until = None if seconds is None else coalmine.now() + seconds
    changed = coalmine.breakers.close(
        account, model, until=until, words=reason or f"closed by {user}", by=user
    )
    done = f"{account} is closed." if changed else f"{account} was closed already; its end was set anew."
    terminal.answer({"account": account, "model": model, "changed": changed}, done)


@account_app.command(epilog=examples("account reopen claude:default"))
def reopen(
    ctx: typer.Context, account: AccountId, *, model: Annotated[
        str, typer.Option(metavar="MODEL", help="Only this model, and what closes all. (default: every one)")
    ] = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Open an account again: all jobs that waited for it go on."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    _known(coalmine, account)
    opened_now = coalmine.breakers.reopen(account, by=started(ctx).user, model=model)
    held = coalmine.job_store.occupancy().limited
    done = f"{account} is open; {held} jobs wait for accounts, and those of this one go on."
    if not opened_now:
        done = f"{account} was open; nothing was changed."
    terminal.answer({"account": account, "opened": opened_now}, done)


def account_lines(coalmine: Coalmine) -> list[AccountLine]:
    """Every account that is in the settings here or was ever used, by name and model."""
    breakers = coalmine.breakers.all()
    named = {account.id for account in coalmine.pools.known(_runtimes(coalmine))}
    unused = named - {breaker.account for breaker in breakers}
    found = [*breakers, *(Breaker(account=account) for account in unused)]
    return [
        AccountLine(account=breaker.account, in_settings=breaker.account in named, breaker=breaker)
        for breaker in sorted(found, key=lambda each: (each.account, each.model))
    ]


def _runtimes(coalmine: Coalmine) -> list[str]:
    """The runtimes of all champions; one that cannot be read is left out."""
    runtimes = set()
    for name in coalmine.templates.names():
        try:
            runtimes.add(coalmine.templates.champion(name).snapshot.runtime)
        except (CorruptRecordError, NotFoundError):
            continue
    return sorted(runtimes)


def _known(coalmine: Coalmine, account: str) -> None:
    """Refuse a name that no account has."""
    names = sorted({line.account for line in account_lines(coalmine)})
    if account not in names:
        known = ", ".join(names) or "none"
        message = f"no account is called {account[:60]!r} (known: {known}); see `coalmine account list`"
        raise NotFoundError(message)


def _span_seconds(text: str) -> float:
    """`90s`, `30m`, `2h`, `3d` in seconds; a number alone is seconds. InvalidInputError for anything else."""
    found = _SPAN.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _SPAN_SECONDS[found[2] or "s"] if found else 0
    if not 0 < seconds <= _LONGEST_SPAN:
        message = f"--for {text[:40]!r} is not a time; write 30m, 2h or 3d (at most a year)"
        raise InvalidInputError(message)
    return float(seconds)


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


def accounts_view(lines: Sequence[AccountLine], now: float) -> RenderableType:
    """A table, the closed ones with a countdown."""
    if not lines:
        return "No account was used yet; make a template, and its runtime has one."
    rows = (
        (
            line.account,
            _model(line.breaker),
            word(line.breaker.state.value),
            closed.countdown if (closed := ClosedAccount.of(line.breaker, now)) else "",
            closed.why if closed else "",
            when(line.breaker.used_at) or "-",
            one_line(line.breaker.words, 60),
        )
        for line in lines
    )
    return table(("!account", "!model", "!state", "!tried again", "why", "?!used", "?words"), rows)


def held_words(count: int) -> str:
    """How many jobs wait for an account."""
    return f"{count} jobs wait for an account." if count else "No job waits for an account."


def _model(breaker: Breaker) -> str:
    return {"*": "all", "": "-"}.get(breaker.model, breaker.model)
