"""What people set, checked: numbers in range (never `nan`, a truth value or an empty word), and switches.

Every section of the settings takes its types from here, so that one word is read in one way everywhere.
"""

import math
from typing import Annotated

from pydantic import BeforeValidator, Field

_YEAR_SECONDS = 31_536_000
_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def _number(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        raise ValueError("must be a number")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("must be a number, not nan")
    return value


def _on_or_off(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise ValueError("must be one of 1/true/yes/on or 0/false/no/off")


#: More than nothing of something that is measured, up to the seconds of a year.
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=_YEAR_SECONDS, allow_inf_nan=False)]
#: The same with 0.
NotNegative = Annotated[float, BeforeValidator(_number), Field(ge=0, le=_YEAR_SECONDS, allow_inf_nan=False)]
#: Seconds of a wait or a time limit, up to a year.
Seconds = Positive
#: Days for which something is kept.
Days = Annotated[float, BeforeValidator(_number), Field(ge=1, le=3650, allow_inf_nan=False)]
#: How many of something.
Count = Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000)]
#: How many of something at most; 0: any number.
Limit = Annotated[int, BeforeValidator(_number), Field(ge=0, le=1_000_000)]
#: US dollars that may be spent.
Dollars = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1_000_000, allow_inf_nan=False)]
#: A truth value, or one of the eight words in upper or lower case: a typo is an error and switches nothing.
Switch = Annotated[bool, BeforeValidator(_on_or_off)]
