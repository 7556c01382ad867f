"""Settings of notifications: which sinks there are, and what each is told. By default there is none."""

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import NoDecode

from routing.errors import InvalidInputError
from routing.setting_types import Count, Seconds, Switch
from tasks.notify.address import checked_address
from tasks.notify.notification_kind import NotificationKind, notification_kind
from tasks.notify.signature import checked_secret


def _kinds(value: object) -> object:
    """Kinds with commas between them, as a variable has them, or a list of a file."""
    if isinstance(value, str):
        value = [name.strip() for name in value.strip("[] ").replace('"', "").split(",") if name.strip()]
    if not isinstance(value, list | tuple):
        return value
    try:
        return tuple(notification_kind(str(name)) for name in value)
    except InvalidInputError as error:
        raise ValueError(str(error)) from None


def _address(value: SecretStr) -> SecretStr:
    checked_address(value.get_secret_value())
    return value


def _secret(value: SecretStr) -> SecretStr:
    checked_secret(value.get_secret_value())
    return value


Kinds = Annotated[tuple[NotificationKind, ...], NoDecode, BeforeValidator(_kinds)]
#: An address is a secret: whoever knows that of a Slack channel can write there.
Address = Annotated[SecretStr, AfterValidator(_address)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]


class _Sink(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kinds: Kinds = ()  # that are sent there; (): all


class LogSinkSettings(_Sink):
    """A line in the worker's log."""

    enabled: Switch = False


class WebhookSinkSettings(_Sink):
    """A signed POST to an address of yours."""

    url: Address | None = None
    secret: Secret | None = None  # that deliveries are signed with
    previous_secret: Secret | None = None  # signed with too, while the secret is changed

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.url is not None and self.secret is None:
            message = (
                "url is set without secret: deliveries are signed, so set a secret of 16 characters or more"
            )
            raise ValueError(message)
        if self.previous_secret is not None and self.secret is None:
            raise ValueError("previous_secret is set without secret; set both while a secret is changed")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that deliveries are signed with, the present one first."""
        both = (self.secret, self.previous_secret)
        return tuple(secret.get_secret_value() for secret in both if secret is not None)


class SlackSinkSettings(_Sink):
    """An incoming webhook of Slack, or of anything that takes the same JSON."""

    url: Address | None = None


class NotifySettings(BaseModel):
    """The sinks, and how patient the sender is with them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    interval_seconds: Seconds = 2.0  # between two looks for news
    attempts: Annotated[Count, Field(le=100)] = 12  # of one notification before it is a dead letter
    back_off_first_seconds: Seconds = 5.0  # behind the first failure; doubles with each further one
    back_off_cap_seconds: Seconds = 3600.0
    answer_seconds: Annotated[Seconds, Field(le=30)] = 10.0  # that a sink may be silent
    max_age_hours: Annotated[Seconds, Field(le=8760)] = (
        72.0  # older news is not told to a sink that comes back
    )
    log: LogSinkSettings = LogSinkSettings()
    webhook: WebhookSinkSettings = WebhookSinkSettings()
    slack: SlackSinkSettings = SlackSinkSettings()

    @property
    def is_on(self) -> bool:
        """Whether there is any sink."""
        return self.log.enabled or self.webhook.url is not None or self.slack.url is not None
