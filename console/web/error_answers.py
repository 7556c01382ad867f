"""Errors as JSON answers: what was wrong, and nothing of our insides."""

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from console.web.headers import SECURITY_HEADERS
from console.web.request_limits import BodyTooLongError, BodyTooSlowError
from routing.errors import CoalmineError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from routing.webhook.errors import BadPayloadError, BadSignatureError, IntakeFullError, NoSecretError

_log = structlog.get_logger(__name__)

#: Status by error; the first class that fits counts.
STATUSES: tuple[tuple[type[CoalmineError], int], ...] = (
    (BadSignatureError, 401),
    (BodyTooSlowError, 408),
    (BodyTooLongError, 413),
    (BadPayloadError, 422),
    (IntakeFullError, 429),
    (NoSecretError, 503),
    (NotFoundError, 404),
    (ConflictError, 409),
    (InvalidInputError, 422),
    (UnavailableError, 503),
)

#: Seconds after which a refused request may be sent again.
RETRY_SECONDS = 30


def answer_errors(app: FastAPI) -> None:
    """Let every error of the application end in a JSON answer."""
    app.add_exception_handler(CoalmineError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: CoalmineError) -> int:
    """The status of an error of ours; 500 for those that no request can cause."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, CoalmineError):
        raise error
    status = status_of(error)
    _log.warning("web.refused", path=request.url.path, status=status, reason=str(error))
    headers = {"Retry-After": str(RETRY_SECONDS)} if status in {429, 503} else {}
    if status in {408, 413}:
        headers["Connection"] = "close"  # what is left of the body is not waited for
    return JSONResponse({"detail": _detail(error, status)}, status_code=status, headers=headers)


def _detail(error: CoalmineError, status: int) -> object:
    if isinstance(error, BadPayloadError):
        return [{"loc": ["body", *fault.place], "msg": fault.message} for fault in error.faults]
    if status == 500:  # noqa: PLR2004 - a fault of ours
        return "internal error"
    if status == 503 and not isinstance(error, NoSecretError):  # noqa: PLR2004 - a server's fault
        return "a server that is needed does not answer; try again later"  # where it is stays in the log
    return str(error)


async def _http(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: no such path, no such method."""
    del request
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """A parameter that is wrong: where and why, without what was given."""
    del request
    if not isinstance(error, RequestValidationError):
        raise error
    detail = [{"loc": each["loc"], "msg": each["msg"]} for each in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours. The server logs it with its traceback; the answer says nothing of it."""
    del request, error
    return JSONResponse({"detail": "internal error"}, status_code=500, headers=SECURITY_HEADERS)
