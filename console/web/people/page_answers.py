"""A page as an answer: with the policy of pages, and what every page shows of its viewer."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.pages.rendering import render
from console.pages.tables import CSV, csv_of, table_names, with_csv_links
from console.web.headers import PAGE_HEADERS
from console.web.people.guard import viewer_of
from console.web.request_limits import in_thread
from tasks.composition.composition import Coalmine

#: Rows of a table that is asked for as CSV.
MOST_IN_CSV = 1_000

#: What to do about an error, by its status.
_REMEDIES = {
    401: "Sign in, and try it again.",
    403: "Sign in with the acting token, and try it again from the page itself.",
    404: "Finished jobs expire, and a name may be mistyped. The pages above list what there is.",
    409: "Nothing was changed. Look at the page again: somebody else may have decided meanwhile.",
    422: "Nothing was changed. Correct the address or the form, and try it again.",
    500: "This is a fault in Coalmine; the log of `coalmine web` has it.",
    503: "This page comes back when you load it again; `coalmine doctor` says what is wrong.",
}


async def shown(
    parts: Coalmine, request: Request, name: str, here: str, read: Callable[[], dict[str, Any]]
) -> Response:
    """The page of what is read: both may take a while, so both are done in a thread.

    `here` is the entry of the menu; what is read has the template's names, and may have `now`.
    """

    def made() -> Response:
        context = read()
        return page(request, name, here=here, now=context.pop("now", None) or parts.now(), **context)

    return await in_thread(made)


def rows_of(request: Request, usual: int) -> int:
    """How many rows a table gets: `usual`, or MOST_IN_CSV where one is asked for as CSV."""
    return MOST_IN_CSV if CSV in request.query_params else usual


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The pairs of the page's address, in their order."""
    return request.query_params.multi_items()


def page(request: Request, name: str, *, here: str, now: float, code: int = 200, **context: Any) -> Response:
    """The page of a template; `now` is the server's time that relative times count from.

    Every table of every page is a CSV file as well: the same address with `csv` and the table's name. Where
    more follow, the header `Link` has the address of the next part.
    """
    asked = request.query_params.get(CSV) if code == HTTPStatus.OK else None
    text = render(
        name, whole=asked is not None, here=here, now=now, viewer=viewer_of(request.scope), **context
    )
    if asked is not None:
        return _csv(request, text, asked, more=str(context.get("next") or ""))
    linked = with_csv_links(text, request.scope["path"], pairs_of(request))
    return HTMLResponse(linked, status_code=code, headers=PAGE_HEADERS)


def _csv(request: Request, text: str, name: str, *, more: str) -> Response:
    table = csv_of(text, name)
    if table is None:
        known = ", ".join(table_names(text)) or "none"
        raise HTTPException(404, f"this page has no table {name[:60]!r}; it has {known}")
    file = re.sub("[^a-z0-9]+", "-", f"{request.scope['path']} {name}".lower()).strip("-")[:80]
    headers = {"Content-Disposition": f'attachment; filename="{file}.csv"'}
    if more:
        others = [pair for pair in pairs_of(request) if pair[0] != "after"]
        path, query = quote(request.scope["path"], safe="/@:"), urlencode([*others, ("after", more)])
        headers["Link"] = f'<{path}?{query}>; rel="next"'
    return Response(table, media_type="text/csv; charset=utf-8; header=present", headers=headers)


def error_page(
    request: Request, status: int, title: str, detail: object, headers: Mapping[str, str] | None,
    *, remedy: str = "",
) -> Response:  # fmt: skip
    """What went wrong, for people; `remedy` stands in place of what the status says to do.

    The time is not known, as the store may be away.
    """
    said = detail if isinstance(detail, str) else "; ".join(str(each["msg"]) for each in detail)  # type: ignore[attr-defined]
    answer = page(
        request, "error", here="", now=None, code=status, title=title, detail=said,  # type: ignore[arg-type]
        remedy=remedy or _REMEDIES.get(status, "Try it again, or look at the log of `coalmine web`."),
    )  # fmt: skip
    answer.headers.update(headers or {})
    return answer
