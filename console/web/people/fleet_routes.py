"""Pages of the fleet itself: queues and workers, mail and gates, settings, health."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from console.details.finding import LOOKED_AT, find
from console.details.fleet_lines import read_fleet_lines
from console.details.gate_lines import read_mail, shut_gates
from console.details.setting_lines import SettingsSource, setting_lines
from console.details.sorting import PROCESSES, sorted_rows
from console.doctor.health_board import HealthBoard
from console.output.settings_view import value_words
from console.pages.tables import CSV
from console.web.people.page_answers import pairs_of, rows_of, shown
from console.web.request_limits import in_thread
from routing.store.redis.health import Status
from tasks.agents.mail.address import OPERATOR
from tasks.agents.mail.mail import MailState
from tasks.composition.composition import Coalmine

#: Mails of a page, and of a thread.
MOST_MAILS = 100

#: Lists of mail, by their name in the URL.
_LISTS = ("people", "all", "undelivered")


def fleet_routes(parts: Coalmine, board: HealthBoard, source: SettingsSource) -> APIRouter:
    """The routes. `board` has what is wrong, `source` where the settings of this process came from."""
    router = APIRouter(include_in_schema=False)

    @router.get("/workers")
    async def workers(request: Request) -> Response:
        return await shown(parts, request, "workers", "Workers", lambda: _workers(parts, pairs_of(request)))

    @router.get("/mail")
    async def mail(
        request: Request, of: Annotated[str, Query(pattern=f"^({'|'.join(_LISTS)})$")] = _LISTS[0]
    ) -> Response:
        most = rows_of(request, MOST_MAILS)
        return await shown(parts, request, "mail", "Mail", lambda: _mail(parts, of, most))

    @router.get("/mail/{mail}")
    async def letter(request: Request, mail: str) -> Response:
        def read() -> dict[str, Any]:
            found = read_mail(parts, mail, most=MOST_MAILS)
            to_people = found.mail.recipient == OPERATOR
            is_unread = to_people and found.mail.state is not MailState.ACKED
            (job,) = parts.job_store.read_many([found.mail.task])
            return {"found": found, "is_unread": is_unread, "to_people": to_people, "job": job}

        return await shown(parts, request, "letter", "Mail", read)

    @router.get("/search")
    async def search(request: Request, q: Annotated[str, Query(max_length=600)] = "") -> Response:
        """What was named whole has its page at once; a table of the answer may be asked for as CSV."""
        finding = await in_thread(lambda: find(parts, q))
        if finding.exact is not None and CSV not in request.query_params:
            return RedirectResponse(finding.exact.link, status_code=303)
        return await shown(parts, request, "search", "", lambda: {"finding": finding, "looked_at": LOOKED_AT})

    @router.get("/settings")
    async def settings(request: Request, *, all: bool = False) -> Response:  # noqa: A002 - in the URL
        return await shown(
            parts, request, "settings", "Settings", lambda: _settings(parts, source, every=all)
        )

    @router.get("/health")
    async def health(request: Request) -> Response:
        return await shown(parts, request, "health", "Health", lambda: _health(board))

    return router


def _workers(parts: Coalmine, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found = read_fleet_lines(parts)
    processes, sorting = sorted_rows(found.processes, PROCESSES, query)
    settings = parts.settings
    return {
        "now": found.at,
        "fleet": found,
        "processes": processes,
        "sorting": sorting,
        "grace": settings.job.drain_grace_seconds,
        "flower": settings.web.flower_address,
    }


def _mail(parts: Coalmine, of: str, most: int) -> dict[str, Any]:
    office = parts.post_office
    mails = (
        office.dead(most)
        if of == _LISTS[-1]
        else office.newest(most, recipient=OPERATOR if of == "people" else "")
    )
    return {"gates": shut_gates(parts), "mails": mails, "of": of, "lists": _LISTS}


def _settings(parts: Coalmine, source: SettingsSource, *, every: bool) -> dict[str, Any]:
    lines = setting_lines(parts.settings, source.origins)
    shown_lines = [line for line in lines if every or line["source"] != "default"]
    return {
        "file": source.file,
        "is_there": source.file.is_file(),
        "lines": [line | {"value": value_words(line["value"])} for line in shown_lines],
        "every": every,
        "count": len(lines),
    }


def _health(board: HealthBoard) -> dict[str, Any]:
    groups = board.look()
    findings = [finding for group in groups for finding in group.findings]
    order = {Status.PROBLEM: 0, Status.WARNING: 1, Status.OK: 2}
    counts = {status.value: sum(each.status is status for each in findings) for status in order}
    return {
        "groups": groups,
        "findings": sorted(findings, key=lambda each: order[each.status]),
        "counts": counts,
    }
