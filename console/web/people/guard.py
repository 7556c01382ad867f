"""Middleware that lets a request in or answers it: who asks, and under which name of this machine.

A page on loopback is open to whatever runs on this machine, and a browser runs pages of others: one whose
host name leads to 127.0.0.1 (DNS rebinding) could read ours. So an open process answers under names of
loopback alone. Webhooks have signatures, and may come through a tunnel under any name.
"""

from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from console.web.people.session import Right, Viewer, WebAccess
from routing.http.address import is_loopback

#: Where the scope of a request that was let in has its Viewer.
VIEWER = "coalmine.viewer"

#: Paths that need no token: their handlers check the caller themselves, or tell nothing.
_OPEN = ("/healthz", "/sign-in")
_OPEN_FOLDERS = ("/webhook/", "/static/", "/answer/")


class AccessGuard:
    """Lets only those through who may read. The check comes before routing, so paths stay unknown to others.

    A browser is sent to the page where people sign in; all others get 401 (RFC 6750).
    """

    def __init__(self, app: ASGIApp, *, access: WebAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        viewer = self._access.viewer(headers, (scope.get("client") or ("",))[0])
        scope[VIEWER] = viewer
        if self._access.is_open and not _is_named_by_forges(path) and not _is_ours(headers.get("host", "")):
            await _refused_name()(scope, receive, send)
        elif viewer.right >= Right.READ or path in _OPEN or path.startswith(_OPEN_FOLDERS):
            await self._app(scope, receive, send)
        else:
            await _refused(scope, headers)(scope, receive, send)


def viewer_of(scope: Scope) -> Viewer:
    """Who sent a request that was let in."""
    viewer = scope.get(VIEWER)
    return viewer if isinstance(viewer, Viewer) else Viewer(right=Right.NOTHING)


def wants_page(headers: Headers) -> bool:
    """Whether a browser asks, which says so; other clients take anything."""
    return "text/html" in headers.get("accept", "")


def _is_named_by_forges(path: str) -> bool:
    return path == "/healthz" or path.startswith("/webhook/")


def _is_ours(host: str) -> bool:
    """Whether a `Host` header names loopback; its port says nothing."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def _refused(scope: Scope, headers: Headers) -> Response:
    if wants_page(headers) and scope["method"] == "GET":
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/sign-in?to={quote(target, safe='')}", status_code=303)
    return JSONResponse(
        {"detail": "Invalid or missing token"}, status_code=401, headers={"WWW-Authenticate": "Bearer"}
    )


def _refused_name() -> Response:
    detail = (
        "this console is open on loopback only; ask for it as 127.0.0.1 or localhost, or start it with "
        "--public and a token"
    )
    return JSONResponse({"detail": detail}, status_code=421)
