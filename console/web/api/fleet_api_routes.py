"""`GET /api/v1/…` of the fleet itself: workers, gates, one mail, settings, health. As the pages have them."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from console.details.finding import find
from console.details.fleet_lines import read_fleet_lines
from console.details.gate_lines import gate_document, read_mail, shut_gates
from console.details.setting_lines import SettingsSource, settings_document
from console.details.sorting import PROCESSES, SORT, sorted_rows
from console.doctor.health_board import HealthBoard, health_document
from console.web.api.api_routes import ERRORS, PREFIX, Sort, answered
from tasks.composition.composition import Coalmine

Document = dict[str, Any]

#: Mails of one thread.
MOST_OF_THREAD = 500


def fleet_api_routes(parts: Coalmine, board: HealthBoard, source: SettingsSource) -> APIRouter:
    """The routes. `board` has what is wrong, `source` where the settings of this process came from."""
    router = APIRouter(prefix=PREFIX, tags=["api"], responses=ERRORS)

    @router.get("/workers", summary="Queues and processes", response_model=Document)
    async def workers(request: Request, sort: Sort = "") -> Response:
        """What waits in each queue and since when; workers with their version and what they run.

        `sort` orders the processes.
        """

        def read() -> Document:
            found = read_fleet_lines(parts)
            processes, _ = sorted_rows(found.processes, PROCESSES, [(SORT, sort)])
            return replace(found, processes=processes).document()

        return await answered(request, read)

    @router.get("/gates", summary="Agents that wait for a person's decision", response_model=Document)
    async def gates(request: Request) -> Response:
        """The one that ends first at the front; each with the mail that it asks by."""
        return await answered(request, lambda: {"gates": [gate_document(each) for each in shut_gates(parts)]})

    @router.get("/mail/{mail}", summary="One mail with its thread", response_model=Document)
    async def mail(request: Request, mail: Annotated[str, Path(examples=["4f1d0c2ab39e8876"])]) -> Response:
        """Reading it here does not mark it as read."""
        return await answered(request, lambda: read_mail(parts, mail, most=MOST_OF_THREAD).document())

    @router.get(
        "/search", summary="Jobs, issues, versions and trials by id or words", response_model=Document
    )
    async def search(
        request: Request, q: Annotated[str, Query(max_length=600, examples=["shop#7"])] = ""
    ) -> Response:
        """What was named whole is the first; at most ten of each kind, the newest."""
        return await answered(request, lambda: find(parts, q).document())

    @router.get("/settings", summary="Settings of this process", response_model=Document)
    async def settings(request: Request) -> Response:
        """Every value with where it came from; secrets are masked."""
        return await answered(request, lambda: settings_document(parts.settings, source))

    @router.get("/health", summary="What is wrong, as `coalmine doctor` says it", response_model=Document)
    async def health(request: Request) -> Response:
        """At once; `asking` names what is still being looked at."""
        return await answered(request, lambda: health_document(board.look()))

    return router
