"""One forge as the fleet serves it."""

from collections.abc import Callable
from dataclasses import dataclass

from routing.backlog.settings import GateSettings
from routing.errors import InvalidInputError
from routing.forges.forge import Forge
from routing.git.remote import Remote
from routing.issues.issue import Issue, IssueRef
from routing.jobs.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeSite:
    """A forge with what the settings say of it."""

    forge: Forge
    repositories: tuple[str, ...]  # as the forge names them; no other is looked at
    label: str | None  # of issues that are for agents; None: every open one
    template: str  # that works on its issues
    gates: GateSettings
    opens_changes: bool  # whether a pushed branch becomes a change request
    merges_green: bool  # whether a green change is merged without a person
    has_ci: bool  # whether anybody judges commits there
    poll_interval_seconds: float
    remote: Callable[[str], Remote]  # where git finds a repository
    run_ci: Callable[[str], object] | None = None  # judges a commit; None: the forge does by itself

    @property
    def name(self) -> str:
        """The forge's configured name."""
        return self.forge.name

    def wants(self, issue: Issue) -> bool:
        """Whether it is open, and for agents."""
        return issue.state == "open" and (self.label is None or issue.carries(self.label))

    def full_name(self, repo: str) -> str:
        """`github:acme/shop`: the name under which jobs ask for a repository."""
        return f"{self.name}:{repo}"


def place_of(job: Job) -> tuple[str, str]:
    """The forge and the repository that a job works in, ('', '') when it works in none."""
    forge, _, repo = job.request.repository.partition(":")
    return (forge, repo) if repo else ("", "")


def issue_of(job: Job) -> IssueRef | None:
    """The issue that a job works on; None when it has none, or names something else."""
    try:
        return IssueRef.parse(job.request.issue) if job.request.issue else None
    except InvalidInputError:
        return None
