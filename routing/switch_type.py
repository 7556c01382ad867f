"""Switches as people write them: eight words and no other, so that a typo switches nothing on or off."""

from typing import Annotated

from pydantic import BeforeValidator

_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def _on_or_off(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise ValueError("must be one of 1/true/yes/on or 0/false/no/off")


#: A truth value, or one of the eight words in any case.
Switch = Annotated[bool, BeforeValidator(_on_or_off)]
