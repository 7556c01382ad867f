"""Middleware for every request: security headers on the answer, and the token.

Both are plain ASGI classes: bodies and answers pass through them as streams, and they keep nothing between
requests.
"""

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Added to every answer that does not set them itself.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Adds to each answer the security headers that it lacks.

    A header that a handler has set itself is kept. The values let a browser load and embed nothing: all
    answers are JSON.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request; add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class TokenGuard:
    """Lets only requests with the token through. Webhooks have their signatures; `/healthz` needs nothing.

    The token comes as `Authorization: Bearer …` (RFC 6750) and is compared in constant time. The check
    comes before routing, so without it a caller cannot find out which paths exist.
    """

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or answer 401."""
        if scope["type"] != "http" or self._is_open(scope["path"]) or self._is_let_in(scope):
            await self._app(scope, receive, send)
            return
        answer = JSONResponse(
            {"detail": "Invalid or missing token"}, status_code=401, headers={"WWW-Authenticate": "Bearer"}
        )
        await answer(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        """Whether the path needs no token; its handler must then check the caller itself, or tell nothing."""
        return path == "/healthz" or path.startswith("/webhook/")

    def _is_let_in(self, scope: Scope) -> bool:
        """Whether the request carries the token; the comparison takes constant time."""
        given = Headers(scope=scope).get("authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, self._expected)
