"""Settings of traces: where they are sent. By default nowhere."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from routing.http.address import is_loopback
from routing.setting_types import Seconds

_HEADER = re.compile(r"([A-Za-z0-9_-]{1,100})=([\x21-\x2b\x2d-\x7e][\x20-\x2b\x2d-\x7e]*)")


class TelemetrySettings(BaseModel):
    """An endpoint of OpenTelemetry, and what lets us in."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] | None = (
        None  # of OTLP over HTTP; None: off
    )
    headers: SecretStr | None = None  # NAME=VALUE, separated by commas, as OTEL_EXPORTER_OTLP_HEADERS
    interval_seconds: Seconds = 5.0  # between two looks for what has happened
    answer_seconds: Annotated[Seconds, Field(le=30)] = 10.0  # that the endpoint may be silent

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.headers is not None:
            parts = self.headers.get_secret_value().split(",")
            if not all(_HEADER.fullmatch(part.strip()) for part in parts):
                raise ValueError("headers: write NAME=VALUE, separated by commas")
            where = urlsplit(self.endpoint or "")
            if where.scheme == "http" and not is_loopback(where.hostname or ""):
                raise ValueError(
                    "headers would be sent in clear: use https://, or an endpoint on this machine"
                )
        return self

    @property
    def is_on(self) -> bool:
        """Whether traces are sent."""
        return self.endpoint is not None

    @property
    def given_headers(self) -> dict[str, str]:
        """The headers by name."""
        if self.headers is None:
            return {}
        parts = (part.strip().partition("=") for part in self.headers.get_secret_value().split(","))
        return {name: value for name, _, value in parts}
