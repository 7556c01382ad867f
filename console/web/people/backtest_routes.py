"""The page of a backtest."""

import sys
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from console.details.backtest_detail import PairFate, read_backtest
from console.output.rendering import duration, evidence, number
from console.output.trials.backtest_views import TONES, VERDICTS, remarks
from console.output.trials.difference_words import difference_words
from console.output.trials.trial_explanation import unit_document
from console.pages.pictures.pair_squares import MOST_SQUARES, pair_squares, square
from console.pages.trial_page import progress
from console.web.people.page_answers import rows_of, shown
from tasks.backtests.report import MOST_LOST, ArmCost, explained
from tasks.composition.composition import Coalmine

#: Pairs in the table, unless all are asked for: the newest.
MOST_PAIRS = 100


def backtest_routes(parts: Coalmine) -> APIRouter:
    """The route. It reads the stores when it is called."""
    router = APIRouter(include_in_schema=False)

    @router.get("/backtests/{backtest}")
    async def backtest(request: Request, backtest: str, *, all: bool = False) -> Response:  # noqa: A002 - in the URL
        most = sys.maxsize if all else rows_of(request, MOST_PAIRS)
        return await shown(
            parts, request, "backtest", "Templates", lambda: _backtest(parts, backtest, most=most)
        )

    return router


def _backtest(parts: Coalmine, reference: str, *, most: int) -> dict[str, Any]:
    detail = read_backtest(parts, reference)
    report, fates = detail.report, detail.fates
    decision = report.evidence.decide(elapsed_days=0.0)
    return {
        "run": report.run,
        "verdict": VERDICTS[report.run.state],
        "tone": TONES[report.run.state],
        "squares": pair_squares(detail.pairs),
        "undrawn": max(0, len(detail.pairs) - MOST_SQUARES),
        "legend": [(square(fate), fate.words, fates[fate]) for fate in PairFate],
        "pairs_ended": len(report.lines),
        "difference": difference_words(report.difference),
        "questions": [
            {
                "name": name, "said": name.replace("_", " "), "value": evidence(value),
                "threshold": f"{decision.thresholds[name]:g}",
                "progress": progress(value, decision.thresholds[name]),
            }
            for name, value in decision.evidence.items()
        ],
        "costs": [
            ("champion", report.run.champion_id, *_cost(report.champion)),
            ("canary", report.run.canary_id, *_cost(report.canary)),
        ],
        "remarks": list(remarks(report)),
        "lost": report.lost,
        "unread": max(0, len(report.lost) - MOST_LOST),
        "pairs": detail.pairs[-most:][::-1],
        "readings": {
            line.dispatched.index: unit_document(line)["readings"] for line in explained(report)[-most:]
        },
        "earlier": max(0, len(detail.pairs) - most),
        "later": detail.later,
    }  # fmt: skip


def _cost(cost: ArmCost) -> tuple[ArmCost, str, str]:
    """With its dollars and its time in words."""
    return cost, number(cost.usd if cost.unknown < cost.jobs else None), duration(cost.seconds)
