"""The watcher: each pushed job to its end, none before its time, and none in the way of another."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from routing.base import Base
from routing.errors import ConflictError
from routing.forges.change_request import ChangeRequest, ChangeState, Review
from routing.forges.commit_status import CiVerdict, CombinedStatus, CommitStatus, StatusState
from routing.forges.config import ForgeConfig
from routing.forges.errors import ForgeUnreachableError
from routing.forges.feedback import Feedback
from routing.forges.site import ForgeSite
from routing.git.remote import Remote
from routing.jobs.job import JobResult, JobState
from tasks.composition.forge_parts import ForgeParts
from tasks.issues.watcher import Watcher
from tasks.settings.issue_settings import IssueSettings, WatchSettings
from tests.fleets.stepped_fleet import SteppedFleet

_STATES = {
    CiVerdict.GREEN: StatusState.SUCCESS,
    CiVerdict.RED: StatusState.FAILURE,
    CiVerdict.PENDING: StatusState.PENDING,
}


class WatchedForge:
    """A forge in memory: CI says what the test says, and a merge may be interrupted."""

    def __init__(self) -> None:
        self.ci: dict[str, CiVerdict] = {}  # by commit; what is not named is pending
        self.away = False
        self.merged: list[str] = []
        self.on_merge: Callable[[], object] = lambda: None

    def statuses(self, repo: str, commit: str, *, base: object = None) -> CombinedStatus:
        """What CI says."""
        del repo, base
        if self.away:
            message = "the forge does not answer"
            raise ForgeUnreachableError(message)
        state = _STATES[self.ci.get(commit, CiVerdict.PENDING)]
        status = CommitStatus(context="ci", state=state, at=datetime.now(UTC), description="3 of 9 failed")
        return CombinedStatus(commit=commit, statuses=(status,))

    def reviews(self, change: ChangeRequest) -> tuple[Review, ...]:
        """Nobody reviews."""
        del change
        return ()

    def own_login(self) -> str:
        """Who we are."""
        return "coalmine"

    def feedback(self, change: ChangeRequest) -> tuple[Feedback, ...]:
        """Nor does anybody comment."""
        del change
        return ()

    def contains(self, repo: str, commit: str, *, base: Base | None = None) -> bool:
        """Nobody pushes to the main branch by hand."""
        del repo, commit, base
        return False

    def change_of_branch(self, repo: str, branch: str) -> ChangeRequest:
        """The branch as a change."""
        state = ChangeState.MERGED if branch in self.merged else ChangeState.OPEN
        return ChangeRequest(repo=repo, branch=branch, head="h", base="main", state=state)

    def merge(
        self, change: ChangeRequest, *, issue: object = None, base: object = None, onto: object = None
    ) -> ChangeRequest:
        """Merge, with what the test has happen meanwhile."""
        del issue, base, onto
        self.on_merge()
        self.merged.append(change.branch)
        return change.model_copy(update={"state": ChangeState.MERGED, "merged_at": datetime.now(UTC)})


@pytest.fixture
def fleet(redis_client: redis.Redis) -> SteppedFleet:
    """A fleet with one template."""
    made = SteppedFleet(
        redis_client,
        job={"no_verdict_seconds": 3600},
        issues=IssueSettings(watch=WatchSettings(fix_forwards=0)),
    )
    made.add()
    return made


@pytest.fixture
def forge() -> WatchedForge:
    """A forge on which nothing has happened."""
    return WatchedForge()


def watcher(fleet: SteppedFleet, forge: WatchedForge) -> Watcher:
    """The watcher of the fleet, with a forge of the test's."""
    either: Any = forge
    config = ForgeConfig(kind="memory", name="local", merge="green", judge_merges=False, kill_switch=False)
    site = ForgeSite(config=config, forge=either, remote=lambda repo: Remote(address=repo))
    parts = ForgeParts(coalmine=fleet.app, run_ci=lambda _commit: None, given={"local": site})
    return parts.watcher


def pushed(fleet: SteppedFleet, commit: str) -> str:
    """A job that waits for CI of a commit."""
    job = fleet.enqueue(repository="local:shop").job
    fleet.app.jobs.pushed(fleet.claim(job), JobResult(commit=commit))
    fleet.clock.forward(1)
    return job


def test_a_job_that_is_cancelled_while_others_are_merged_is_not_merged(
    fleet: SteppedFleet, forge: WatchedForge
) -> None:
    """What the tick has read long ago is not what it acts on."""
    first, second = pushed(fleet, "c1"), pushed(fleet, "c2")
    forge.ci = {"c1": CiVerdict.GREEN, "c2": CiVerdict.GREEN}

    def cancel() -> None:
        if not forge.merged:
            fleet.app.jobs.cancel(second, by="ada", at=fleet.clock())

    forge.on_merge = cancel
    watcher(fleet, forge).tick()
    assert forge.merged == [f"coalmine/{first}"]
    assert fleet.app.jobs.find(second).state is JobState.CANCELLED


def test_a_job_that_is_being_merged_is_not_cancelled(fleet: SteppedFleet, forge: WatchedForge) -> None:
    """The cancel is refused, and says what can be done."""
    job = pushed(fleet, "c1")
    forge.ci = {"c1": CiVerdict.GREEN}
    refused: list[str] = []

    def cancel() -> None:
        with pytest.raises(ConflictError, match="being merged") as caught:
            fleet.app.jobs.cancel(job, by="ada", at=fleet.clock())
        refused.append(str(caught.value))

    forge.on_merge = cancel
    watcher(fleet, forge).tick()
    assert refused
    assert fleet.app.jobs.find(job).state is JobState.SUCCEEDED


def test_undecided_jobs_do_not_keep_others_from_their_turn(fleet: SteppedFleet, forge: WatchedForge) -> None:
    """With more of them than a tick looks at, the one that is green is found all the same."""
    jobs = [pushed(fleet, f"c{number}") for number in range(101)]
    forge.ci = {"c100": CiVerdict.GREEN}
    watch = watcher(fleet, forge)
    for _ in range(2):
        watch.tick()
    assert fleet.app.jobs.find(jobs[100]).state is JobState.SUCCEEDED


def test_a_forge_that_stays_away_is_nobodys_fault(fleet: SteppedFleet, forge: WatchedForge) -> None:
    """The job waits, is handed to a person in the end, and no version is blamed."""
    job = pushed(fleet, "c1")
    forge.away = True
    watch = watcher(fleet, forge)
    watch.tick()
    assert fleet.app.jobs.find(job).state is JobState.WAITING
    fleet.clock.forward(3600)
    watch.tick()
    fleet.app.harvester.harvest()
    ended = fleet.app.jobs.find(job)
    assert (ended.state, ended.excluded) == (JobState.ESCALATED, True)


def test_a_forge_that_was_taken_out_of_the_settings_is_nobodys_fault(fleet: SteppedFleet) -> None:
    """It may be put back; when it is not, the job ends as if the forge had stayed away."""
    job = pushed(fleet, "c1")
    watch = ForgeParts(coalmine=fleet.app, run_ci=lambda _commit: None, given={}).watcher
    watch.tick()
    assert fleet.app.jobs.find(job).state is JobState.WAITING
    fleet.clock.forward(3600)
    watch.tick()
    fleet.app.harvester.harvest()
    ended = fleet.app.jobs.find(job)
    assert (ended.state, ended.excluded) == (JobState.ESCALATED, True)


def test_what_a_slow_tick_has_read_does_not_end_a_later_run(fleet: SteppedFleet) -> None:
    """Escalated, retried and pushed again: the old verdict is about another commit."""
    job = pushed(fleet, "old")
    seen = fleet.app.jobs.find(job)
    assert fleet.app.jobs.conclude(seen, JobState.ESCALATED, reason="red")
    fleet.app.jobs.retry(job, by="ada")
    fleet.app.jobs.pushed(fleet.claim(job), JobResult(commit="new"))
    assert not fleet.app.jobs.conclude(seen, JobState.SUCCEEDED, reason="green at old")
    assert fleet.app.jobs.find(job).state is JobState.WAITING


def test_a_job_whose_record_is_gone_leaves_no_trace(fleet: SteppedFleet, forge: WatchedForge) -> None:
    """Its issue never showed the end, as the forge was away for as long as the job was kept."""
    job = fleet.enqueue(issue="local:shop#1").job
    fleet.end(job)
    fleet.redis.delete(fleet.app.keys.job(job))
    watcher(fleet, forge).tick()
    assert fleet.app.job_store.with_effects(10) == []


def test_what_ci_complained_of_is_in_the_reason(fleet: SteppedFleet, forge: WatchedForge) -> None:
    """A person who reads the job sees which check failed."""
    job = pushed(fleet, "c1")
    forge.ci = {"c1": CiVerdict.RED}
    watcher(fleet, forge).tick()
    ended = fleet.app.jobs.find(job)
    assert ended.state is JobState.ESCALATED
    assert "CI is red at the pushed commit: ci: 3 of 9 failed" in ended.reason
