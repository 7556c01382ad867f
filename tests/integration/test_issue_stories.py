"""From an issue to its end, on a real repository with a real CI command and real workers."""

from pathlib import Path

import pytest
from redis import Redis

from routing.embedded.private_server import PrivateServer
from routing.events import JOB_FINISHED
from routing.git.git import Git
from routing.jobs.job import JobState
from routing.jobs.signal import SignalKind
from tasks.settings.issue_settings import WatchSettings
from tests.fleets.shop import ShopFleet, shop
from tests.fleets.worker_fleet import events_of
from tests.waiting import wait_until

FOR_HUMAN, IN_PROGRESS = WatchSettings().escalation_label, WatchSettings().in_progress_label


@pytest.fixture
def url(redis_client: Redis, redis_server: PrivateServer) -> str:
    """An empty server."""
    assert redis_client.ping()
    return redis_server.url


def kinds(made: ShopFleet, job: str) -> set[SignalKind]:
    """The kinds of facts that are known of a job."""
    return {fact.kind for fact in made.parts.signals.read(job)}


def test_an_issue_is_worked_on_merged_and_closed(tmp_path: Path, url: str) -> None:
    """Commit, CI, merge, one comment, a closed issue, the full score, and no second job."""
    with shop(tmp_path, url) as made:
        issue = made.open_issue()
        job = made.until(JobState.SUCCEEDED)
        seen = made.until_shown(issue)
        assert (seen.state, IN_PROGRESS in seen.labels, FOR_HUMAN in seen.labels) == ("closed", False, False)
        assert len(seen.comments or ()) == 1
        assert (made.repository.path / "done.txt").read_text() == "done\n"
        assert job.result.commit == made.repository.tip(job.branch)
        assert made.until_scored(job) == 1.0
        assert kinds(made, job.id) == {SignalKind.CI_GREEN, SignalKind.MERGED}
        assert len(events_of(made.parts, job.id, JOB_FINISHED)) == 1
        assert len(made.parts.jobs.newest(most=10)) == 1


def test_an_agent_that_commits_nothing_is_handed_to_a_person(tmp_path: Path, url: str) -> None:
    """The issue waits for a person; when they take the label off, an agent tries again."""
    helped = tmp_path / "helped"
    with shop(tmp_path, url, f"if [ -e {helped} ]; then echo done > done.txt; fi") as made:
        issue = made.open_issue()
        first = made.until(JobState.ESCALATED)
        assert made.until_scored(first) == 0.0
        assert FOR_HUMAN in made.until_shown(issue).labels
        helped.touch()
        made.forge.remove_label(issue, FOR_HUMAN)
        second = made.until(JobState.SUCCEEDED, nth=2)
        assert second.id != first.id
        wait_until(lambda: made.issue(issue).state == "closed", description="the issue is closed")
        assert made.until_scored(second) == 1.0


def test_red_ci_freezes_the_work(tmp_path: Path, url: str) -> None:
    """The branch stays for a person to see, and nothing of it is merged."""
    with shop(tmp_path, url, "echo half > half.txt") as made:
        before = made.repository.tip()
        issue = made.open_issue()
        job = made.until(JobState.ESCALATED)
        assert kinds(made, job.id) == {SignalKind.CI_RED, SignalKind.FROZEN}
        assert FOR_HUMAN in made.until_shown(issue).labels
        assert made.until_scored(job) == 0.0
        assert made.repository.tip() == before
        assert made.repository.tip(job.branch) == job.result.commit


def test_what_people_do_with_the_work_is_seen(tmp_path: Path, url: str) -> None:
    """A merge by hand is credited to the job; a revert within the window takes the credit away."""
    policy = '{"share": 0.5, "revert_window_seconds": 3600}'
    with shop(tmp_path, url, merge="never", policy=policy) as made:
        made.open_issue()
        job = made.until(JobState.SUCCEEDED)
        assert SignalKind.MERGED not in kinds(made, job.id)
        person = Git(made.repository.path)
        person("merge", "--no-ff", "--quiet", "--message", "Take it", job.branch)
        wait_until(lambda: SignalKind.MERGED in kinds(made, job.id), description="the merge is seen")
        assert made.parts.jobs.find(job.id).settled_at is None
        person("revert", "--no-edit", "--mainline", "1", "HEAD")
        assert made.until_scored(job) == 0.0
        assert "revert" in made.parts.jobs.find(job.id).score_reason


def test_a_forge_that_is_away_is_waited_for(tmp_path: Path, url: str) -> None:
    """While the repository cannot be read nothing is concluded; when it is back the job goes on."""
    gate, away = tmp_path / "gate", tmp_path / "away"
    ci = f"while [ ! -e {gate} ]; do sleep 0.05; done; test -e done.txt"
    with shop(tmp_path, url, ci=ci) as made:
        issue = made.open_issue()
        job = made.until(JobState.WAITING)
        made.repository.path.rename(away)
        wait_until(
            lambda: made.fleet.log("w1").count("forge.unreachable") >= 3,
            description="the forge was found away three times",
        )
        assert made.parts.jobs.find(job.id).state is JobState.WAITING
        away.rename(made.repository.path)
        gate.touch()
        made.until(JobState.SUCCEEDED)
        wait_until(lambda: made.issue(issue).state == "closed", description="the issue is closed")
        assert "Traceback" not in made.fleet.log("w1")


def test_work_that_waits_for_ci_can_be_cancelled(tmp_path: Path, url: str) -> None:
    """Its CI may still come out green; the job stays cancelled and nothing is merged."""
    gate = tmp_path / "gate"
    with shop(tmp_path, url, ci=f"while [ ! -e {gate} ]; do sleep 0.05; done; test -e done.txt") as made:
        before = made.repository.tip()
        issue = made.open_issue()
        job = made.until(JobState.WAITING)
        made.parts.jobs.cancel(job.id, by="ada", at=made.parts.job_store.now())
        gate.touch()
        seen = made.until_shown(issue)
        assert FOR_HUMAN in seen.labels
        wait_until(
            lambda: made.forge.statuses("shop", job.result.commit).has_real_ci, description="CI is green"
        )
        assert made.parts.jobs.find(job.id).state is JobState.CANCELLED
        wait_until(lambda: made.parts.jobs.find(job.id).excluded, description="the job is excluded")
        assert made.repository.tip() == before


def test_red_ci_is_repaired_before_a_person_is_asked(tmp_path: Path, url: str) -> None:
    """CI's own words go back to the agent; its repair is merged, and the job counts once, in full."""
    agent = (
        'if grep -q "done.txt is not there" "$COALMINE_PROMPT_FILE"; '
        "then echo done > done.txt; else echo half > half.txt; fi"
    )
    corrective = {"COALMINE_ISSUES__WATCH__FIX_FORWARDS": "2"}
    ci = "test -e done.txt || { echo done.txt is not there; exit 1; }"
    with shop(tmp_path, url, agent, ci=ci, variables=corrective) as made:
        issue = made.open_issue()
        job = made.until(JobState.SUCCEEDED)
        seen = made.until_shown(issue)
        [red] = job.judged
        assert (job.fix_forwards, job.turns, len(made.parts.jobs.newest(most=10))) == (1, 2, 1)
        assert made.repository.git("rev-parse", f"{job.result.commit}^") == red
        assert (seen.state, len(seen.comments or ())) == ("closed", 1)
        assert made.until_scored(job) == 1.0
        assert kinds(made, job.id) == {SignalKind.CI_RED, SignalKind.CI_GREEN, SignalKind.MERGED}


def test_an_issue_waits_for_those_that_block_it(tmp_path: Path, url: str) -> None:
    """Its number comes first; it runs when the other one is merged, and on top of that."""
    with shop(tmp_path, url, "ls >> done.txt") as made:
        first = made.open_issue(9)
        blocked = made.open_issue(3, blocked_by=[9])
        for nth in (1, 2):
            made.until(JobState.SUCCEEDED, nth=nth)
        jobs = [made.job(1), made.job(2)]
        assert [job.request.issue for job in jobs] == [str(first), str(blocked)]
        assert made.repository.git("merge-base", jobs[0].result.commit, jobs[1].result.commit) == (
            jobs[0].result.commit
        )
