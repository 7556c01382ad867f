"""`GET /api/v1/backtests…`: what `coalmine backtest list`, `show` and `explain` print with `--json`."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from console.details.backtest_detail import list_backtests, report_of
from console.output.trials.backtest_views import backtest_document, explained_document, report_document
from console.web.api.api_routes import ERRORS, PREFIX, answered
from tasks.backtests.report import explained
from tasks.composition.composition import Coalmine

Document = dict[str, Any]

_BACKTEST = "A backtest's id, or a template for its last one."


def backtest_api_routes(parts: Coalmine) -> APIRouter:
    """The routes. Each reads the stores when it is called."""
    router = APIRouter(prefix=PREFIX, tags=["api"], responses=ERRORS)

    @router.get("/backtests", summary="All backtests", response_model=Document)
    async def backtests(
        request: Request, template: Annotated[str, Query(description="Only of this template.")] = ""
    ) -> Response:
        """Running and ended ones by template, the oldest first, without their pairs."""

        def read() -> Document:
            return {"backtests": [backtest_document(run) for run in list_backtests(parts, template)]}

        return await answered(request, read)

    @router.get("/backtests/{backtest}", summary="One backtest", response_model=Document)
    async def backtest(request: Request, backtest: Annotated[str, Path(description=_BACKTEST)]) -> Response:
        """Its verdict and evidence, who solved what, cost, lost cases, and how it foretold later trials."""
        return await answered(request, lambda: report_document(report_of(parts, backtest)))

    @router.get(
        "/backtests/{backtest}/explanation", summary="What its verdict rests on", response_model=Document
    )
    async def explanation(
        request: Request, backtest: Annotated[str, Path(description=_BACKTEST)]
    ) -> Response:
        """Each pair in the order of dispatch, with its bet, its factors and the evidence so far."""

        def read() -> Document:
            report = report_of(parts, backtest)
            return explained_document(report, explained(report))

        return await answered(request, read)

    return router
