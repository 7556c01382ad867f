"""The door: what becomes of one delivery, from its bytes to the hand-over."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from routing.issues.issue import IssueRef
from routing.store.backlog.delivery_store import DeliveryAnswer, DeliveryStore, NewDelivery
from routing.webhook.delivery import Delivery, read_delivery
from routing.webhook.errors import IntakeFullError, NoSecretError
from routing.webhook.forge_kind import ForgeKind
from routing.webhook.relevance import Ignored, judge
from routing.webhook.settings import WebhookSettings
from routing.webhook.signature import check_signature


class ReceiptStatus(StrEnum):
    """What became of a delivery."""

    SUCCESS = "success"  # its issue will be looked at
    IGNORED = "ignored"  # it does not concern us
    DUPLICATE = "duplicate"  # it was accepted before


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReceipt:
    """The answer to a delivery whose signature was right."""

    status: ReceiptStatus
    delivery: Delivery
    issue: IssueRef | None = None
    reason: str = ""  # why it was ignored


class Door:
    """Takes deliveries in. It asks no forge, so that the answer is there at once."""

    def __init__(self, settings: WebhookSettings, deliveries: DeliveryStore, *, kill_switch: bool) -> None:
        self.settings = settings
        self._deliveries = deliveries
        self._kill_switch = kill_switch

    def receive(self, kind: ForgeKind, headers: Mapping[str, str], body: bytes) -> DeliveryReceipt:
        """Check, read, judge and hand over one delivery. `headers` has names in lower case.

        Raises NoSecretError, BadSignatureError, BadPayloadError, IntakeFullError, or what Redis does. Nothing
        is said about a body, not even whether it is one, before its signature is known to be right.
        """
        forge = self.settings.of(kind)
        if not forge.secrets:
            message = f"no secret is set for webhooks of {kind}; set forge.{kind}.webhook_secret"
            raise NoSecretError(message)
        check_signature(kind, forge.secrets, headers, body)
        delivery = read_delivery(kind, headers, body)
        found = judge(delivery, forge, kill_switch=self._kill_switch or forge.kill_switch)
        if isinstance(found, Ignored):
            return DeliveryReceipt(status=ReceiptStatus.IGNORED, delivery=delivery, reason=found.reason)
        return self._hand_over(delivery, found.issue)

    def _hand_over(self, delivery: Delivery, issue: IssueRef) -> DeliveryReceipt:
        told = {
            "delivery": delivery.id,
            "event": delivery.event,
            "action": delivery.action,
            "actor": delivery.actor,
        }
        answer = self._deliveries.accept(
            NewDelivery(
                digest=delivery.digest,
                issue=str(issue),
                hint={"digest": delivery.digest, **told},
                event={"forge": delivery.kind.value, **told},
            )
        )
        if answer is DeliveryAnswer.FULL:
            message = f"too many issues wait to be looked at, {issue} among them not; deliver it again later"
            raise IntakeFullError(message)
        if answer is DeliveryAnswer.PAUSED:
            reason = "dispatch is paused"
            return DeliveryReceipt(
                status=ReceiptStatus.IGNORED, delivery=delivery, issue=issue, reason=reason
            )
        again = answer is DeliveryAnswer.DUPLICATE
        status = ReceiptStatus.DUPLICATE if again else ReceiptStatus.SUCCESS
        return DeliveryReceipt(status=status, delivery=delivery, issue=issue)
