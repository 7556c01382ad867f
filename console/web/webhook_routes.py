"""`POST /webhook/NAME`: takes a delivery of the forge NAME and hands it to `routing.webhook.door`.

The order matters: the name first, then the body up to its limit, then the signature, and only then is the
body parsed. Forges give up after some seconds (GitHub after ten), so nothing here asks a forge: the issue
goes into the intake and a worker reads it later. The fields of WebhookAnswer are relied on by those who
read delivery logs; they stay. Its docstrings are part of `/openapi.json`.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, BackgroundTasks, Path, Request
from pydantic import BaseModel, JsonValue
from starlette.exceptions import HTTPException

from console.metrics.delivery_counts import DeliveryCounts, DeliveryResult
from console.web.request_limits import in_thread, read_body
from routing.errors import CoalmineError, UnavailableError
from routing.webhook.dialect import IssueNews
from routing.webhook.door import DeliveryReceipt, Door, ReceiptStatus
from routing.webhook.errors import IntakeFullError, UnknownForgeError

_log = structlog.get_logger(__name__)


class WebhookAnswer(BaseModel):
    """The answer to a delivery with a correct signature."""

    status: Literal["success", "ignored", "duplicate"]
    action: str | None = None  # of the event; null for events that have none
    issue_number: int | None = None
    repository: str | None = None
    issue: str | None = None  # FORGE:REPOSITORY#NUMBER, when it is, or was, put into the intake
    reason: str | None = None  # why it was ignored


class WebhookRefusal(BaseModel):
    """The answer to a delivery that was refused."""

    detail: str


class WebhookFault(BaseModel):
    """One error in a body: where it is, and what is wrong."""

    loc: list[str]
    msg: str


class Faults(BaseModel):
    """The answer to a body of the wrong shape."""

    detail: list[WebhookFault]


_REFUSALS: dict[int | str, dict[str, object]] = {
    401: {"model": WebhookRefusal, "description": "The signature is missing or wrong."},
    408: {"model": WebhookRefusal, "description": "The body did not arrive in time."},
    413: {"model": WebhookRefusal, "description": "The body is too long."},
    422: {"model": Faults, "description": "The body is not JSON, or has the wrong shape."},
    429: {"model": WebhookRefusal, "description": "Too many issues wait to be looked at."},
    503: {
        "model": WebhookRefusal,
        "description": "No secret is set for this forge, or the store does not answer.",
    },
}
_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}


def webhook_routes(
    door: Door, accepted: Callable[[], None], counts: DeliveryCounts, *, most_bytes: int
) -> APIRouter:
    """The route; `accepted` is called after the answer to each delivery that was accepted.

    Every delivery to a forge's address is counted by its result.
    """
    router = APIRouter(tags=["webhook"])

    @router.post(
        "/webhook/{forge}",
        summary="Take a delivery from a forge",
        response_model_exclude_none=True,
        responses=_REFUSALS,
        openapi_extra=_BODY,
    )
    async def receive(
        forge: Annotated[
            str,
            Path(
                description="The forge's name; or its kind, where there is one forge of that kind.",
                json_schema_extra={"enum": list[JsonValue](door.addresses)},
            ),
        ],
        request: Request,
        after: BackgroundTasks,
    ) -> WebhookAnswer:
        """Check the signature and put the issue into the intake; a worker reads it from its forge later."""
        if forge not in door.addresses:
            # Before the body is read: an address that does not exist must cost nothing.
            raise HTTPException(status_code=404)
        try:
            body = await read_body(request, most=most_bytes)
            receipt = await in_thread(door.receive, forge, request.headers, body)
        except UnknownForgeError as error:  # a kind that several forges have
            raise HTTPException(status_code=404) from error
        except (UnavailableError, IntakeFullError):
            counts.add(forge, DeliveryResult.FAILED)
            raise
        except CoalmineError:
            counts.add(forge, DeliveryResult.REFUSED)
            raise
        counts.add(forge, DeliveryResult(receipt.status.value))
        _note(receipt)
        if receipt.status is ReceiptStatus.SUCCESS:
            # Runs after the answer was sent: the forge does not wait for the broker.
            after.add_task(accepted)
        return _answer(receipt)

    return router


def _answer(receipt: DeliveryReceipt) -> WebhookAnswer:
    """The receipt in the form that callers get; a field without a value is left out of the JSON."""
    news = receipt.delivery.news
    return WebhookAnswer(
        status=receipt.status.value,
        action=(news.action if news else "") or None,
        issue_number=news.number if isinstance(news, IssueNews) else None,
        repository=news.repo if news else None,
        issue=str(receipt.issue) if receipt.issue else None,
        reason=receipt.reason or None,
    )


def _note(receipt: DeliveryReceipt) -> None:
    """Log every answered delivery with the forge's id for it, which its own delivery log shows as well."""
    delivery = receipt.delivery
    _log.info(
        "webhook.answered",
        status=receipt.status.value,
        forge=delivery.forge,
        delivery=delivery.id,
        event_name=delivery.event,
        action=delivery.news.action if delivery.news else "",
        issue=str(receipt.issue) if receipt.issue else None,
        reason=receipt.reason or None,
    )
