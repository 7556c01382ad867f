"""Prices: dollars for programs that report tokens alone."""

from datetime import date

import pytest

from routing.accounts.prices import AS_OF, KNOWN, ModelPrice, PriceTable
from tasks.agents.runtimes.agent_event import Usage, UsageEvent, UsageScope
from tasks.agents.turn.tally import TurnTally

TODAY = date(2026, 12, 1)
PRICE = ModelPrice(model="m", input=2.0, output=10.0, cache_read=0.5)


def test_tokens_from_the_cache_cost_what_they_cost() -> None:
    """They are a part of the input."""
    assert PRICE.usd(
        input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=600_000
    ) == pytest.approx(0.8 + 1.0 + 0.3)
    assert PRICE.usd(input_tokens=10, output_tokens=0, cache_read_tokens=99) == pytest.approx(5e-6)


def test_a_program_without_dollars_gets_them_and_they_are_marked() -> None:
    """As what the session used in earlier turns was billed before, it is not priced again."""
    tally = TurnTally(billed=Usage(input_tokens=1_000_000), asked="s", price=PRICE)
    tally.session_id = "s"
    used = Usage(input_tokens=3_000_000, output_tokens=100_000)
    tally.add(UsageEvent(usage=used, scope=UsageScope.SESSION))
    assert tally.usage.cost_usd == pytest.approx(5.0)
    assert tally.usage.cost(1.0).priced == 1


def test_dollars_that_a_program_says_are_believed() -> None:
    """No price is laid over them; a model without a price leaves them unknown."""
    said = Usage(cost_usd=0.25, input_tokens=1_000_000)
    assert said.priced(PRICE) == said
    assert Usage(input_tokens=5).priced(None).cost_usd is None
    assert Usage().priced(PRICE).cost_usd is None


def test_the_newest_price_that_holds_counts() -> None:
    """Those of the settings before those that are known; one of the future does not count yet."""
    rows = [
        ModelPrice(model="gpt-5", input=9.0, output=9.0, since=date(2026, 1, 1)),
        ModelPrice(model="gpt-5", input=8.0, output=8.0, since=date(2026, 11, 1)),
        ModelPrice(model="gpt-5", input=7.0, output=7.0, since=date(2027, 1, 1)),
    ]
    found = PriceTable(own=rows).of("gpt-5", TODAY)
    assert found is not None
    assert found.input == 8.0


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-5-codex", 1.25),
        ("openai/gpt-5-mini", 0.25),
        ("gemini-2.5-flash", 0.30),
        ("gpt-9", None),
        (None, None),
    ],
)
def test_models_are_known_by_their_names(model: str | None, price: float | None) -> None:
    """Also with their provider before them; an unknown one has no price."""
    found = PriceTable().of(model, TODAY)
    assert (found.input if found else None) == price


def test_every_known_row_is_dated_and_found() -> None:
    """None hides another."""
    for row in KNOWN:
        assert row.since == AS_OF
        assert PriceTable().of(row.model, TODAY) == row
