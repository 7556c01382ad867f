"""A forge that is wrongly set keeps to itself: the sweep, and all other forges, go on."""

from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from routing.forges.errors import ForgeUnreachableError
from routing.forges.forge import Forge, HoldsConnections, IssueTracker, RunsCi
from routing.git.git import Git
from routing.issues.issue import IssueRef
from tasks.composition.composition import compose
from tasks.composition.sites import UnusableForge
from tasks.composition.worker import Worker
from tasks.settings.settings import Settings


@pytest.fixture
def worker(fake_redis: redis.Redis, tmp_path: Path) -> Worker:
    """A worker of two local forges, one of which names folders that are not there."""
    shop, issues = tmp_path / "shop", tmp_path / "issues"
    issues.mkdir()
    shop.mkdir()
    (issues / "1.md").write_text("Do one.\n")
    git = Git(shop)
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    forges = [
        {"kind": "local", "name": "gone", "repository": "/no/such/shop", "issues": "/no/such/issues"},
        {"kind": "local", "name": "here", "repository": str(shop), "issues": str(issues),
         "state": str(tmp_path / "state"), "ci": "true"},
    ]  # fmt: skip
    settings = Settings.model_validate({"redis_url": "redis://127.0.0.1:1/0", "forge": forges})
    return Worker(coalmine=compose(settings, redis=fake_redis))


def test_the_sweep_and_other_forges_go_on(worker: Worker) -> None:
    """What trims the backlog is a part of the sweep; issues of the other forge are taken."""
    with capture_logs() as logs:
        worker.sweep()
        worker.poll("here")
    assert [entry["forge"] for entry in logs if entry["event"] == "forge.unusable"] == ["gone"]
    assert not [entry for entry in logs if entry["event"] == "sweep.failed"]
    assert worker.forges.backlog.known(IssueRef(forge="here", repo="shop", number=1)) is not None
    assert {"gone:shop", "here:shop"} == set(worker.forges.remotes)


def test_the_wrong_one_gives_no_answer(worker: Worker) -> None:
    """It is like a forge that is down, so nothing is concluded; it says what to correct."""
    forge = worker.forges.sites["gone"].forge
    with pytest.raises(ForgeUnreachableError, match=r"gone cannot be used: .*/no/such/shop"):
        forge.list_issues("shop", None)
    assert worker.forges.sites["gone"].run_ci is None


def test_it_has_each_method_of_a_forge_and_no_ability_besides() -> None:
    """A method that is added to the protocol is there, too."""
    forge = UnusableForge("x", "it is wrong")
    methods = [
        name for name in {**vars(IssueTracker), **vars(Forge)} if not name.startswith("_") and name != "name"
    ]
    assert len(methods) > 20
    for name in methods:
        with pytest.raises(ForgeUnreachableError):
            getattr(forge, name)()
    assert not isinstance(forge, RunsCi | HoldsConnections)
