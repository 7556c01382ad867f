"""Issues that a person paused or must look at, on a forge that is polled: ticks, and what people do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routing.forges.local.config import LocalConfig
from routing.issues.issue import IssueRef
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from tasks.composition.composition import compose
from tasks.composition.forge_parts import ForgeParts
from tasks.settings.settings import Settings
from tests.programs.command_line import CommandLine
from tests.repositories import new_repository

ISSUE = "local:shop#3"


@pytest.fixture
def shop(coalmine: CommandLine, template: str) -> Path:
    """An issue as a file beside a repository; returns the folder of issues."""
    assert template == "implementer"
    new_repository(coalmine.folder)
    issues = coalmine.folder / "issues"
    issues.mkdir()
    write(issues, "Finish it.")
    return issues


def write(issues: Path, body: str, labels: str = "agent") -> None:
    """A person writes the issue's file."""
    (issues / "3.md").write_text(f"---\ntitle: Finish it\nlabels: [{labels}]\n---\n{body}\n")


def served(coalmine: CommandLine, issues: Path) -> dict[str, str]:
    """The variables of a command where the forge is set up."""
    local = {
        "REPOSITORY": coalmine.folder / "shop-with-tree" / "shop",
        "ISSUES": issues,
        "STATE": coalmine.folder / "state",
        "LABEL": "agent",
    }
    return {f"COALMINE_FORGE__LOCAL__{name}": str(value) for name, value in local.items()}


@contextmanager
def process(coalmine: CommandLine, issues: Path) -> Iterator[ForgeParts]:
    """The parts of a worker's process that has just been started."""
    repository = coalmine.folder / "shop-with-tree" / "shop"
    local = LocalConfig(repository=repository, issues=issues, state=coalmine.folder / "state", label="agent")
    parts = compose(Settings(redis_url=coalmine.url, forge=(local,)))
    try:
        yield ForgeParts(coalmine=parts, run_ci=lambda _commit: None)
    finally:
        parts.redis.close()
        parts.app.close()


def ticks(coalmine: CommandLine, issues: Path) -> list[str]:
    """A poll and a dispatch in a new process; returns the jobs that were dispatched."""
    with process(coalmine, issues) as forges:
        for site in forges.sites.values():
            forges.collector.poll(site)
        return forges.dispatcher.tick()


def state(coalmine: CommandLine) -> str:
    """The issue's state."""
    return str(coalmine.document("issue", "show", ISSUE)["state"])


def test_no_poll_brings_a_paused_issue_back(coalmine: CommandLine, shop: Path) -> None:
    """Not after a restart, nor an edit, nor without and with its label; the person does."""
    coalmine.shown("pause", "not yet")
    assert ticks(coalmine, shop) == []
    coalmine.shown("resume")
    coalmine.shown("issue", "pause", ISSUE)
    assert ticks(coalmine, shop) == []
    write(shop, "Finish it by noon.")
    assert ticks(coalmine, shop) == []
    write(shop, "Finish it by noon.", labels="other")
    assert ticks(coalmine, shop) == []
    write(shop, "Finish it by noon.")
    assert ticks(coalmine, shop) == []
    assert state(coalmine) == "cancelled"
    coalmine.shown("issue", "resume", ISSUE)
    (job,) = ticks(coalmine, shop)
    assert coalmine.document("job", "show", job)["request"]["task"] == "Finish it by noon."


def test_work_that_was_paused_meanwhile_is_not_begun_again(coalmine: CommandLine, shop: Path) -> None:
    """Its job ends without success; when a person takes the label off, nothing begins until it is resumed."""
    (job,) = ticks(coalmine, shop)
    assert job in coalmine("issue", "pause", ISSUE).stderr
    assert state(coalmine) == "in_progress"
    with process(coalmine, shop) as forges:
        claim = forges.coalmine.jobs.claim(job, worker="w", lease_seconds=30)
        assert isinstance(claim, Claim)
        forges.coalmine.jobs.end(claim, JobState.ESCALATED, reason="nothing was pushed", result=JobResult())
        forges.watcher.tick()
    assert "ready-for-human" in (shop / "3.md").read_text()
    assert state(coalmine) == "cancelled"
    assert ticks(coalmine, shop) == []
    write(shop, "Finish it.")
    assert ticks(coalmine, shop) == []
    coalmine.shown("issue", "resume", ISSUE)
    (second,) = ticks(coalmine, shop)
    assert second != job


def labels(coalmine: CommandLine, issues: Path) -> tuple[str, ...]:
    """The labels that the forge shows."""
    with process(coalmine, issues) as forges:
        return forges.sites["local"].forge.read_issue(IssueRef.parse(ISSUE)).labels


def escalated(coalmine: CommandLine, issues: Path) -> str:
    """A job of the issue has ended without a push, and the issue waits for a person; returns the job."""
    (job,) = ticks(coalmine, issues)
    with process(coalmine, issues) as forges:
        claim = forges.coalmine.jobs.claim(job, worker="w", lease_seconds=30)
        assert isinstance(claim, Claim)
        forges.coalmine.jobs.end(claim, JobState.ESCALATED, reason="nothing was pushed", result=JobResult())
        forges.watcher.tick()
    assert "ready-for-human" in (issues / "3.md").read_text()
    assert state(coalmine) == "escalated"
    return job


def test_a_job_whose_issue_is_another_ones_is_not_retried(coalmine: CommandLine, shop: Path) -> None:
    """Neither while the other is at work on it, nor when that has completed it; it is said why."""
    old = escalated(coalmine, shop)
    write(shop, "Finish it.")
    (new,) = ticks(coalmine, shop)
    result = coalmine("job", "retry", old)
    assert (result.exit_code, f"is being worked on by job {new}" in result.stderr) == (4, True)
    with process(coalmine, shop) as forges:
        forges.coalmine.jobs.cancel(new, by="ada", at=forges.coalmine.signals.now())
        forges.backlog.complete(IssueRef.parse(ISSUE), reason="merged by a person", job=new)
    before = coalmine.stored()
    result = coalmine("job", "retry", old)
    assert (result.exit_code, "is completed (merged by a person)" in result.stderr) == (4, True)
    assert "reopen the issue" in result.stderr
    assert coalmine.stored() == before


def test_a_job_whose_issue_was_closed_meanwhile_is_not_retried(coalmine: CommandLine, shop: Path) -> None:
    """Also before a poll has seen it, where the forge is set up; an issue that waits for a person is fine."""
    job = escalated(coalmine, shop)
    open_text = (shop / "3.md").read_text()
    (shop / "3.md").write_text(open_text.replace("title:", "state: closed\ntitle:"))
    result = coalmine("job", "retry", job, **served(coalmine, shop))
    assert (result.exit_code, f"{ISSUE} is closed" in result.stderr) == (4, True)
    (shop / "3.md").write_text(open_text)
    retried = coalmine.document("job", "retry", job, **served(coalmine, shop))
    assert retried["state"] == "queued"


def test_a_forge_without_an_answer_keeps_no_job_from_a_retry(coalmine: CommandLine, shop: Path) -> None:
    """It is said that nobody looked."""
    job = escalated(coalmine, shop)
    (shop / "3.md").unlink()
    result = coalmine("job", "retry", job, **served(coalmine, shop))
    assert result.exit_code == 0
    assert f"it is not known whether {ISSUE} is still open" in result.stderr


def test_a_resumed_issue_stays_in_the_queue(coalmine: CommandLine, shop: Path) -> None:
    """The label that leaves it to people is off on the forge first, in any case; the next poll agrees."""
    escalated(coalmine, shop)
    text = (shop / "3.md").read_text()
    (shop / "3.md").write_text(text.replace("ready-for-human", "Ready-for-Human"))
    result = coalmine("issue", "resume", ISSUE, **served(coalmine, shop))
    assert (result.exit_code, f"{ISSUE} is ready" in result.stdout) == (0, True)
    assert "the label ready-for-human was taken off it" in result.stderr
    assert labels(coalmine, shop) == ("agent",)
    assert len(ticks(coalmine, shop)) == 1


def test_a_label_that_stays_on_keeps_the_issue_where_it_is(coalmine: CommandLine, shop: Path) -> None:
    """A forge that does not answer, or refuses: that is said, and nothing is changed."""
    escalated(coalmine, shop)
    (shop / "3.md").rename(shop / "3.txt")
    before = coalmine.stored()
    result = coalmine("issue", "resume", ISSUE, **served(coalmine, shop))
    assert result.exit_code == 5
    assert f"the label ready-for-human could not be taken off {ISSUE}" in result.stderr
    assert coalmine.stored() == before


def test_a_forge_under_its_kill_switch_is_not_asked(coalmine: CommandLine, shop: Path) -> None:
    """The issue is put back, and the command asks the person to take the label off."""
    escalated(coalmine, shop)
    result = coalmine("issue", "resume", ISSUE, **served(coalmine, shop), COALMINE_KILL_SWITCH="true")
    assert (result.exit_code, "take it off" in result.stderr) == (0, True)
    assert labels(coalmine, shop) == ("agent", "ready-for-human")
