"""Settings of the model that may fill the gaps of an issue's metadata: the section `forge.model`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from routing.setting_types import Count, Days, Seconds, Switch


class ModelSettings(BaseModel):
    """Off unless switched on: bodies of issues are sent to nobody by default."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    enabled: Switch = False
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")] = (
        "https://api.anthropic.com"  # up to `/v1`
    )
    model: Annotated[str, Field(min_length=1, max_length=200)] = "claude-haiku-4-5"
    api_key: SecretStr | None = None  # sent as `x-api-key`
    timeout_seconds: Seconds = 20.0  # for the connection, each pause of the answer, and all of it
    max_tokens: Count = 1024  # that an answer may have
    keep_days: Days = 30.0  # for which an answer is remembered

    @model_validator(mode="after")
    def _has_a_key(self) -> "ModelSettings":
        """A switch without a key would fail at each issue; it fails at the start."""
        if self.enabled and (self.api_key is None or not self.api_key.get_secret_value().strip()):
            raise ValueError("needs api_key when it is enabled; set one or switch it off")
        return self
