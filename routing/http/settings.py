"""How patient a client is, and how much it reads: settings that all forges over HTTP share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from routing.http.address import ApiAddress

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


def _checked_address(text: str) -> str:
    return ApiAddress.of(text).base


def is_token(text: str) -> bool:
    """Whether a text can stand in a header as a token."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


#: The address of an API: https, or http on this machine.
BaseUrl = Annotated[str, AfterValidator(_checked_address)]


class HttpLimits(BaseModel):
    """Time-outs, retries and bounds of a client."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

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
