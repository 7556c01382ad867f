"""How long git may take, by what it does.

A question is answered at once or never. What writes files or moves objects takes as long as a repository is
large and a disk or a network is slow: it may go on while it gets on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from routing.setting_types import Seconds

if TYPE_CHECKING:  # settings are read without running anything
    from routing.git.git import Git


class GitLimits(BaseModel):
    """Seconds for one command."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    answer_seconds: Seconds = 120.0  # until a remote has listed its branches
    files_seconds: Seconds = 14_400.0  # writing or reading the files of a work tree
    transfer_seconds: Seconds = 14_400.0  # a fetch or a push
    idle_seconds: Seconds = 900.0  # of files and transfers, in which nothing is printed, moved or computed

    def for_answers(self, git: Git) -> Git:
        """The same git for a question to a remote."""
        return replace(git, timeout_seconds=self.answer_seconds, idle_seconds=None)

    def for_files(self, git: Git) -> Git:
        """The same git for what writes or reads the files of a work tree."""
        return replace(git, timeout_seconds=self.files_seconds, idle_seconds=self.idle_seconds)

    def for_transfers(self, git: Git) -> Git:
        """The same git for a fetch or a push."""
        return replace(git, timeout_seconds=self.transfer_seconds, idle_seconds=self.idle_seconds)
