"""What a job's branch changes: read by git on this host, bounded, as text."""

from pathlib import Path

import pytest
import redis

from console.details import branch_changes
from console.details.branch_changes import LARGE_FILE, NoBranchError, read_branch
from routing.forges.local.config import LocalConfig
from routing.git.git import Git
from routing.jobs.job import JobResult, JobState
from tests.fleets.stepped_fleet import SteppedFleet


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    """A repository with a commit."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git = Git(folder)
    git("init", "-q", "-b", "main")
    (folder / "total.py").write_text("half up\n", encoding="utf-8")
    git("add", "."), git("commit", "-qm", "first")
    return git


def pushed(client: redis.Redis, git: Git, **files: str) -> tuple[SteppedFleet, str]:
    """A fleet with a job that has pushed a commit with these files, and the job."""
    base = git("rev-parse", "HEAD")
    for name, text in files.items():
        (git.directory / name.replace("__", "*")).write_text(text, encoding="utf-8")
    git("add", "."), git("commit", "-qm", "second")
    issues = git.directory.parent / "issues"
    issues.mkdir()
    local = LocalConfig(repository=git.directory, issues=issues)
    fleet = SteppedFleet(client, forge=[local])
    fleet.add()
    job = fleet.enqueue(repository="local:shop").job
    result = JobResult(commit=git("rev-parse", "HEAD"), branch=f"coalmine/{job}")
    fleet.app.jobs.end(fleet.claim(job), JobState.SUCCEEDED, reason="done", result=result, signals=[])
    fleet.redis.hset(fleet.app.keys.job(job), mapping={"base_branch": "main", "base_commit": base})
    return fleet, job


def test_a_page_shows_what_a_branch_changes(redis_client: redis.Redis, repository: Git) -> None:
    """As text, also where it looks like markup; a path is a path, not a pattern."""
    fleet, job = pushed(redis_client, repository, **{"total.py": "half <b>even</b>\n", "__": "star\n"})
    assert f"/jobs/{job}/diff" in fleet.web.get(f"/jobs/{job}", Accept="text/html").text
    page = fleet.web.get(f"/jobs/{job}/diff", Accept="text/html").text
    assert '<span class="add">+half &lt;b&gt;even&lt;/b&gt;</span>' in page
    assert '<span class="del">-half up</span>' in page
    assert "2 files" in page
    document = fleet.web.get(f"/api/v1/jobs/{job}/diff").json()
    assert (document["files"], document["unshown"]) == (2, [])
    assert "+star" in document["diff"]


def test_large_files_are_named_and_not_shown(
    redis_client: redis.Redis, repository: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no page is large, whatever an agent commits; nor are files beyond what fits together."""
    monkeypatch.setattr(branch_changes, "MOST_BYTES", 12)
    files = {"a.txt": "0123456789", "b.txt": "0123456789", "c.bin": "x" * (LARGE_FILE + 1)}
    fleet, job = pushed(redis_client, repository, **files)
    changes = read_branch(fleet.app, job)
    assert (changes.files, changes.unshown) == (3, ["b.txt", "c.bin"])
    assert [line for line in changes.lines if line.startswith("+0")] == ["+0123456789"]


def test_settings_of_a_repository_run_nothing(
    redis_client: redis.Redis, repository: Git, tmp_path: Path
) -> None:
    """No program for differences, and none that makes text of a file."""
    ran = tmp_path / "ran"
    for name in ("diff.external", "diff.x.textconv", "diff.x.command"):
        repository("config", name, f"sh -c 'touch {ran}'")
    fleet, job = pushed(redis_client, repository, **{".gitattributes": "* diff=x\n", "total.py": "even\n"})
    assert "+even" in read_branch(fleet.app, job).lines
    assert not ran.exists()


def test_a_host_without_a_copy_says_so(redis_client: redis.Redis, repository: Git) -> None:
    """And for a job that has pushed nothing: 404, with what to do."""
    fleet, job = pushed(redis_client, repository, **{"total.py": "even\n"})
    fleet.redis.hset(fleet.app.keys.job(job), "commit", "0" * 39 + "1")
    answer = fleet.web.get(f"/jobs/{job}/diff", Accept="text/html")
    assert answer.status_code == 404
    assert "no copy of local:shop on this host" in answer.text
    with pytest.raises(NoBranchError, match="pushed nothing"):
        read_branch(fleet.app, fleet.enqueue().job)
