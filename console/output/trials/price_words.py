"""What changes cost that stayed: the numbers with what they are made of, for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from console.output.cost_views import usd
from console.output.rendering import table, text
from harvest.settling.outcome_price import ChangeEnding, OutcomePrice, Price

#: What the columns mean.
MEANING = (
    "A change counts when it was merged and not reverted. Its price is what all settled jobs spent, failures "
    "with them, over such changes; [ ] is where the price really is, wrong with chance 0.05 at either end "
    "however often one looks. ? is unknown, ≥ a part of it is."
)
CUT = "there is no interval, since it would not hold at every look."
JUDGED = " In trials of pairs a change counts when the judge calls it solved."


def price_cell(price: Price, unit: str) -> str:
    """`1.25 [0.90, 2.10]`; `≥` where a part is unknown, `?` where all is, a dash before the first change."""
    if price.spent is None:
        return "?"
    if price.each is None:
        return "-" if price.lower is None else f"at least {_amount(price.lower, unit)}"
    sign = "" if price.whole else "≥ "
    if price.lower is None and price.upper is None:
        return f"{sign}{_amount(price.each, unit)}"
    low = "0" if price.lower is None else _amount(price.lower, unit)
    is_bound = price.upper is not None and price.upper < _FAR * price.each
    high = _amount(price.upper, unit) if price.upper is not None and is_bound else "?"
    return f"{sign}{_amount(price.each, unit)} [{low}, {high}]"


def spent_cell(found: OutcomePrice) -> str:
    """What the price in dollars is made of: `12.40 USD / 8`."""
    spent = found.prices["usd"].spent
    dollars = "?" if spent is None else f"{'' if found.prices['usd'].whole else '≥ '}{usd(spent)} USD"
    return f"{dollars} / {found.jobs[ChangeEnding.KEPT]}"


def failures_cell(found: OutcomePrice) -> str:
    """The part of the dollars that failures took, or of the tokens where no dollars are known."""
    shares = (found.prices[name].on_failures for name in ("usd", "tokens", "minutes"))
    share = next((each for each in shares if each is not None), None)
    return "-" if share is None else f"{share:.0%}"


def price_rows(prices: Mapping[str, OutcomePrice]) -> list[tuple[str, ...]]:
    """A row for each version or arm; the columns are COLUMNS."""
    return [
        (
            name,
            f"{found.jobs[ChangeEnding.KEPT]} of {found.settled}",
            spent_cell(found),
            price_cell(found.prices["usd"], "usd"),
            price_cell(found.prices["tokens"], "tokens"),
            price_cell(found.prices["minutes"], "minutes"),
            failures_cell(found),
        )
        for name, found in prices.items()
    ]


#: An upper end so many times the price is as good as none.
_FAR = 100.0

#: Columns after the name.
COLUMNS = ("changes", "spent", "USD a change", "tokens a change", "minutes a change", "on failures")


def prices_view(title: str, prices: Mapping[str, OutcomePrice], *, none: str) -> Iterator[RenderableType]:
    """Prices for people, one a line, or why there are none."""
    if not prices:
        yield none
        return
    yield table((f"!{title}", *(f">{name}" for name in COLUMNS)), price_rows(prices))
    yield text(meaning(prices), "dim")


def prices_shown(prices: Mapping[str, OutcomePrice], *, judged: bool = False) -> dict[str, Any]:
    """What a page has of prices, one a row; `judged`: they are of a trial of pairs."""
    return {
        "price_columns": COLUMNS,
        "prices": price_rows(prices),
        "price_meaning": meaning(prices) + (JUDGED if judged else ""),
    }


def meaning(prices: Mapping[str, OutcomePrice]) -> str:
    """What the columns mean; where earlier jobs are missing, of which, and that there is no interval."""
    cut = [name for name, found in prices.items() if found.is_cut]
    return f"{MEANING} Of {', '.join(cut)} the earlier jobs are no longer read: {CUT}" if cut else MEANING


def _amount(value: float, unit: str) -> str:
    if unit == "usd":
        return usd(value)
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
