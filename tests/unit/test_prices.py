"""Prices: dollars for programs that report tokens alone."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from console.output.cost_views import costs_view
from routing.accounts.prices import LIST_FILE, ModelPrice, PriceTable, known
from routing.cost import Cost
from tasks.agents.runtimes.agent_event import SessionEvent, Usage, UsageEvent, UsageScope
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.tally import TurnTally
from tests import price_list
from tests.recordings.agent_recording import AgentRecording
from tests.source import ROOT

NOTHING = Usage()
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
        ("claude-opus-4-5-20251101", 5.0),
        ("gpt-99", None),
        ("stub/model", None),
        (None, None),
    ],
)
def test_models_are_known_by_their_names(model: str | None, price: float | None) -> None:
    """Also with their provider before them, or a date after them; an unknown one has no price."""
    found = PriceTable().of(model, TODAY)
    assert (found.input if found else None) == price


def test_a_price_that_will_change_does_so_on_its_day() -> None:
    """The list has the day on which a provider's promotion ends."""
    before, after = (PriceTable().of("gemini-3.6-flash", day) for day in (TODAY, date(2027, 1, 1)))
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (0.75, 1.5)


def test_the_list_is_what_the_pinned_package_says() -> None:
    """Row by row as `make prices` would write it, and what is found by a name is the package's price for it.

    The package changes its names and forms between versions; who pins another one sees it here.
    """
    assert known().source == price_list.library(), "run `make prices`"
    assert LIST_FILE.read_text() == price_list.text(price_list.rows(known().as_of), known().as_of)
    now = datetime(*known().as_of.timetuple()[:3], tzinfo=UTC)
    providers = [price_list.provider(name) for name in price_list.PROVIDERS]
    for name in {row.model.rstrip("*") for row in known().rows}:
        model = next(model for each in providers if (model := each.find_model(name)))
        found = PriceTable().of(name, known().as_of)
        assert found is not None
        amount = model.get_prices(now).input_mtok
        assert found.input == float(getattr(amount, "base", amount)), name


def test_the_pages_say_what_the_list_is_and_of_when() -> None:
    """Dollars by the list are shown with its age."""
    said = (ROOT / "docs" / "accounts.md").read_text()
    assert f"{known().source}, {known().as_of}" in said
    lines = costs_view("version", {"v1": Cost(turns=2, usd=1.0, priced=1)}, none="")
    assert f"list prices of {known().as_of} ({known().source})" in str(lines[-1])
    assert len(costs_view("version", {"v1": Cost(turns=2, usd=1.0)}, none="")) == 1


def played(recording: AgentRecording, billed: Usage = NOTHING) -> TurnTally:
    """What a turn comes to whose program said what was recorded, with the price of its model."""
    runtime = runtime_for(RuntimeSpec(runtime=recording.runtime, model=recording.model))
    tally = TurnTally(
        billed=billed, asked=recording.session_id, price=PriceTable().of(recording.model, TODAY)
    )
    for line in recording.stdout:
        for event in runtime.parse(line):
            if isinstance(event, SessionEvent):
                tally.session_id = event.session_id
            tally.add(event)
    return tally


@pytest.mark.parametrize(
    ("name", "billed", "dollars"),
    [
        ("codex-1-basic", NOTHING, (100 * 1.25 + 7 * 10.0) / 1e6),
        ("codex-3-resume", Usage(input_tokens=100, output_tokens=7), (100 * 1.25 + 7 * 10.0) / 1e6),
        ("gemini-1-basic", NOTHING, (100 * 0.30 + 7 * 2.50) / 1e6),
    ],
)
def test_what_programs_without_dollars_said_is_bound_in_dollars(
    name: str, billed: Usage, dollars: float
) -> None:
    """Recorded output of the programs: the limit of a turn, of a job and a guardrail see the same dollars."""
    tally = played(AgentRecording.load(name), billed)
    assert tally.usage.cost_usd == pytest.approx(dollars)
    assert TurnLimits(cost_usd=dollars / 2).is_overspent(tally.usage)
    assert not TurnLimits(cost_usd=dollars * 2).is_overspent(tally.usage)
    cost = tally.usage.cost(1.0)
    assert (cost.priced, cost.is_whole) == (1, True)
    assert cost.known_usd == pytest.approx(dollars)


def test_a_model_without_a_price_leaves_recorded_tokens_without_dollars() -> None:
    """Unknown, and not zero: no limit in dollars ends its turn, one in tokens does."""
    tally = played(replace(AgentRecording.load("codex-1-basic"), argv=["codex", "-m", "gpt-99"]))
    assert tally.usage.tokens == 107
    assert tally.usage.cost_usd is None
    assert tally.usage.cost(1.0).known_usd is None
    assert not TurnLimits(cost_usd=1e-9).is_overspent(tally.usage)
    assert TurnLimits(tokens=100).is_overspent(tally.usage)
