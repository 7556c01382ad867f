"""`/sign-in` and `/sign-out`: a token is exchanged for a cookie that a browser sends by itself.

The cookie is not readable by scripts, is not sent from other sites, and is marked for TLS where the browser
speaks it, to us or to a proxy. The token is compared and forgotten.
"""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from console.web.people.form import came_over_tls, read_form
from console.web.people.page_answers import page
from console.web.people.session import COOKIE, LONGEST_NAME, SESSION_SECONDS, WebAccess
from routing.printable import printable

#: A path with its query: not the two slashes, of either kind, that begin the name of a host.
_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]*")


def sign_in_routes(access: WebAccess) -> APIRouter:
    """The routes, for the tokens of this process."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sign-in")
    async def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "/") -> Response:
        return _asked(request, _within(to))

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await read_form(request)
        to, name = _within(form.get("to", "/")), _name(form.get("name", ""))
        right = access.right_of(form.get("token", ""))
        if not right or not name:
            refused = "This is not the token." if not right else "Say who you are."
            return _asked(request, to, refused=refused)
        answer = RedirectResponse(to, status_code=303)
        answer.set_cookie(
            COOKIE,
            access.cookie_for(name, right),
            max_age=SESSION_SECONDS,
            secure=came_over_tls(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await read_form(request)
        answer = RedirectResponse("/", status_code=303)
        answer.delete_cookie(COOKIE, secure=came_over_tls(request), httponly=True, samesite="strict")
        return answer

    return router


def _asked(request: Request, to: str, *, refused: str = "") -> Response:
    code = 403 if refused else 200
    return page(request, "sign_in", here="", now=time.time(), code=code, to=to, refused=refused)


def _within(to: str) -> str:
    """A path of this server to go on to; a link to another host becomes the first page."""
    return to if _PATH.fullmatch(to) else "/"


def _name(given: str) -> str:
    return " ".join(printable(given).split())[:LONGEST_NAME]
