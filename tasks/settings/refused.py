"""What is said of settings that are refused: names that nobody reads, and values that are wrong."""

from collections.abc import Iterable, Sequence
from typing import Any

from routing.errors import SettingsError
from tasks.settings.forge_tables import variable_of

PREFIX = "COALMINE_"

#: Variables with our prefix that are not settings: read elsewhere, or given to agents.
NOT_SETTINGS = frozenset(
    {
        *("CONFIG", "DEBUG", "MCP_TOKEN"),
        *("JOB_ID", "AGENT", "ISSUE", "ATTEMPT", "BRANCH", "PROMPT_FILE", "COMMIT", "TURN", "MAIL"),
        *("VERSION", "MODEL", "TOOLS", "SESSION", "TURN_KIND"),
    }
)


def check_names(known: Iterable[str], environment: Iterable[str]) -> None:
    """A misspelt variable must not be ignored in silence."""
    sections = set(known)
    wrong = []
    for name in environment:
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in NOT_SETTINGS:
            continue
        if name.removeprefix(PREFIX).split("__")[0].lower() not in sections:
            wrong.append(name)
    if wrong:
        names = ", ".join(sorted(wrong))
        message = f"no setting is called {names}; `coalmine config show` lists them all"
        raise SettingsError(message)


def problem_of(part: Any, forges: Sequence[str], trackers: Sequence[str]) -> str:
    """One line with the setting's place, its variable and what is wrong.

    `forges` and `trackers` are the names of their tables, in their order.
    """
    place = [str(piece) for piece in part["loc"]]
    names = {"forge": forges, "tracker": trackers}.get(place[0], ())
    if names and len(place) > 1:
        place[1] = (names[int(place[1])] if int(place[1]) < len(names) else "") or place[1]
    if part["type"] == "kind_missing":
        place.append("kind")
    variable = variable_of(*place)
    said = part["msg"]
    if part["type"] == "extra_forbidden":
        said = "there is no such setting; `coalmine config show` lists them all"
    if part["type"] == "too_short" and part["ctx"]["field_type"] == "Value":  # a secret, which has no items
        least, there = part["ctx"]["min_length"], part["ctx"]["actual_length"]
        said = f"it has {there} characters and needs at least {least}; set a longer one, or unset it"
        said = said if there else "it is empty; give it a value, or unset it"
    return f"  {'.'.join(place)} ({variable}): {said}"
