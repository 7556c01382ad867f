"""A backtest on a real fleet: a worse version is refused before any real issue, and nothing is seen of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from harvest.backtests.case import Case
from routing.embedded.private_server import PrivateServer
from routing.git.git import Git
from routing.store.backtests.backtest_store import Backtest, BacktestState
from routing.templates.version import Snapshot, Version, VersionState
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.opening import BacktestOrder
from tasks.backtests.report import read_report
from tasks.composition.backtest_parts import CaseParts
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tests.fleets.history import JUDGE, PastLibrary, past_library
from tests.fleets.worker_fleet import fleet
from tests.waiting import wait_until

#: Corrects what the issue is about, as the prompt says it: `f3(1) returns 5, and should return 4`.
GOOD = r"""n=$(grep -o 'f[0-9]*(1) returns' "$COALMINE_PROMPT_FILE" | head -1 | tr -dc '0-9 ' | cut -c1)
sed -i "s/return x + $((n + 1))\$/return x + $n/" calc.py"""

#: Looks for the answer wherever it may be, and takes it if it finds it; else it removes the tests.
BAD = r"""git log --all --format=%H > seen.txt; git fetch --quiet origin || true
for one in $(git rev-list --all --not HEAD); do git checkout --quiet $one -- calc.py; done
find . -name alternates > found.txt; rm -f tests/test_*.py"""


@pytest.fixture
def parts(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[Coalmine]:
    """A fleet that serves a library with a past; its champion corrects what it is asked to."""
    assert redis_client.ping()
    library = past_library(tmp_path, issues=6, odd=False)
    issues = tmp_path / "issues"
    issues.mkdir()
    for number, body in library.texts.items():
        (issues / f"{number}.md").write_text(f"---\ntitle: Issue {number}\n---\n{body}\n")
    local = {
        "REPOSITORY": library.path,
        "ISSUES": issues,
        "STATE": tmp_path / "forge",
        "CI": JUDGE,
        "KILL_SWITCH": "true",
    }
    settings = {f"COALMINE_FORGE__LOCAL__{name}": str(value) for name, value in local.items()}
    policy = '{"delta": 0.4, "alpha": 0.1, "beta": 0.1}'
    with fleet(
        tmp_path, redis_server.url, COALMINE_CANARY__POLICY=policy, COALMINE_BACKTEST__PAIRS_AT_ONCE="2",
        **settings,
    ) as made:  # fmt: skip
        found = made.coalmine()
        found.templates.add("implementer", Snapshot(prompt="Do what the issue says.", command=GOOD))
        made.worker()
        made.beat()
        yield found


def cases_of(parts: Coalmine, folder: Path) -> list[Case]:
    """The cases of the library's past, by the way that the command takes."""
    made = CaseParts(parts=parts, forges=ForgeParts(coalmine=parts, run_ci=lambda _commit: None))
    with made.collector(made.repository("")) as collector:
        found = [one.case for one in collector.collect(most=50, looks=50, known=set()) if one.case]
    CaseFolder(folder).write(found)
    return CaseFolder(folder).read()


def run(parts: Coalmine, canary: Version, cases: list[Case]) -> Backtest:
    """A backtest to its end."""
    champion = parts.templates.champion("implementer")
    begun = parts.backtest_opening.open(
        BacktestOrder(canary=canary, champion=champion, cases=cases, refuse=True, by="ada")
    )
    wait_until(
        lambda: not parts.backtest_opening.find(begun.id).is_running, description="the backtest has ended",
        timeout=120,
    )  # fmt: skip
    return parts.backtest_opening.find(begun.id)


def test_a_worse_version_is_refused_and_an_equal_one_is_not(tmp_path: Path, parts: Coalmine) -> None:
    """By cases of the library's own past; the second backtest uses what the champion made in the first."""
    cases = cases_of(parts, tmp_path / "cases")
    assert len(cases) == 6
    library = PastLibrary(tmp_path / "calc.git", tmp_path / "calc-bench", ())
    before = library.git("for-each-ref")
    bad = parts.templates.propose("implementer", Snapshot(prompt="Look.", command=BAD)).version
    ended = run(parts, bad, cases)
    report = read_report(parts.backtest_store, parts.log_store, ended)
    assert ended.state is BacktestState.WORSE, report
    assert parts.templates.find(bad.id).state is VersionState.REJECTED
    counts = report.evidence.counts
    assert (counts.canary_only, counts.both, counts.neither) == (0, 0, 0)
    assert counts.champion_only == counts.settled >= 4
    assert [one for one in report.lost if not one.judge] == []
    assert library.git("for-each-ref") == before
    jobs = [job for job in parts.jobs.newest(most=100) if job.backtest == ended.id]
    for job in jobs:
        assert (job.queue, job.request.issue) == ("backtest", "")
    for tree in (tmp_path / "work").glob("backtest@*/*/found.txt"):
        assert tree.read_text() == ""
    same = parts.templates.propose("implementer", Snapshot(prompt="Do it well.", command=GOOD)).version
    again = run(parts, same, cases)
    assert again.state is BacktestState.NOT_WORSE, again.reason
    assert parts.templates.find(same.id).state is VersionState.PENDING
    found = read_report(parts.backtest_store, parts.log_store, again)
    assert found.kept > 0
    assert found.evidence.counts.both == found.evidence.counts.settled
    assert Git(library.path)("for-each-ref") == before
