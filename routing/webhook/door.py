"""The door: takes one delivery, from its bytes to the intake.

The order is fixed: find the forge, check the signature over the raw bytes, parse, judge, store. Nothing is
said about a body before its signature is right.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from routing.forges.config import RemoteConfig
from routing.forges.registry import KINDS
from routing.issues.issue import IssueRef
from routing.store.backlog.delivery_store import DeliveryAnswer, DeliveryStore, NewDelivery
from routing.webhook.delivery import Delivery, read_delivery
from routing.webhook.dialect import WebhookDialect
from routing.webhook.errors import BadSignatureError, IntakeFullError, NoSecretError, UnknownForgeError
from routing.webhook.relevance import Ignored, Look, judge


class ReceiptStatus(StrEnum):
    """What was done with a delivery."""

    SUCCESS = "success"  # its issue, or the work, will be looked at
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

    def __init__(
        self, forges: Iterable[RemoteConfig], deliveries: DeliveryStore, *, kill_switch: bool,
        names: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:  # fmt: skip
        self._forges = {forge.name: forge for forge in forges}
        self._deliveries = deliveries
        self._kill_switch = kill_switch
        self._names = names  # of a forge's repositories in its settings, by those of now in lower case

    @property
    def addresses(self) -> list[str]:
        """What the last part of the address may be: names of forges, and kinds that send webhooks."""
        kinds = [kind.name for kind in KINDS.values() if kind.webhook is not None]
        return list(dict.fromkeys([*self._forges, *kinds]))

    def receive(self, address: str, headers: Mapping[str, str], body: bytes) -> DeliveryReceipt:
        """Check, read, judge and hand over one delivery. `headers` has names in lower case.

        `address` is the name of a forge, or its kind where the fleet has one forge of that kind. Raises
        UnknownForgeError, NoSecretError, BadSignatureError, BadPayloadError, IntakeFullError, or what Redis
        does. Nothing is said about a body, not even whether it is one, before its signature is known to be
        right.
        """
        forge, dialect = self._find(address)
        if not dialect.is_signed(forge.secrets, headers, body):
            raise BadSignatureError
        delivery = read_delivery(forge.name, dialect, headers, body)
        found = judge(
            delivery, forge, kill_switch=self._kill_switch or forge.kill_switch,
            set_as=partial(self._set_as, forge),
        )  # fmt: skip
        if isinstance(found, Ignored):
            return DeliveryReceipt(status=ReceiptStatus.IGNORED, delivery=delivery, reason=found.reason)
        if isinstance(found, Look):
            self._deliveries.note_work(found.repository, found.branch)
            return DeliveryReceipt(status=ReceiptStatus.SUCCESS, delivery=delivery)
        return self._hand_over(delivery, found.issue)

    def _set_as(self, forge: RemoteConfig, name: str) -> str | None:
        """What the settings call a repository that was renamed, as the last poll found; None if none is."""
        repo = self._names(forge.name).get(name.casefold())
        return None if repo is None or forge.served.excludes(name) else forge.served.spelled(repo)

    def _find(self, address: str) -> tuple[RemoteConfig, WebhookDialect]:
        of_kind = [forge for forge in self._forges.values() if forge.kind == address]
        forge = self._forges.get(address) or (of_kind[0] if len(of_kind) == 1 else None)
        kind = KINDS.get(forge.kind if forge is not None else address)
        if kind is None or kind.webhook is None or (len(of_kind) > 1 and forge is None):
            message = f"no forge is called {address[:40]!r}; the address ends with a forge's name"
            raise UnknownForgeError(message)
        if forge is None or not forge.secrets:
            name = forge.name if forge is not None else address
            message = f"no secret is set for webhooks of {name}; set forge.{name}.webhook_secret"
            raise NoSecretError(message)
        return forge, kind.webhook

    def _hand_over(self, delivery: Delivery, issue: IssueRef) -> DeliveryReceipt:
        news = delivery.news
        said = {
            "delivery": delivery.id,
            "event": delivery.event,
            "action": news.action if news else "",
            "actor": news.actor if news else "",
        }
        answer = self._deliveries.accept(
            NewDelivery(
                digest=delivery.digest,
                issue=str(issue),
                hint={"digest": delivery.digest, **said},
                event={"forge": delivery.forge, **said},
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
