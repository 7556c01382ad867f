"""Settings of the webhook door: secrets, and which repositories are listened to."""

from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_settings import NoDecode

from routing.issues.issue import is_repository_name
from routing.setting_types import Switch
from routing.webhook.forge_kind import ForgeKind


def _names(value: object) -> object:
    """Names with commas between them, as a variable has them, or a list of a file."""
    if isinstance(value, str):
        value = [name.strip() for name in value.strip("[] ").replace('"', "").split(",") if name.strip()]
    if isinstance(value, list | tuple):
        for name in value:
            if not isinstance(name, str) or not is_repository_name(name):
                message = f"{name!r} is no repository; write owner/name"
                raise ValueError(message)
        return tuple(value)
    return value


Secret = Annotated[SecretStr, Field(min_length=1)]
Repositories = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
ForgeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class WebhookForge(BaseModel):
    """What the door knows of one forge: shut without a secret, deaf without repositories."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret: Secret | None = None
    previous_secret: Secret | None = None  # accepted too, while the forge's is being changed
    repositories: Repositories = ()  # that are listened to
    name: ForgeName | None = None  # of the forge in the names of issues; None: the door's (`github`, …)
    login: str | None = None  # under which Coalmine writes there: its comments are not listened to
    label: str | None = None  # issues with it are for agents; None: any may be
    kill_switch: Switch = False  # on: nothing is dispatched from this forge, so nothing is listened to

    @model_validator(mode="after")
    def _previous_needs_a_present(self) -> Self:
        if self.previous_secret is not None and self.secret is None:
            message = "previous_secret is set without secret; set both while a secret is changed"
            raise ValueError(message)
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that are accepted, the present one first."""
        both = (self.secret, self.previous_secret)
        return tuple(secret.get_secret_value() for secret in both if secret is not None)


class WebhookSettings(BaseModel):
    """The door, by kind of forge."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    max_bytes: Annotated[int, Field(ge=1024, le=26_214_400)] = 1_048_576  # of a delivery's body
    github: WebhookForge = WebhookForge()
    gitea: WebhookForge = WebhookForge()
    forgejo: WebhookForge = WebhookForge()

    def of(self, kind: ForgeKind) -> WebhookForge:
        """The section of a kind."""
        return {
            ForgeKind.GITHUB: self.github,
            ForgeKind.GITEA: self.gitea,
            ForgeKind.FORGEJO: self.forgejo,
        }[kind]
