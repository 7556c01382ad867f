"""Settings of the backlog, and of the gates of one forge."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from routing.issues.issue import is_repository_name
from routing.setting_types import Count, Days, Dollars, Seconds, Switch


class BacklogSettings(BaseModel):
    """What the backlog makes of other issues, and how long it remembers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unknown_blocker: Literal["satisfied", "blocked"] = "satisfied"  # a blocker that its forge does not know
    ask_again_seconds: Seconds = 60.0  # between two questions about a blocker that is not in the backlog
    retention_days: Days = 30.0  # for which completed and cancelled items are remembered
    most_finished: Count = 10_000  # of them that are remembered at most


def _words(value: object) -> object:
    """A list may be written as words between commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _names(value: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [name for name in value if not is_repository_name(name)]
    if wrong:
        message = f"{wrong[0][:80]!r} is no repository; write owner/name, one for each, without wildcards"
        raise ValueError(message)
    return value


Repositories = Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_names)]


class GateSettings(BaseModel):
    """Nothing is dispatched from a forge until its kill switch is off and its repositories are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kill_switch: Switch = True  # on: nothing is dispatched and the forge is not even asked
    enabled: Switch = True  # off: issues are taken into the backlog, and none is dispatched
    allow_list: Repositories = ()  # `owner/name` each; none: nothing is dispatched
    per_repo: Count = 1  # issues of a repository in progress at once
    fleet_size: Count = 4  # issues of all repositories in progress at once
    usd_per_day: Dollars | None = None  # that all jobs may cost together; None: no limit
    usd_per_job: Dollars | None = None  # that one job may cost; None: no limit
