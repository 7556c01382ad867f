"""A version goes its whole way on a real fleet, by the settings alone: past issues, live pairs, a draw."""

from pathlib import Path

import pytest
from redis import Redis

from harvest.backtests.case import Case, HiddenFile
from routing.embedded.private_server import PrivateServer
from routing.events import AUTO_PROMOTED, STEP_PASSED
from routing.git.git import Git
from routing.jobs.job import Job
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.templates import ProposalPolicy
from routing.templates.trial import Mode, TrialState
from routing.templates.version import Snapshot, VersionState
from tasks.backtests.case_folder import CaseFolder
from tests.fleets.shop import ShopFleet, shop
from tests.waiting import wait_until

#: A few jobs decide each step. The draws are the machine's: with an `alpha` of 0.3 the last step rolled back
#: one good version in eighteen, as so many of its first jobs were the champion's.
POLICY = '{"delta": 0.8, "alpha": 0.0003, "beta": 0.3, "revert_window_seconds": 0, "share": 0.5}'

#: Green when the work is there.
CI = "test -e done.txt"

GOOD = 'echo done > done.txt; echo "$COALMINE_JOB_ID" > "work-$COALMINE_JOB_ID.txt"'

#: Issues that are opened at the same time, and at the most.
AT_ONCE, MOST = 3, 60


def cases_of(repository: Path, folder: Path) -> None:
    """Past issues of the shop, on the commit that it is at."""
    hidden = (HiddenFile(path="tests/hidden.txt", content="hidden\n"),)
    base = Git(repository)("rev-parse", "HEAD")
    CaseFolder(folder).write(
        Case(
            id=f"shop-{place}", repository="local:shop", base=base, text=f"Past issue {place}", hidden=hidden
        )
        for place in range(12)
    )


def jobs_of(made: ShopFleet) -> list[Job]:
    """All jobs, the oldest first."""
    return made.parts.jobs.newest(most=200)[::-1]


@pytest.mark.long
def test_three_steps_from_the_settings_alone(
    tmp_path: Path, redis_client: Redis, redis_server: PrivateServer
) -> None:
    """Nobody opens anything: a version is proposed, issues come in, and step follows upon step."""
    assert redis_client.ping()
    steps = {
        "COALMINE_CANARY__STEPS": '["backtest", "shadow", "draw"]',
        "COALMINE_BACKTEST__CASES": str(tmp_path / "cases"),
        "COALMINE_BACKTEST__PAIRS_AT_ONCE": "2",
    }
    with shop(tmp_path, redis_server.url, GOOD, ci=CI, policy=POLICY, variables=steps) as made:
        parts = made.parts
        cases_of(made.repository.path, tmp_path / "cases")
        before = Git(made.repository.path)("for-each-ref")
        parts.templates.set_policy("implementer", ProposalPolicy.CANARY)
        new = parts.templates.propose("implementer", Snapshot(prompt="Do it well.", command=GOOD)).version
        wait_until(
            lambda: STEP_PASSED in [event.kind for event in parts.events.all()],
            description="the backtest is passed", timeout=60,
        )  # fmt: skip
        assert Git(made.repository.path)("for-each-ref") == before, "no real work was done yet"
        assert parts.backtest_opening.find("implementer-b1").state is BacktestState.NOT_WORSE
        for number in range(3, 3 + MOST, AT_ONCE):
            issues = [made.open_issue(each) for each in range(number, number + AT_ONCE)]
            wait_until(
                lambda issues=issues: all(made.issue(one).state == "closed" for one in issues),  # type: ignore[misc]
                description=f"issues {number}… are closed", timeout=60,
            )  # fmt: skip
            wait_until(
                lambda: all(job.settled_at for job in jobs_of(made) if job.trial and not job.shadow),
                description="their jobs are settled", timeout=30,
            )  # fmt: skip
            if parts.templates.find(new.id).state is VersionState.CHAMPION:
                break
        assert parts.templates.champion("implementer").id == new.id
        trials = parts.trials.history("implementer")
        assert [(trial.mode, trial.state) for trial in trials] == [
            (Mode.SHADOW, TrialState.GRADUATED), (Mode.DRAW, TrialState.GRADUATED),
        ]  # fmt: skip
        assert [trial.place.words for trial in trials] == ["step 2 of 3", "step 3 of 3"]
        kinds = [event.kind for event in parts.events.all()]
        assert (kinds.count(STEP_PASSED), kinds.count(AUTO_PROMOTED)) == (2, 1)
        landed = Git(made.repository.path)("ls-tree", "--name-only", "HEAD").split()
        for job in jobs_of(made):
            if job.version == new.number and f"work-{job.id}.txt" in landed:
                assert job.trial in {"", trials[1].id}, "the new version delivered before its last step"
