"""A page as an answer: with the policy of pages, and what every page shows of its viewer."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.pages.rendering import render
from console.web.headers import PAGE_HEADERS
from console.web.people.guard import viewer_of
from console.web.request_limits import in_thread
from tasks.composition.composition import Coalmine

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


def page(
    request: Request, name: str, *, here: str, now: float, code: int = 200, **context: Any
) -> HTMLResponse:
    """The page of a template; `now` is the server's time that relative times count from."""
    text = render(name, here=here, now=now, viewer=viewer_of(request.scope), **context)
    return HTMLResponse(text, status_code=code, headers=PAGE_HEADERS)


def error_page(
    request: Request, status: int, title: str, detail: object, headers: Mapping[str, str] | None,
    *, remedy: str = "",
) -> HTMLResponse:  # fmt: skip
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
