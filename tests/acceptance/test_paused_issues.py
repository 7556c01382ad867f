"""A paused issue on a forge that is polled: what ticks make of it, and what a person does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routing.job import JobResult, JobState
from routing.jobs import Claim
from tasks.composition import compose
from tasks.forges.forge_parts import ForgeParts
from tasks.settings import Settings
from tests.command_line import CommandLine
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


@contextmanager
def process(coalmine: CommandLine, issues: Path) -> Iterator[ForgeParts]:
    """The parts of a worker's process that has just been started."""
    repository = coalmine.folder / "shop-with-tree" / "shop"
    local = {"repository": repository, "issues": issues, "state": coalmine.folder / "state", "label": "agent"}
    parts = compose(Settings.model_validate({"redis_url": coalmine.url, "forge": {"local": local}}))
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
