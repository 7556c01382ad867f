"""The base of a job's work: where it began, and where it goes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A branch of a repository and the commit on it that work began from.

    Only what comes after the commit is the job's own work. It is merged into the branch, whatever the main
    branch is by then.
    """

    branch: str  # its short name, without `refs/heads/`
    commit: str
