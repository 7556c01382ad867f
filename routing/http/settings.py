"""How patient a forge's client is, and how much it reads: settings that all forges behind HTTP share."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from routing.http.address import ApiAddress

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


def _checked_address(text: str) -> str:
    return ApiAddress.of(text).base


def is_token(text: str) -> bool:
    """Whether a text can stand in a header as a token."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


#: How a forge is called in the names of its issues.
ForgeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

#: The address of an API: https, or http on this machine.
BaseUrl = Annotated[str, AfterValidator(_checked_address)]


class HttpLimits(BaseModel):
    """Time-outs, retries and bounds of a client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_seconds: Seconds = 5.0
    read_seconds: Seconds = 20.0  # of silence
    answer_seconds: Seconds = 60.0  # from the request to the last byte of the answer
    attempts: Annotated[int, Field(ge=1, le=10)] = 4  # of one call, the first included
    back_off_first_seconds: Seconds = 0.5  # doubled with each attempt, half of it left to chance
    back_off_cap_seconds: Seconds = 8.0
    patience_seconds: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 15.0  # longest wait that
    # a rate limit may ask for; beyond it the forge counts as unreachable until then
    failures_to_open: Annotated[int, Field(ge=1, le=100)] = 8  # in a row, after which no call is made
    open_seconds: Seconds = 30.0  # for which none is made
    max_answer_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024 * 1024
    max_pages: Annotated[int, Field(ge=1, le=1000)] = 20  # of one listing
    page_size: Annotated[int, Field(ge=1, le=100)] = 100  # that is asked for; a server may give fewer
    cached_replies: Annotated[int, Field(ge=0, le=100_000)] = 512
    cached_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024


class RestForgeSettings(BaseModel):
    """What every forge behind HTTP is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ForgeName
    base_url: BaseUrl
    token: SecretStr
    login: str = ""  # whose token it is; "" asks the forge, which does not tell GitHub Apps
    merge: Literal["green", "never"] = "never"  # whether a green change is merged without a person
    merge_method: Literal["merge", "squash", "rebase"] = "merge"
    limits: HttpLimits = HttpLimits()
