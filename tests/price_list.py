"""Makes the list of prices that ships with the project: `make prices`, once a newer `genai-prices` is pinned.

That package has prices of every provider, and importing it costs an HTTP client, 20 MB of memory and a tenth
of a second. So it is a tool of ours: what we take from it is a small file that a person can read in
a diff, with the version that it comes from. `tests/unit/test_prices.py` holds the file against the package.

Only standard prices of text for requests of ordinary size are taken: a program reports the sum of its
requests, of which neither the size of each nor its tier is known.
"""

import importlib
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Any

from routing.accounts.prices import LIST_FILE

#: Those whose models bear names of their own, in the order in which a name is looked for. Resellers and
#: clouds have other prices for the same names.
PROVIDERS = ("openai", "google", "anthropic", "mistral", "deepseek", "moonshotai", "x-ai", "zai")

#: Their names for the prices of ours, in USD for a million tokens.
_PRICES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}


def provider(name: str) -> Any:
    """A provider as the package has it."""
    found = importlib.import_module("genai_prices.data").providers
    return next(each for each in found if each.id == name)


def library() -> str:
    """The package and its version, in words."""
    return f"genai-prices {version('genai-prices')}"


def rows(today: date) -> list[dict[str, Any]]:
    """The prices that hold today, and those that are known to follow, as `ModelPrice` reads them."""
    found: list[dict[str, Any]] = []
    names = set[str]()
    for each in map(provider, PROVIDERS):
        for model in each.models:
            own = _shortest({model.id, *_names(model.match)})
            new = [name for name in own if name not in names and "/" not in name and _is(each, name, model)]
            prices = list(_dated(model.prices, today)) if new else []
            names.update(new if prices else ())
            found += [{"model": name} | price for name in new for price in prices]
    return sorted(found, key=lambda row: (row["model"], row.get("since", "")))


def _names(match: Any) -> Iterator[str]:
    """The names that a rule gives in so many words; `*` stands for any end."""
    kind = type(match).__name__
    if kind == "ClauseEquals":
        yield match.equals
    elif kind == "ClauseStartsWith":
        yield f"{match.starts_with}*"
    elif kind == "ClauseOr":
        for part in match.or_:
            yield from _names(part)


def _shortest(names: set[str]) -> list[str]:
    """Without those that another one stands for."""
    open_ended = [name for name in names if name.endswith("*")]
    return [
        name
        for name in names
        if not any(name.startswith(other[:-1]) for other in open_ended if other != name)
    ]


def _is(owner: Any, name: str, model: Any) -> bool:
    """Whether the package itself takes that name for that model."""
    return owner.find_model(name.rstrip("*")) is model


def _dated(prices: Any, today: date) -> Iterator[dict[str, Any]]:
    """Those that hold from today on, each with its day. What changes by the hour is taken at its base."""
    dated = prices if isinstance(prices, list) else []
    steps = [(_start(each), each.prices) for each in dated if _is_dated(each)] or [(None, prices)]
    past = [step for step in steps if step[0] is None or step[0] <= today]
    for start, price in [*past[-1:], *(step for step in steps if step not in past)]:
        amounts = {ours: _base(getattr(price, theirs, None)) for ours, theirs in _PRICES.items()}
        if amounts["input"] is not None and amounts["output"] is not None:
            known = {name: amount for name, amount in amounts.items() if amount is not None}
            yield known | ({"since": start.isoformat()} if start else {})


def _is_dated(conditional: Any) -> bool:
    return conditional.constraint is None or hasattr(conditional.constraint, "start_date")


def _start(conditional: Any) -> date | None:
    found: date | None = getattr(conditional.constraint, "start_date", None)
    return found


def _base(price: Any) -> float | None:
    """A price, or that of requests of ordinary size."""
    return None if price is None else float(getattr(price, "base", price))


def text(made: Iterable[dict[str, Any]], today: date) -> str:
    """The file: a row a line, so that a diff shows which prices have changed."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in made)
    return f'{{"source": "{library()}", "as_of": "{today}", "rows": [\n{lines}\n]}}\n'


def main() -> int:
    """Write the file."""
    today = datetime.now(UTC).date()
    LIST_FILE.write_text(text(rows(today), today))
    return 0


if __name__ == "__main__":
    sys.exit(main())
