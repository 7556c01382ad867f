"""Keeps who decided what, after it was done."""

from enum import StrEnum

import structlog

from routing.errors import CoalmineError
from routing.store.events.decision_store import NotedDecision
from tasks.composition.composition import Coalmine

_log = structlog.get_logger(__name__)


class DecisionDoor(StrEnum):
    """By which door a decision came."""

    PAGE = "page"
    API = "api"
    COMMAND = "command"
    MCP = "mcp"
    LINK = "link"  # of a notification, without signing in


def note_decision(
    parts: Coalmine, act: str, thing: str, *, by: str, way: DecisionDoor, reason: str = ""
) -> None:
    """Note a decision that was carried out, in the log and in the store.

    It is done, so a store that is away now does not make a failure of it: the log has it. A person at a
    terminal has the answer of the command, and does not need the line.
    """
    say = _log.debug if way is DecisionDoor.COMMAND else _log.info
    say("person.decided", act=act, thing=thing, by=by, way=way.value, reason=reason)
    try:
        parts.decisions.note(NotedDecision(act=act, thing=thing, by=by, way=way.value, reason=reason))
    except CoalmineError as error:
        _log.warning("person.decision_not_noted", act=act, thing=thing, by=by, error=str(error))
