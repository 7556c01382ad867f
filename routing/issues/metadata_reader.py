"""From an issue to its metadata: the words of the body and the labels, then the defaults."""

from typing import Any

from routing.issues.body_text import UnreadableBodyError, blocks_of
from routing.issues.dependencies import dependencies_of, mentions_dependencies
from routing.issues.issue import Issue
from routing.issues.metadata import IssueMetadata, Source
from routing.issues.priority_words import priority_in
from routing.issues.stated_words import agent_in, difficulty_in, estimate_in


def read_metadata(issue: Issue) -> IssueMetadata:
    """Read an issue's metadata. Never raises, and gives the same for the same issue.

    A body that could not be parsed leaves the defaults; if it may name dependencies it is held for a person.
    """
    known = IssueMetadata()
    priority = priority_in(issue.labels)
    if priority is not None:
        known = known.filled(Source.LABELS, priority=priority)
    try:
        return known.filled(Source.BODY, **_said_in(issue))
    except UnreadableBodyError as error:
        if not mentions_dependencies(issue.body):
            return known
        reason = f"{error}; it speaks of dependencies, so a person must look at it before it may run"
        return known.model_copy(update={"held": reason})


def _said_in(issue: Issue) -> dict[str, Any]:
    """The parts that the body says something about."""
    blocks = blocks_of(issue.body)
    dependencies = dependencies_of(blocks, issue.ref)
    said: dict[str, Any] = {
        "difficulty": difficulty_in(blocks),
        "estimated_context": estimate_in(blocks),
        "assigned_agent": agent_in(blocks),
        "blocked_by": dependencies.blocked_by if "blocked_by" in dependencies.stated else None,
        "blocks": dependencies.blocks if "blocks" in dependencies.stated else None,
    }
    return {name: value for name, value in said.items() if value is not None}
