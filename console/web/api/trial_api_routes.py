"""`GET /api/v1/trials…`: trials, what their verdicts rest on, and whether their ledgers give that."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from console.details.sorting import SORT, TRIALS, sorted_rows
from console.details.trial_detail import read_explanation, read_trial
from console.output.trials.trial_attention import trial_documents
from console.output.trials.trial_replay import replayed
from console.web.api.api_routes import ERRORS, PREFIX, Sort, answered
from tasks.composition.composition import Coalmine

Document = dict[str, Any]

_TRIAL = "A trial's id, or a template for its open or last one."


def trial_api_routes(parts: Coalmine) -> APIRouter:
    """The routes. Each reads the stores when it is called."""
    router = APIRouter(prefix=PREFIX, tags=["api"], responses=ERRORS)

    @router.get("/trials", summary="All trials of all templates", response_model=Document)
    async def trials(request: Request, sort: Sort = "") -> Response:
        """Open and closed ones, without their evidence; a `damaged` one has its key, and comes last."""

        def read() -> Document:
            found = trial_documents(parts, parts.templates.names())
            return {"trials": _ordered(parts, found, sort) if sort else found}

        return await answered(request, read)

    @router.get("/trials/{trial}", summary="One trial", response_model=Document)
    async def trial(request: Request, trial: Annotated[str, Path(description=_TRIAL)]) -> Response:
        """Its arms, its evidence with the thresholds, and the verdict now."""
        return await answered(request, lambda: read_trial(parts, trial).document())

    @router.get("/trials/{trial}/explanation", summary="What a verdict rests on", response_model=Document)
    async def explanation(request: Request, trial: Annotated[str, Path(description=_TRIAL)]) -> Response:
        """Every job of the trial in the order of dispatch, with its factors."""
        return await answered(request, lambda: read_explanation(parts, trial).document())

    @router.get(
        "/trials/{trial}/replay", summary="The ledger against the stored state", response_model=Document
    )
    async def replay(request: Request, trial: Annotated[str, Path(description=_TRIAL)]) -> Response:
        """`same`: whether the ledger gives the stored state, to the last digit; both states in full."""
        return await answered(request, lambda: replayed(parts, parts.trials.find(trial)).document())

    return router


def _ordered(parts: Coalmine, documents: list[Document], sort: str) -> list[Document]:
    """In the order of the page's rows."""
    trials = [trial for name in parts.templates.names() for trial in parts.trials.history(name)]
    trials.sort(key=lambda trial: (not trial.is_open, -trial.opened_at))  # those that are alike, as there
    rows = [(trial, parts.differences.in_list(trial)) for trial in trials]
    ordered, _ = sorted_rows(rows, TRIALS, [(SORT, sort)])
    places = {trial.id: place for place, (trial, _) in enumerate(ordered)}
    return sorted(documents, key=lambda each: places.get(each["id"], len(places)))
