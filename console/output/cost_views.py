"""What the command line prints of money: dollars as far as they are known, and the tokens.

Unknown is said to be unknown. A sum of which a part is not known is a floor: "at least 0.50 USD". Dollars
that come from a price table are "about" so much.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from console.output.rendering import duration, table, text
from routing.accounts.prices import known
from routing.cost import Cost


def cost_document(cost: Cost) -> dict[str, Any]:
    """A cost for scripts; `usd` is null where no dollars are known, and a floor unless `whole`."""
    return {
        "usd": None if cost.known_usd is None else round(cost.known_usd, 6),
        "whole": cost.is_whole,
        "turns": cost.turns,
        "unknown_turns": cost.unknown,
        "priced_turns": cost.priced,
        "seconds": round(cost.seconds, 3),
        "input_tokens": cost.input_tokens,
        "output_tokens": cost.output_tokens,
        "cache_read_tokens": cost.cache_read_tokens,
        "cache_write_tokens": cost.cache_write_tokens,
    }


def cost_words(cost: Cost) -> str:
    """A cost for people, in a sentence; "" before the first turn."""
    if not cost.turns:
        return ""
    if cost.known_usd is None:
        tokens = tokens_words(cost)
        return f"not known{f': the agent said {tokens} and no dollars' if tokens else ''}"
    missing = "" if cost.is_whole else f", {cost.unknown} of {_turns(cost.turns)} not known"
    return f"{_degree(cost)}{usd(cost.known_usd)} USD{missing}"


def cost_cell(cost: Cost) -> str:
    """A cost in a cell, in USD: `0.50`, `≥ 0.50`, `~ 0.50`, `?` for unknown, a dash for no turn."""
    if not cost.turns:
        return "-"
    if cost.known_usd is None:
        return "?"
    sign = "≥ " if not cost.is_whole else "~ " if cost.priced else ""
    return f"{sign}{usd(cost.known_usd)}"


def usd(value: float) -> str:
    """Dollars with two digits after the point, and with four below a cent: little is not nothing."""
    if 0 < value < 0.01:  # noqa: PLR2004 - a cent
        return f"{value:.4f}" if value >= 0.0001 else "<0.0001"  # noqa: PLR2004 - the last digit
    return f"{value:,.2f}"


def tokens_words(cost: Cost) -> str:
    """`1.2M tokens in, 30k out`; "" where none are known."""
    if not cost.input_tokens + cost.output_tokens:
        return ""
    return f"{_count(cost.input_tokens)} tokens in, {_count(cost.output_tokens)} out"


def costs_view(title: str, sums: Mapping[str, Cost], *, none: str) -> Sequence[RenderableType]:
    """Sums for people, one a line, and all of them together where there are several."""
    if not sums:
        return [none]
    total = sum(sums.values(), Cost())
    lines = [*sums.items(), *([("together", total)] if len(sums) > 1 else [])]
    parts: list[RenderableType] = [
        table(
            (f"!{title}", "!>USD", "!>turns", "?!>time", "?!>tokens in", "?!>out", "?!>from cache"),
            (
                (
                    name,
                    cost_cell(cost),
                    str(cost.turns),
                    duration(cost.seconds),
                    _count(cost.input_tokens),
                    _count(cost.output_tokens),
                    _count(cost.cache_read_tokens),
                )
                for name, cost in lines
            ),
        )
    ]
    if not total.is_whole:
        parts.append(_not_known(total))
    if total.priced:
        parts.append(_by_list(total))
    return parts


def _not_known(total: Cost) -> RenderableType:
    """Why a sum is a floor."""
    return text(
        f"The dollars of {total.unknown} of {_turns(total.turns)} are not known: the agent did not say them. "
        "≥ marks a sum without them.",
        "dim",
    )


def _by_list(total: Cost) -> RenderableType:
    """Where dollars come from that no program said."""
    prices = known()
    return text(
        f"The dollars of {total.priced} of {_turns(total.turns)} are reckoned from tokens, by `[[price]]` of "
        f"the settings or the list prices of {prices.as_of} ({prices.source}). ~ marks a sum with them.",
        "dim",
    )


def _degree(cost: Cost) -> str:
    if not cost.is_whole:
        return "at least "
    return "about " if cost.priced else ""


def _turns(count: int) -> str:
    return f"{count} turn" if count == 1 else f"{count} turns"


def _count(tokens: int) -> str:
    """A number of tokens in three digits or fewer: `950`, `12k`, `1.2M`."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            scaled = tokens / size
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"  # noqa: PLR2004 - two digits
    return str(tokens)
