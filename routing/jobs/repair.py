"""What a corrective turn has to repair: the commit that CI judged red, and what CI printed."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

#: Of a log only the end is kept, in characters: that is where programs say why they failed.
LOG_END_CHARACTERS = 16_000

#: The most checks that are named, and characters of a check's name.
MOST_CHECKS = 50
CHECK_CHARACTERS = 200

#: Commits of one job that are remembered as judged: the newest.
MOST_JUDGED = 50


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
