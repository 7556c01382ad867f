"""What is kept of the end of a backtest that is a step of a way. Pure."""

from collections.abc import Mapping

from harvest.evidence.verdict import Decision
from harvest.pairs.pair_counts import PairCounts
from routing.store.backtests.backtest_store import Backtest, BacktestState

#: How the end of a step is called in the reviews of versions, as trials call it.
_DECISIONS = {
    BacktestState.NOT_WORSE: "graduate",
    BacktestState.WORSE: "roll_back",
    BacktestState.UNDECIDED: "expire",
    BacktestState.STOPPED: "stop",
}


def review_of(
    run: Backtest, end: BacktestState, reason: str, *, by: str = "evidence",
    counts: PairCounts | None = None, decision: Decision | None = None,
) -> Mapping[str, object]:  # fmt: skip
    """The record of a step's end, which is kept with the template for good."""
    found: dict[str, object] = {
        "decision": _DECISIONS[end], "by": by, "backtest": run.id, "version": run.canary_id,
        "champion": run.champion_id, "reasons": [reason], "step": run.place.document(),
    }  # fmt: skip
    if decision is not None:
        found |= {"evidence": decision.evidence, "thresholds": decision.thresholds}
    if counts is not None:
        found["pairs"] = {
            "settled": counts.settled, "excluded": counts.excluded, "champion_only": counts.champion_only,
            "canary_only": counts.canary_only,
        }  # fmt: skip
    return found
