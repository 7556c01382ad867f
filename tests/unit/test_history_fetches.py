"""Fetches of main branches: beside the ticks, one at a time, and with a pause after one that failed."""

import threading
from pathlib import Path

import pytest

from routing.forges.errors import ForgeUnreachableError
from routing.forges.rest import history
from routing.forges.rest.history import HistoryAwaitedError, RestHistory, SoughtWork
from routing.git.remote import Remote
from tests.waiting import wait_until

WORK = SoughtWork(repo="acme/shop", base="main", tip="1" * 40, branch="coalmine/j1", head="2" * 40)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PATIENCE_SECONDS", 0.0)


def is_quiet() -> bool:
    """Whether no fetch goes on."""
    return all(thread.name != "history-fetch" for thread in threading.enumerate())


def test_a_fetch_that_takes_long_holds_up_nobody(tmp_path: Path) -> None:
    """It goes on, no second one is begun beside it, and other repositories are fetched meanwhile."""
    asked, go_on = list[str](), threading.Event()

    def remote(repo: str) -> Remote:
        asked.append(repo)
        go_on.wait(60)
        return Remote(address=str(tmp_path / "nowhere"))

    looked = RestHistory(remote=remote, folder=tmp_path)
    other = SoughtWork(repo="acme/web", base="main", tip="3" * 40, branch="", head="")
    try:
        for work in (WORK, WORK, other):
            with pytest.raises(HistoryAwaitedError, match="is being fetched"):
                looked.landing(work)
        wait_until(lambda: sorted(asked) == ["acme/shop", "acme/web"], description="both are fetched")
    finally:
        go_on.set()
        wait_until(is_quiet, description="the fetches are over")


def test_a_repository_that_cannot_be_fetched_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look says why, and none of them fetches; the pause grows."""
    monkeypatch.setattr(history, "PATIENCE_SECONDS", 60.0)
    now, asked = [1000.0], list[str]()

    def remote(repo: str) -> Remote:
        asked.append(repo)
        return Remote(address=str(tmp_path / "nowhere"))

    looked = RestHistory(remote=remote, folder=tmp_path, monotonic=lambda: now[0])
    for seconds, tries in ((0, 1), (14, 1), (2, 2), (20, 2), (15, 3)):
        now[0] += seconds
        with pytest.raises(ForgeUnreachableError, match="could not be read"):
            looked.landing(WORK)
        assert len(asked) == tries
