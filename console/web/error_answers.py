"""Errors as answers: what was wrong with the request, and nothing about our internals.

This is the boundary of the HTTP server: handlers raise, and these functions answer. A browser that asks for a
page gets one; below `/api/` the answer is problem+json (RFC 9457), elsewhere `{"detail": …}`. Messages of 500
and 503 may hold addresses of servers, so they go to the log and the caller gets a fixed sentence. A body is
never quoted, and a wrong parameter is named without its value.
"""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.web.headers import SECURITY_HEADERS
from console.web.people.guard import wants_page
from console.web.people.page_answers import error_page
from console.web.request_limits import BodyTooLongError, BodyTooSlowError, DecisionTimeoutError
from routing.errors import (
    CoalmineError,
    ConflictError,
    CorruptRecordError,
    InvalidInputError,
    LockedOutError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from routing.webhook.errors import BadPayloadError, BadSignatureError, IntakeFullError, NoSecretError

_log = structlog.get_logger(__name__)

#: The status of each class of error; the first match counts, so subclasses stand before their bases.
STATUSES: tuple[tuple[type[CoalmineError], int], ...] = (
    (BadSignatureError, 401),
    (BodyTooSlowError, 408),
    (BodyTooLongError, 413),
    (BadPayloadError, 422),
    (IntakeFullError, 429),
    (NoSecretError, 503),
    (NotFoundError, 404),
    (ConflictError, 409),
    (LockedOutError, 503),  # the store's fault, not the caller's
    (SettingsError, 500),  # ours
    (InvalidInputError, 422),
    (UnavailableError, 503),
)

#: Seconds after which a refused request may be sent again.
RETRY_SECONDS = 30

#: What to do about a record that cannot be read.
_UNREADABLE = (
    "This record alone cannot be read; other pages show what can. Where another release of Coalmine wrote "
    "it, run that one; else restore it from a backup of the store."
)


def answer_errors(app: FastAPI) -> None:
    """Answer every error of the application."""
    app.add_exception_handler(CoalmineError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: CoalmineError) -> int:
    """The HTTP status of an error; 500 for those that no request can cause.

    Callers rely on the difference: after 429 and 503 the same request may succeed later, after other 4xx it
    will not until it is corrected.
    """
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


async def _ours(request: Request, error: Exception) -> Response:
    """Answer one of our own errors, and log the refusal with its full reason."""
    # Starlette's signature has Exception; it calls each handler only with the class it was added for.
    if not isinstance(error, CoalmineError):
        raise error
    status = status_of(error)
    _log.warning("web.refused", path=request.url.path, status=status, reason=str(error))
    headers = {"Retry-After": str(RETRY_SECONDS)} if status in {429, 503} else {}
    if status in {408, 413}:
        headers["Connection"] = "close"  # the rest of the body is not read
    remedy = _UNREADABLE if isinstance(error, CorruptRecordError) else ""
    return _answer(request, status, _detail(error, status), headers, remedy)


def _answer(
    request: Request, status: int, detail: object, headers: Mapping[str, str] | None = None, remedy: str = ""
) -> Response:
    """The error in the form that the caller reads."""
    title = HTTPStatus(status).phrase
    path = request.url.path
    if path.startswith("/api/"):
        document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JSONResponse(
            document, status_code=status, headers=headers, media_type="application/problem+json"
        )
    if wants_page(request.headers) and not path.startswith("/webhook/"):
        return error_page(request, status, title, detail, headers, remedy=remedy)
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _detail(error: CoalmineError, status: int) -> object:
    """What the caller may read: the faults of a body, a fixed sentence for our own faults, or the message."""
    if isinstance(error, BadPayloadError):
        return [{"loc": ["body", *fault.place], "msg": fault.message} for fault in error.faults]
    if isinstance(error, CorruptRecordError):
        return str(error)  # names the record, and what to do; it has no values of it
    if status == 500:  # noqa: PLR2004 - a fault in Coalmine
        return "internal error"
    if status == 503 and not isinstance(error, NoSecretError | DecisionTimeoutError):  # noqa: PLR2004 - a fault of a server
        return "a server that is needed does not answer; try again later"  # its address is only in the log
    return str(error)


async def _http(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses, such as an unknown path or method."""
    if not isinstance(error, HTTPException):
        raise error
    return _answer(request, error.status_code, error.detail, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer a wrong parameter: where it is and why, without its value."""
    if not isinstance(error, RequestValidationError):
        raise error
    detail = [{"loc": each["loc"], "msg": each["msg"]} for each in error.errors()]
    return _answer(request, 422, detail)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer a fault in Coalmine. The server logs its traceback; the answer does not describe it."""
    del error
    # Starlette answers this outside of all middleware, so the headers have to be added here.
    answer = _answer(request, 500, "internal error")
    for name, value in SECURITY_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer
