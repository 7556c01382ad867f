"""The pages: each reads what it shows through `console.details` and `console.status`, and renders it.

The URL holds what is filtered, so a page can be linked to. What a page shows is also in `/api/v1`.
"""

import fnmatch
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from console.decisions.issue_decisions import AS_LABELLED
from console.details.account_lines import account_lines
from console.details.fleet_lines import read_queues
from console.details.gate_lines import shut_gates
from console.details.issue_graph import read_graph
from console.details.issue_reasons import read_reasons
from console.details.sorting import ACCOUNTS, TEMPLATES, TRIALS, VERSIONS, sorted_rows
from console.details.template_detail import read_difference, read_template, read_version
from console.details.trial_detail import read_explanation
from console.details.trial_plan import said_of_trial
from console.output.issue_detail import detail_of
from console.output.issue_views import ISSUE
from console.output.template_views import VERSION, content, template_documents
from console.output.trials.backtest_views import TONES, VERDICTS
from console.output.trials.difference_words import difference_cell
from console.output.trials.price_words import prices_shown
from console.output.trials.trial_attention import awaits_person
from console.output.trials.trial_replay import figures, replayed
from console.pages.needs import needs_of
from console.pages.pictures.graph_picture import graph_picture
from console.pages.pictures.outcome_bars import PATTERNS, outcome_bars, swatch
from console.pages.pictures.version_plot import price_readings, score_readings, version_plot
from console.pages.rendering import STATIC, fact_rows
from console.pages.thing_links import decision_link, event_link, jobs_decided, jobs_of_events
from console.pages.trial_page import trial_line, trial_page
from console.status.fleet_reading import read_status
from console.web.people.page_answers import pairs_of, rows_of
from console.web.people.page_answers import shown as shown_page
from harvest.trials.outcome_prices import LOOKED_AT
from routing.accounts.closed_account import ClosedAccount
from routing.backlog.item import BacklogState
from routing.errors import CorruptRecordError, NotFoundError
from routing.issues.issue import IssueRef
from routing.issues.stated_words import PRIORITIES
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine

#: Issues of a page, and entries of a ledger unless all are asked for.
PAGE_LENGTH, LEDGER_LENGTH = 50, 100

#: The latest events, among which a page of events looks.
EVENTS_LOOKED_AT = 1_000

#: Decisions on one page.
DECISIONS_A_PAGE = 100

#: The pairs of a page's address.
AddressPairs = Sequence[tuple[str, str]]

Text = Annotated[str, Query(max_length=600)]


def page_routes(parts: Coalmine) -> APIRouter:  # noqa: C901 - one route after the other, none with branches
    """The routes of all pages that only show."""
    router = APIRouter(include_in_schema=False)

    async def shown(request: Request, name: str, here: str, read: Callable[[], dict[str, Any]]) -> Response:
        return await shown_page(parts, request, name, here, read)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        kind, content = STATIC[name]
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})

    @router.get("/")
    async def home(request: Request) -> Response:
        return await shown(request, "home", "", lambda: _home(parts))

    @router.get("/trials")
    async def trials(request: Request) -> Response:
        return await shown(request, "trials", "Trials", lambda: _all_trials(parts, pairs_of(request)))

    @router.get("/trials/{trial}")
    async def trial(request: Request, trial: str, *, all: bool = False) -> Response:  # noqa: A002 - in the URL
        most = sys.maxsize if all else rows_of(request, LEDGER_LENGTH)
        return await shown(request, "trial", "Trials", lambda: _trial(parts, trial, most=most))

    @router.get("/trials/{trial}/replay")
    async def replay(request: Request, trial: str) -> Response:
        return await shown(request, "replay", "Trials", lambda: _replay(parts, trial))

    @router.get("/issues")
    async def issues(request: Request, state: BacklogState | None = None) -> Response:
        most = rows_of(request, PAGE_LENGTH)
        return await shown(request, "issues", "Issues", lambda: _issues(parts, state, most))

    @router.get("/issues/graph")
    async def graph(request: Request, around: Text = "") -> Response:
        return await shown(request, "graph", "Issues", lambda: _graph(parts, around))

    @router.get("/issue")
    async def issue(request: Request, ref: Text) -> Response:
        return await shown(request, "issue", "Issues", lambda: _issue(parts, ref))

    @router.get("/templates")
    async def templates(request: Request) -> Response:
        return await shown(
            request, "templates", "Templates",
            lambda: _templates(parts, pairs_of(request)),
        )  # fmt: skip

    @router.get("/templates/{template}")
    async def template(request: Request, template: str) -> Response:
        return await shown(
            request,
            "template",
            "Templates",
            lambda: _template(parts, template, pairs_of(request)),
        )

    @router.get("/versions/{version}")
    async def version(request: Request, version: str) -> Response:
        return await shown(request, "version", "Templates", lambda: _version(parts, version))

    @router.get("/versions/{version}/diff")
    async def difference(request: Request, version: str, other: Text = "") -> Response:
        def read() -> dict[str, Any]:
            found = read_difference(parts, version, other or None)
            return {"before": found.before, "after": found.after, "lines": found.lines}

        return await shown(request, "difference", "Templates", read)

    @router.get("/accounts")
    async def accounts(request: Request) -> Response:
        return await shown(
            request, "accounts", "Accounts",
            lambda: _accounts(parts, pairs_of(request)),
        )  # fmt: skip

    @router.get("/events")
    async def events(request: Request, kind: Text = "*") -> Response:
        most = rows_of(request, 4 * PAGE_LENGTH)
        return await shown(request, "events", "Events", lambda: _events(parts, kind or "*", most))

    @router.get("/audit")
    async def audit(
        request: Request,
        after: Annotated[str, Query(pattern=r"^([0-9]{1,19}-[0-9]{1,19})?$")] = "",
    ) -> Response:
        most = rows_of(request, DECISIONS_A_PAGE)
        return await shown(request, "audit", "Audit", lambda: _audit(parts, after, most))

    return router


def _home(parts: Coalmine) -> dict[str, Any]:
    status, queues = read_status(parts), read_queues(parts)
    last = [trial for name in parts.templates.names() if (trial := _last_trial(parts, name)) is not None]
    undecided = {trial.id for trial in last if awaits_person(parts, trial)}
    return {
        "now": status.at,
        "status": status,
        "queues": queues,
        "needs": needs_of(
            status,
            last,
            undecided,
            status.damaged_trials,
            gates=shut_gates(parts),
            queues=queues,
            backtests=parts.backtest_opening.running(),
        ),
        "trials": [trial_line(each) for each in status.trials],
        "bars": outcome_bars(status.outcomes),
        "outcomes": [
            (state, swatch(state), sum(hour.ended[state] for hour in status.outcomes)) for state in PATTERNS
        ],
    }


def _audit(parts: Coalmine, after: str, most: int) -> dict[str, Any]:
    found = parts.decisions.newest(most, before=after)
    kept = _kept(parts, jobs_decided(found))
    lines = [(each, decision_link(each, kept)) for each in found]
    return {
        "decisions": lines,
        "after": after,
        "next": found[-1].id if len(found) == most else "",
    }


def _kept(parts: Coalmine, jobs: list[str]) -> set[str]:
    """Those of the jobs that have not expired."""
    return {job for job, record in zip(jobs, parts.job_store.read_many(jobs), strict=True) if record}


def _last_trial(parts: Coalmine, template: str) -> Trial | None:
    try:
        return parts.trials.find(template)
    except (NotFoundError, CorruptRecordError):  # what is damaged stands in the status
        return None


def _all_trials(parts: Coalmine, query: AddressPairs) -> dict[str, Any]:
    """Open ones first, then by their beginning, the newest first, unless asked otherwise; and the damaged."""
    names = parts.templates.names()
    found = [trial for name in names for trial in parts.trials.history(name)]
    found.sort(key=lambda trial: (not trial.is_open, -trial.opened_at))
    rows = [(trial, parts.differences.in_list(trial)) for trial in found]
    rows, sorting = sorted_rows(rows, TRIALS, query)
    return {
        "trials": [(trial, difference_cell(difference)) for trial, difference in rows],
        "sorting": sorting,
        "damaged": [trial for name in names for trial in parts.trials.damaged(name)],
    }


def _trial(parts: Coalmine, reference: str, *, most: int) -> dict[str, Any]:
    found = read_explanation(parts, reference)
    most, plan = min(most, len(found.lines)), said_of_trial(parts, found.status.trial)
    shown = trial_page(found.status, found.lines, found.groups, found.course, most=most, plan=plan)
    return shown | {"fix_forwards": {arm.value: each for arm, each in found.fix_forwards.items()}}


def _replay(parts: Coalmine, reference: str) -> dict[str, Any]:
    """O(jobs of the trial), so it is done when a person asks for it."""
    found = replayed(parts, parts.trials.find(reference))
    stored = figures(found.stored) if found.stored else {}
    rows = [(name, stored.get(name, "-"), value) for name, value in figures(found.recomputed).items()]
    return {"replay": found, "figures": rows}


def _issues(parts: Coalmine, state: BacklogState | None, most: int) -> dict[str, Any]:
    store = parts.backlog_store
    counts = [(each.value, store.count(each)) for each in BacklogState]
    chosen = state or next((BacklogState(name) for name, count in counts if count), BacklogState.READY)
    found = list(islice(store.listed(chosen), most))
    more = dict(counts)[chosen.value] - len(found)
    listed = list(zip(found, read_reasons(parts, found), strict=True))
    return {"issues": listed, "state": chosen.value, "counts": counts, "more": max(0, more)}


def _graph(parts: Coalmine, around: str) -> dict[str, Any]:
    found = read_graph(parts, IssueRef.parse(around) if around else None)
    return {"graph": found, "picture": graph_picture(found), "waits": found.waits()}


def _issue(parts: Coalmine, reference: str) -> dict[str, Any]:
    detail = detail_of(IssueRef.parse(reference), parts.backlog_store, parts.events)
    fields = [field for field in ISSUE if field.label not in {"job", "title"}]
    shown = {"detail": detail, "item": detail.item, "rows": fact_rows(fields, detail.item)}
    return shown | {"priorities": PRIORITIES, "as_labelled": AS_LABELLED}


def _templates(parts: Coalmine, query: AddressPairs) -> dict[str, Any]:
    found, sorting = sorted_rows(template_documents(parts), TEMPLATES, query)
    return {"templates": found, "sorting": sorting}


def _template(parts: Coalmine, name: str, query: AddressPairs) -> dict[str, Any]:
    detail = read_template(parts, name)
    newest = [(version, detail.cost(version)) for version in reversed(detail.versions)]
    versions, sorting = sorted_rows(newest, VERSIONS, query)
    reviews = [
        {
            "version": str(each.get("version", "")),
            "decision": str(each.get("decision", "")),
            "step": each.get("step"),
            "by": str(each.get("by", "")),
            "reason": str(each.get("reason") or " ".join(map(str, each.get("reasons", ())))),
        }
        for each in reversed(detail.reviews)
    ]
    newest_first = [each.id for each in reversed(detail.versions)]
    prices = {name: detail.prices[name] for name in newest_first if name in detail.prices}
    in_order = [detail.prices[each.id] for each in detail.versions if each.id in detail.prices]
    named = [each.id for each in detail.versions if each.id in detail.prices]
    priced = list(zip(named, in_order, strict=True))
    return {
        "summary": detail.summary,
        "champion": parts.templates.champion(name),
        "score_plot": version_plot(score_readings(priced), "Mean score", top=1.0),
        "usd_plot": version_plot(price_readings(priced), "USD a merged change"),
        "scores": [(each, found.score) for each, found in reversed(priced) if found.score is not None],
        "versions": versions,
        "sorting": sorting,
        **prices_shown(prices),
        "reviews": reviews,
        "trials": list(reversed(parts.trials.history(name))),
        "damaged": parts.trials.damaged(name),
        "backtests": [
            (run, TONES[run.state], VERDICTS[run.state])
            for run in reversed(parts.backtest_opening.of_template(name))
        ],
    }


def _version(parts: Coalmine, reference: str) -> dict[str, Any]:
    detail = read_version(parts, reference)
    return {
        "version": detail.version,
        "cost": detail.cost,
        "price_jobs": LOOKED_AT,
        **prices_shown({detail.version.id: detail.price} if detail.price is not None else {}),
        "rows": fact_rows(VERSION, detail.version),
        "content": content(detail.version.snapshot),
    }


def _accounts(parts: Coalmine, query: AddressPairs) -> dict[str, Any]:
    now = parts.now()
    rows = [(line, ClosedAccount.of(line.breaker, now)) for line in account_lines(parts)]
    accounts, sorting = sorted_rows(rows, ACCOUNTS, query)
    return {
        "now": now,
        "accounts": accounts,
        "sorting": sorting,
        "held": parts.job_store.occupancy().limited,
    }


def _events(parts: Coalmine, kind: str, most: int) -> dict[str, Any]:
    latest = parts.events.newest(EVENTS_LOOKED_AT)
    found = list(islice((event for event in latest if fnmatch.fnmatchcase(event.kind, kind)), most))
    kept = _kept(parts, jobs_of_events(found))
    events = [(event, event_link(event, kept)) for event in found]
    return {"events": events, "looked_at": len(latest), "kind": kind}
