"""How far the work on an issue is, for trackers whose issues have a state for that."""

from enum import StrEnum
from typing import Protocol, runtime_checkable

from routing.issues.issue import IssueRef


class Stage(StrEnum):
    """What people see of the work on an issue."""

    IN_PROGRESS = "in_progress"  # an agent is at work on it
    IN_REVIEW = "in_review"  # a person is to merge what it made
    DONE = "done"
    HANDED_BACK = "handed_back"  # a person must go on


@runtime_checkable
class ShowsWork(Protocol):
    """A tracker that shows the work on an issue beside its labels. Both methods may be repeated."""

    def show_stage(self, ref: IssueRef, stage: Stage) -> None:
        """Move the issue to the state that is set for a stage; nothing where none is set, or it has it."""
        ...

    def link_work(self, ref: IssueRef, *, url: str, title: str) -> None:
        """Have the issue link to the change request of its work."""
        ...
