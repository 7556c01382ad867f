"""`coalmine account …`: the credentials that agents work with, and their limits.

What closes an account is in the store, so these commands see the same on every machine; the tables of the
settings only add accounts that nobody has used yet.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from console.details.account_lines import AccountLine, account_document, account_lines, known_account
from console.invocation import AsJson, examples, noted, opened, started
from console.output.rendering import one_line, table, when, word
from routing.accounts.breaker import Breaker
from routing.accounts.closed_account import ALL_MODELS, ClosedAccount
from routing.errors import InvalidInputError

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
    known_account(coalmine, account)
    user = started(ctx).user
    until = None if seconds is None else coalmine.now() + seconds
    changed = coalmine.breakers.close(
        account, model, until=until, words=reason or f"closed by {user}", by=user
    )
    noted(ctx, account, reason=reason)
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
    known_account(coalmine, account)
    opened_now = coalmine.breakers.reopen(account, by=started(ctx).user, model=model or None)
    held = coalmine.job_store.occupancy().limited
    done = f"{account} is open; {held} jobs wait for accounts, and those of this one go on."
    if opened_now:
        noted(ctx, account)
    else:
        done = f"{account} was open; nothing was changed."
    terminal.answer({"account": account, "opened": opened_now}, done)


def _span_seconds(text: str) -> float:
    """`90s`, `30m`, `2h`, `3d` in seconds; a number alone is seconds. InvalidInputError for anything else."""
    found = _SPAN.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _SPAN_SECONDS[found[2] or "s"] if found else 0
    if not 0 < seconds <= _LONGEST_SPAN:
        message = f"--for {text[:40]!r} is not a time; write 30m, 2h or 3d (at most a year)"
        raise InvalidInputError(message)
    return float(seconds)


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
