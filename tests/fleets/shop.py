"""A small shop for tests: a real repository, issues as files, and a CI command, worked on by a real fleet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from routing.forges.local.forge import LocalForge
from routing.issues.issue import Issue, IssueRef
from routing.jobs.job import Job, JobState
from routing.templates.version import Snapshot
from tasks.composition.composition import Coalmine
from tasks.composition.sites import local_config
from tests.fleets.worker_fleet import WorkerFleet, fleet, until_state
from tests.repositories import TemporaryRepository, new_repository
from tests.waiting import wait_until

#: CI that is green when the agent left the file that it was asked for.
CI = "test -e done.txt"

#: An agent that does its work.
DILIGENT = "echo done > done.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShopFleet:
    """The fleet at work on the shop, with what people do there."""

    repository: TemporaryRepository
    issues: Path
    fleet: WorkerFleet
    parts: Coalmine

    @property
    def forge(self) -> LocalForge:
        """The forge as the fleet sees it."""
        config = local_config(self.parts.settings)
        assert config is not None
        return LocalForge.of(config)

    def open_issue(self, number: int = 3, *, blocked_by: Sequence[int] = ()) -> IssueRef:
        """A person writes an issue for the agents."""
        matter = f"title: Finish it\nlabels: [agent]\nblocked_by: {list(blocked_by)}"
        text = f"---\n{matter}\n---\nThe file done.txt is missing.\n"
        (self.issues / f"{number}.md").write_text(text)
        return IssueRef(forge="local", repo="shop", number=number)

    def issue(self, reference: IssueRef) -> Issue:
        """An issue as it is now."""
        return self.forge.read_issue(reference)

    def job(self, nth: int = 1) -> Job:
        """Wait for the n-th job that was dispatched."""
        wait_until(lambda: len(self._jobs()) >= nth, description=f"job {nth} is dispatched")
        return self._jobs()[nth - 1]

    def _jobs(self) -> list[Job]:
        return self.parts.jobs.newest(most=100)[::-1]

    def until(self, state: JobState, nth: int = 1) -> Job:
        """Wait until the n-th job is in a state."""
        return until_state(self.parts, self.job(nth).id, state)

    def until_scored(self, job: Job) -> float | None:
        """Wait until a job is settled, and return its score."""
        wait_until(lambda: self.parts.jobs.find(job.id).settled_at, description="the job is settled")
        return self.parts.jobs.find(job.id).score

    def until_shown(self, reference: IssueRef) -> Issue:
        """Wait until an issue shows its job's end."""
        wait_until(lambda: self.issue(reference).comments, description="the issue has its checklist")
        wait_until(
            lambda: not self.parts.job_store.active_on([str(reference)])[0][0],
            description="the issue is free again",
        )
        return self.issue(reference)


def assume_green(parts: Coalmine) -> None:
    """CI has passed the newest commit of the main branch, whatever it would say of it."""
    config = local_config(parts.settings)
    assert config is not None
    forge = LocalForge.of(config.model_copy(update={"ci": "true"}))
    forge.run_ci(forge.git.main_tip())


@contextmanager
def shop(
    folder: Path, redis_url: str, agent: str = DILIGENT, *, ci: str = CI, merge: str = "green",
    policy: str = '{"share": 0.5, "revert_window_seconds": 0}', pool: str = "threads",
    secrets: tuple[str, ...] = (), variables: Mapping[str, str] | None = None, by_command: bool = False,
) -> Iterator[ShopFleet]:  # fmt: skip
    """A shop with one agent, one worker and beat; `variables` are in the environment of these two alone."""
    repository, issues = new_repository(folder), folder / "issues"
    issues.mkdir()
    local = {
        "REPOSITORY": repository.path,
        "ISSUES": issues,
        "STATE": folder / "forge",
        "CI": ci,
        "MERGE": merge,
    }
    settings = {f"COALMINE_FORGE__LOCAL__{name}": str(value) for name, value in local.items()}
    settings |= variables or {}
    with fleet(folder, redis_url, COALMINE_CANARY__POLICY=policy, **settings) as made:
        made.by_command = by_command
        parts = made.coalmine()
        snapshot = Snapshot(prompt="Do what the issue says.", command=agent, secrets=secrets)
        parts.templates.add("implementer", snapshot)
        if "done.txt" in ci:  # which is missing on the main branch: that is not what these agents meet
            assume_green(parts)
        made.worker(pool=pool)
        made.beat()
        yield ShopFleet(repository=repository, issues=issues, fleet=made, parts=parts)
