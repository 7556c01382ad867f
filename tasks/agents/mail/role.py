"""Roles of agents, and which mail ends the task of each.

Terminal mail is how an agent says that its task is over. It counts only from the agent itself, about its own
task, in the turn that ends; see `post_office.is_terminal`.
"""

from enum import StrEnum

from routing.jobs.job import ROLES_THAT_COMMIT
from tasks.agents.mail.mail import MailType


class Role(StrEnum):
    """What an agent does."""

    SCOUT = "scout"
    BUILDER = "builder"
    REVIEWER = "reviewer"
    MERGER = "merger"
    LEAD = "lead"
    COORDINATOR = "coordinator"
    MONITOR = "monitor"

    @property
    def is_task_scoped(self) -> bool:
        """Whether it works on one task and then ends.

        Coordinators and monitors go on until they are ended.
        """
        return self not in _PERSISTENT

    @property
    def makes_commits(self) -> bool:
        """Whether its work on a repository is a commit; the other roles read, judge and dispatch."""
        return self in _MAKES_COMMITS

    @property
    def terminal_types(self) -> frozenset[MailType]:
        """The types of mail with which it ends its task; none for a role without a task."""
        if not self.is_task_scoped:
            return frozenset()
        return _TERMINAL_OF_MERGER if self is Role.MERGER else _TERMINAL


_MAKES_COMMITS = frozenset(map(Role, ROLES_THAT_COMMIT))
_PERSISTENT = frozenset({Role.COORDINATOR, Role.MONITOR})
_TERMINAL = frozenset({MailType.WORKER_DONE, MailType.RESULT})
_TERMINAL_OF_MERGER = frozenset({MailType.MERGED, MailType.MERGE_FAILED})

#: All types that end a task, or report that one has ended: a reply has none of them unless it names it.
ENDING_TYPES = _TERMINAL | _TERMINAL_OF_MERGER | {MailType.WORKER_DIED}
