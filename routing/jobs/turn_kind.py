"""The kinds of turns: what a turn of a job is for. Jobs have one, and versions have prompts by them."""

from enum import StrEnum


class TurnKind(StrEnum):
    """Each has a text of its own in the prompt."""

    FIRST = "first"  # the task
    REDISPATCH = "redispatch"  # the task again, as an earlier turn did not come to its end
    MAIL = "mail"  # what arrived for an agent that waited for it
    FIX_FORWARD = "fix_forward"  # what CI found at the commit that was pushed
