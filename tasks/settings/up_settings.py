"""Settings of `coalmine up`: the agent of the template that it makes, or to which it proposes a version.

Workers do not read them: what an agent is stands in its version. An empty value is none, since an option that
replaces a program also takes away what belonged to the other one.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

from routing.forges.config import none_if_empty

_Text = Annotated[str | None, BeforeValidator(none_if_empty)]


def _names(value: Any) -> Any:
    """Names with commas between them, as a variable has them; a file has a list."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class UpSettings(BaseModel):
    """A program by its runtime's name, or any other by the shell line that starts it."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    runtime: _Text = None  # claude, codex, gemini, opencode, or command
    agent: _Text = None  # shell line, for `command`
    model: _Text = None  # in the program's own words; None: the one that it is set to
    prompt: Annotated[str, Field(max_length=131_072)] = ""  # before every task
    allow: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()  # hosts for its sandbox
    secrets: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_names)
    ] = ()  # variables that agents are given too
