"""Numbers as people set them: in range, and never `nan`, a truth value or an empty word."""

import math
from typing import Annotated

from pydantic import BeforeValidator, Field


def _number(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise ValueError("must be a number")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("must be a number, not nan")
    return value


#: Seconds of a wait or a time limit, up to a year.
Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, le=31_536_000, allow_inf_nan=False)]
#: Days for which something is kept.
Days = Annotated[float, BeforeValidator(_number), Field(ge=1, le=3650, allow_inf_nan=False)]
#: How many of something.
Count = Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000)]
#: US dollars.
Dollars = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1_000_000, allow_inf_nan=False)]
