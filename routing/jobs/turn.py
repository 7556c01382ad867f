"""Turns of a job: what each is for, and what a corrective one has to repair.

Versions have a prompt by kind, and jobs carry the repair, so neither stands in the other's module.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

#: Of a log only the end is kept, in characters: that is where programs say why they failed.
LOG_END_CHARACTERS = 16_000

#: The most checks that are named, and characters of a check's name.
MOST_CHECKS = 50
CHECK_CHARACTERS = 200

#: Commits of one job that are remembered as judged: the newest.
MOST_JUDGED = 50


class TurnKind(StrEnum):
    """Each has a text of its own in the prompt."""

    FIRST = "first"  # the task
    REDISPATCH = "redispatch"  # the task again, as an earlier turn did not come to its end
    MAIL = "mail"  # what arrived for an agent that waited for it
    FIX_FORWARD = "fix_forward"  # what CI found at the commit that was pushed


class Repair(BaseModel):
    """What CI found at a pushed commit. What is too long is cut when it is made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    commit: Annotated[str, StringConstraints(min_length=1, max_length=64)]  # that was judged red
    checks: tuple[str, ...] = ()  # names of those that failed
    log: str = ""  # the end of what they printed

    @field_validator("checks")
    @classmethod
    def _few(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check[:CHECK_CHARACTERS] for check in value[:MOST_CHECKS])

    @field_validator("log")
    @classmethod
    def _end(cls, value: str) -> str:
        return value[-LOG_END_CHARACTERS:]
