"""Settings of the web console: where it listens, and who may ask."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, model_validator

from routing.setting_types import Switch


class WebSettings(BaseModel):
    """On loopback by default; elsewhere only when that is said, and with a token."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"  # address to listen on
    port: Annotated[int, Field(ge=0, le=65_535)] = 8321  # 0: any that is free
    public: Switch = False  # whether others than this machine are let in; needs `token`
    token: Annotated[SecretStr, Field(min_length=16)] | None = None  # that a public console asks for
    # everywhere but at the webhook door and /healthz
    read_token: Annotated[SecretStr, Field(min_length=16)] | None = None  # that lets people look, not decide
    # Where people reach the pages, for links in notifications: https://coalmine.example.org; "" for none.
    address: Annotated[str, Field(max_length=200, pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")] = ""
    # Where people reach Flower, which the page of workers leads to then; "" for none.
    flower_address: Annotated[str, Field(max_length=200, pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$")] = (
        ""
    )
    # What links that answer an agent are signed with, each for a day and one answer; None: no link answers.
    link_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    # A proxy that signs people in names them in this header; "" for none. Only from these addresses.
    user_header: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9-]{0,60})?$")] = ""
    user_header_from: tuple[IPvAnyNetwork, ...] = ()
    user_header_acts: Switch = False  # whether those whom it names may decide
    connections_per_address: Annotated[int, Field(ge=0, le=500)] = (
        100  # at once; 0: as many as of all together
    )
    delivery_bytes: Annotated[int, Field(ge=1024, le=26_214_400)] = 1_048_576  # of a webhook delivery's body

    @model_validator(mode="after")
    def _needs_addresses(self) -> Self:
        """A header that anybody may send names nobody, and a link leads somewhere."""
        if self.link_secret is not None and not self.address:
            message = (
                "link_secret needs address: where people reach the pages, as https://coalmine.example.org"
            )
            raise ValueError(message)
        if self.user_header and not self.user_header_from:
            message = "user_header needs user_header_from: the addresses of the proxy, as 10.0.0.7/32"
            raise ValueError(message)
        if self.user_header.lower() in {"authorization", "cookie", "host", "origin"}:
            message = f"user_header cannot be {self.user_header}; name a header that the proxy alone sets"
            raise ValueError(message)
        return self
