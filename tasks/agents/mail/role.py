"""Roles of agents, and which mail ends the task of each."""

from enum import StrEnum

from tasks.agents.mail.mail import MailType


class Role(StrEnum):
    """What an agent is there for."""

    SCOUT = "scout"
    BUILDER = "builder"
    REVIEWER = "reviewer"
    MERGER = "merger"
    LEAD = "lead"
    COORDINATOR = "coordinator"
    MONITOR = "monitor"

    @property
    def is_task_scoped(self) -> bool:
        """Whether it works on one task and then ends; the others go on until they are ended."""
        return self not in _PERSISTENT

    @property
    def makes_commits(self) -> bool:
        """Whether its work on a repository is a commit; the others read, judge and send others out."""
        return self in _MAKES_COMMITS

    @property
    def terminal_types(self) -> frozenset[MailType]:
        """The mail with which it says that its task is at its end; none for a persistent role."""
        if not self.is_task_scoped:
            return frozenset()
        return _TERMINAL_OF_MERGER if self is Role.MERGER else _TERMINAL


_MAKES_COMMITS = frozenset({Role.BUILDER, Role.MERGER})
_PERSISTENT = frozenset({Role.COORDINATOR, Role.MONITOR})
_TERMINAL = frozenset({MailType.WORKER_DONE, MailType.RESULT})
_TERMINAL_OF_MERGER = frozenset({MailType.MERGED, MailType.MERGE_FAILED})

#: Mail that ends, or tells of the end of, anybody's task: a reply is never such a mail unless it says so.
ENDING_TYPES = _TERMINAL | _TERMINAL_OF_MERGER | {MailType.WORKER_DIED}
