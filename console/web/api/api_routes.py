"""`GET /api/v1/…`: what the command line's `--json` says, over HTTP.

Every answer is made by the function that the command and the pages call as well, so keys and values are the
same everywhere. An answer carries an ETag; lists that may be long have `next`, which is given back as
`after`. Docstrings are part of `/openapi.json`.
"""

import fnmatch
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from console.details.account_lines import account_document, account_lines
from console.details.branch_changes import read_branch
from console.details.issue_graph import read_graph
from console.details.job_detail import log_document, read_job
from console.details.sorting import ACCOUNTS, SORT, TEMPLATES, VERSIONS, sorted_rows
from console.details.template_detail import read_difference, read_template, read_version
from console.output.event_views import decision_document, event_document
from console.output.issue_detail import detail_of
from console.output.issue_views import detail_document, issue_document
from console.output.job_views import job_document
from console.output.template_views import template_documents
from console.status.fleet_reading import read_status
from console.status.status_document import status_document
from console.web.request_limits import in_thread
from routing.accounts.closed_account import ClosedAccount
from routing.backlog.item import BacklogState
from routing.issues.issue import IssueRef
from routing.jobs.job import JobState
from routing.store.jobs.job_page import JobFilter
from tasks.composition.composition import Coalmine

#: The path before every path here.
PREFIX = "/api/v1"

#: Things of a list that one answer has at most.
MOST = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most this many.")]
Document = dict[str, Any]

Sort = Annotated[
    str, Query(max_length=100, description="A column of the table on its page; with `-` first, descending.")
]


def api_routes(parts: Coalmine) -> APIRouter:  # noqa: C901 - one route after the other, none with branches
    """The routes. Each reads the stores when it is called."""
    router = APIRouter(prefix=PREFIX, tags=["api"], responses=ERRORS)

    @router.get("/status", summary="The fleet at a glance", response_model=Document)
    async def status(request: Request) -> Response:
        """Agents at work, queues, what is held and why, open trials, what today cost."""
        return await answered(request, lambda: status_document(read_status(parts)))

    @router.get("/templates", summary="All templates", response_model=Document)
    async def templates(request: Request, sort: Sort = "") -> Response:
        """Each with its champion and its open trial."""
        return await answered(
            request,
            lambda: {"templates": sorted_rows(template_documents(parts), TEMPLATES, [(SORT, sort)])[0]},
        )

    @router.get("/templates/{template}", summary="One template", response_model=Document)
    async def template(request: Request, template: str, sort: Sort = "") -> Response:
        """With its versions, their costs, and the decisions about them; `sort` orders the versions."""
        return await answered(request, lambda: _template(parts, template, sort))

    @router.get("/versions/{version}", summary="One version", response_model=Document)
    async def version(
        request: Request, version: Annotated[str, Path(examples=["implementer@v3"])]
    ) -> Response:
        """With its content and its cost."""
        return await answered(request, lambda: read_version(parts, version).document())

    @router.get("/versions/{version}/diff", summary="Two versions compared", response_model=Document)
    async def difference(
        request: Request,
        version: str,
        other: Annotated[str | None, Query(description="By default the parent is compared with it.")] = None,
    ) -> Response:
        """The lines of a unified diff of their contents."""
        return await answered(request, lambda: read_difference(parts, version, other).document())

    @router.get("/jobs", summary="Jobs, the newest first", response_model=Document)
    async def jobs(  # noqa: PLR0917 - given by name
        request: Request,
        state: Annotated[list[JobState] | None, Query(description="Only in these states.")] = None,
        template: str = "",
        parent: str = "",
        after: Annotated[str, Query(description="`next` of the page before.")] = "",
        limit: Limit = 50,
    ) -> Response:
        """A page of jobs; `next` is null where no more follow. One before that may have none."""

        def page() -> Document:
            only = JobFilter(states=frozenset(state or ()), template=template, parent=parent)
            found = parts.jobs.page(only, most=limit, after=after)
            return {"jobs": [job_document(job) for job in found.jobs], "next": found.next or None}

        return await answered(request, page)

    @router.get("/jobs/{job}", summary="One job", response_model=Document)
    async def job(request: Request, job: str) -> Response:
        """Its draw and bet, its attempts, its result, its signals, its score and why."""
        return await answered(request, lambda: read_job(parts, job).document())

    @router.get("/jobs/{job}/log", summary="What a job's agent said", response_model=Document)
    async def log(request: Request, job: str) -> Response:
        """As far as it is kept, oldest first."""

        def lines() -> Document:
            found = parts.jobs.find(job)
            return {"lines": [log_document(line) for line in parts.log_store.read(found.id)]}

        return await answered(request, lines)

    @router.get("/jobs/{job}/diff", summary="What a job's branch changes", response_model=Document)
    async def branch(request: Request, job: str) -> Response:
        """The unified diff of what it pushed, where this host has a copy of its repository."""
        return await answered(request, lambda: read_branch(parts, job).document())

    @router.get("/issues", summary="Issues of the backlog in a state", response_model=Document)
    async def issues(
        request: Request, state: BacklogState = BacklogState.READY, limit: Limit = 50
    ) -> Response:
        """With what each waits for; `counts` has how many there are in each state."""

        def page() -> Document:
            store = parts.backlog_store
            return {
                "issues": [issue_document(item) for item in islice(store.listed(state), limit)],
                "counts": {each.value: store.count(each) for each in BacklogState},
            }

        return await answered(request, page)

    @router.get("/issues/graph", summary="Which issues wait for which", response_model=Document)
    async def graph(
        request: Request, around: Annotated[str, Query(description="Only near this issue.")] = ""
    ) -> Response:
        """In layers, without what is finished; `hidden` more issues have dependencies."""
        near = IssueRef.parse(around) if around else None
        return await answered(request, lambda: read_graph(parts, near).document())

    @router.get("/issue", summary="One issue", response_model=Document)
    async def issue(
        request: Request, ref: Annotated[str, Query(examples=["github:acme/shop#7"])]
    ) -> Response:
        """Its state and why, its metadata with their sources, its neighbours, its events."""
        return await answered(
            request,
            lambda: detail_document(detail_of(IssueRef.parse(ref), parts.backlog_store, parts.events)),
        )

    @router.get("/accounts", summary="Accounts and their limits", response_model=Document)
    async def accounts(request: Request, sort: Sort = "") -> Response:
        """Which are closed, why, and when each is tried again."""
        return await answered(request, lambda: _accounts(parts, sort))

    @router.get("/events", summary="Events, oldest first", response_model=Document)
    async def events(
        request: Request,
        after: Annotated[
            str, Query(pattern=r"^[0-9]{1,19}-[0-9]{1,19}$", description="`next` before.")
        ] = "0-0",
        kind: Annotated[str, Query(max_length=100, description="A pattern, such as `job.*`.")] = "*",
        limit: Limit = 100,
    ) -> Response:
        """Those after an id; `next` is the id of the last one that was looked at."""

        def page() -> Document:
            found = parts.events.after(after, most=limit)
            return {
                "events": [event_document(each) for each in found if fnmatch.fnmatchcase(each.kind, kind)],
                "next": found[-1].id if found else after,
            }

        return await answered(request, page)

    @router.get("/decisions", summary="What people decided, the newest first", response_model=Document)
    async def decisions(
        request: Request,
        after: Annotated[
            str, Query(pattern=r"^([0-9]{1,19}-[0-9]{1,19})?$", description="`next` of the page before.")
        ] = "",
        limit: Limit = 50,
    ) -> Response:
        """Who, what, about what, why, and by a page or over the API."""

        def page() -> Document:
            found = parts.decisions.newest(limit, before=after)
            whole = len(found) == limit
            return {
                "decisions": [decision_document(each) for each in found],
                "next": found[-1].id if whole else None,
            }

        return await answered(request, page)

    return router


def _template(parts: Coalmine, name: str, sort: str) -> Document:
    detail = read_template(parts, name)
    # Those that are alike in an order stand as on the page, the newest first.
    versions = detail.versions[::-1] if sort else detail.versions
    rows = [(version, detail.cost(version)) for version in versions]
    ordered, _ = sorted_rows(rows, VERSIONS, [(SORT, sort)])
    return replace(detail, versions=[version for version, _ in ordered]).document()


def _accounts(parts: Coalmine, sort: str) -> Document:
    now = parts.now()
    rows = [(line, ClosedAccount.of(line.breaker, now)) for line in account_lines(parts)]
    ordered, _ = sorted_rows(rows, ACCOUNTS, [(SORT, sort)])
    return {
        "accounts": [account_document(line, now) for line, _ in ordered],
        "held": parts.job_store.occupancy().limited,
    }


ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such thing.", "content": {"application/problem+json": {}}},
    422: {"description": "A parameter is malformed.", "content": {"application/problem+json": {}}},
    503: {"description": "The store does not answer.", "content": {"application/problem+json": {}}},
}


async def answered(request: Request, read: Callable[[], Mapping[str, Any]]) -> Response:
    """The document with its ETag; 304 without it when the caller has that already (RFC 9110)."""
    document = await in_thread(read)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache, private"}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSONResponse.media_type, headers=headers)
