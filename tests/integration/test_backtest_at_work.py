"""A backtest on a real fleet: what it decides, that nothing leads to an answer, and what it says of that."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from console.output.trials.backtest_views import report_document
from harvest.backtests.case import Case
from routing.embedded.private_server import PrivateServer
from routing.git.git import Git
from routing.jobs.job import Job
from routing.sandbox.bubblewrap_here import find_bubblewrap
from routing.sandbox.profile import SandboxKind
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.trial import Arm
from routing.templates.version import Snapshot, VersionState
from tasks.backtests.opening import BacktestOrder
from tasks.backtests.report import BacktestReport, read_report
from tasks.composition.backtest_parts import CaseParts
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tests.fleets.history import JUDGE, PastLibrary, past_library
from tests.fleets.worker_fleet import WorkerFleet, fleet
from tests.programs.case_agent import SKILL, Fix, case_agent, found_by, leads
from tests.waiting import wait_until

pytestmark = pytest.mark.long

ISSUES = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseShop:
    """A fleet that serves a library with a past, and what its agents look for."""

    fleet: WorkerFleet
    parts: Coalmine
    library: PastLibrary
    command: str
    address: str

    def cases(self) -> list[Case]:
        """The cases of the library's past, by the way that the command takes."""
        made = CaseParts(
            parts=self.parts, forges=ForgeParts(coalmine=self.parts, run_ci=lambda _commit: None)
        )
        with made.collector(made.repository("")) as collector:
            return [one.case for one in collector.collect(most=50, looks=50, known=set()) if one.case]

    def run(self, prompt: str, cases: list[Case]) -> BacktestReport:
        """A backtest of a version with this prompt to its end, and its report."""
        opening, templates = self.parts.backtest_opening, self.parts.templates
        canary = templates.propose("implementer", self.snapshot(prompt)).version
        champion = templates.champion("implementer")
        order = BacktestOrder(canary=canary, champion=champion, cases=cases, refuse=True, by="ada")
        name = opening.open(order).id
        wait_until(lambda: not opening.find(name).is_running, description="it has ended", timeout=120)
        store = self.parts.backtest_store
        wait_until(lambda: not store.refusing(), description="its version is rejected where it is worse")
        return read_report(store, self.parts.log_store, opening.find(name))

    def snapshot(self, prompt: str) -> Snapshot:
        """A version that differs from the others by its prompt alone, and asks for no sandbox."""
        return Snapshot(prompt=prompt, command=self.command, sandbox=SandboxKind.NONE)

    def jobs(self, report: BacktestReport) -> list[Job]:
        """The jobs of a backtest that left work."""
        found = [job for job in self.parts.jobs.newest(most=200) if job.backtest == report.run.id]
        return [job for job in found if job.result.commit]


@pytest.fixture
def shop(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[CaseShop]:
    """Its champion corrects what it is asked to; the issues name the changes that closed them."""
    assert redis_client.ping()
    library = past_library(tmp_path, issues=ISSUES, odd=False)
    library.git("tag", "later", "main")
    issues = tmp_path / "issues"
    issues.mkdir()
    for number, body in library.texts.items():
        fix = library.git("rev-parse", f"main^{{/Merge fix-{number}}}")
        link = f"https://forge.example/acme/calc/pull/{number}/commits/{fix}"
        title = f"Correct f{number}"
        issue = issues / f"{number}.md"
        issue.write_text(f"---\ntitle: {title}\n---\n{body} See {link}, or {fix[:9]}.\n")
        os.utime(issue, (0.0, 0.0))  # nobody has changed it since its change
    local = {
        "REPOSITORY": library.path, "ISSUES": issues, "STATE": tmp_path / "forge", "CI": JUDGE,
        "KILL_SWITCH": "true",
    }  # fmt: skip
    settings = {f"COALMINE_FORGE__LOCAL__{name}": str(value) for name, value in local.items()}
    settings |= {
        "COALMINE_CANARY__POLICY": '{"delta": 0.4, "alpha": 0.1, "beta": 0.1}',
        "COALMINE_BACKTEST__PAIRS_AT_ONCE": "2",
    }
    fixes = {
        f"f{number}": Fix("calc.py", f"return x + {number + 1}\n", f"return x + {number}\n")
        for number in range(1, ISSUES + 1)
    }
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as door,
        fleet(tmp_path, redis_server.url, **settings) as made,
    ):
        address = f"127.0.0.1:{door.getsockname()[1]}"
        command = case_agent(tmp_path, fixes, paths=[library.path], addresses=[address])
        found = CaseShop(fleet=made, parts=made.coalmine(), library=library, command=command, address=address)
        found.parts.templates.add("implementer", found.snapshot(SKILL))
        made.worker()
        made.beat()
        yield found


def test_a_backtest_decides_and_gives_no_answer_away(shop: CaseShop) -> None:
    """A worse version is refused before any real issue, an equal one is not; neither found anything.

    The second backtest uses what the champion made in the first.
    """
    cases = shop.cases()
    assert len(cases) == ISSUES
    before = shop.library.git("for-each-ref")
    worse = shop.run("Look at it.", cases)
    assert worse.run.state is BacktestState.WORSE, worse
    assert shop.parts.templates.find(worse.run.canary_id).state is VersionState.REJECTED
    counts = worse.evidence.counts
    assert counts.champion_only == counts.settled >= 4
    assert [one for one in worse.lost if not one.judge] == []
    assert {job.id for job in shop.parts.jobs.newest(most=200) if not job.backtest} == set()
    assert nothing_was_found(shop, worse, cases) >= 2 * counts.settled
    same = shop.run(f"{SKILL} Do it well.", cases)
    assert same.run.state is BacktestState.NOT_WORSE, same.run.reason
    assert shop.parts.templates.find(same.run.canary_id).state is VersionState.PENDING
    assert same.kept == counts.settled
    assert same.evidence.counts.both == same.evidence.counts.settled
    assert nothing_was_found(shop, same, cases) >= same.evidence.counts.settled
    assert shop.library.git("for-each-ref") == before
    says_what_was_in_reach(shop, worse)


def nothing_was_found(shop: CaseShop, report: BacktestReport, cases: list[Case]) -> int:
    """Of both versions, on each case: in no object, reference, log, text, variable or file."""
    by_digest = {case.digest: case for case in cases}
    jobs = shop.jobs(report)
    for job in jobs:
        found = found_by(job, shop.parts.settings.agent.work_dir)
        assert leads(found, by_digest[job.case], Git(shop.library.path)) == [], job.version_id
    return len(jobs)


def says_what_was_in_reach(shop: CaseShop, report: BacktestReport) -> None:
    """Where nothing can confine an agent, disk and network, and the report says of how many; else neither."""
    is_open = not find_bubblewrap().works
    for job in shop.jobs(report):
        found = found_by(job, shop.parts.settings.agent.work_dir)
        assert found.reached == ((shop.address,) if is_open else ())
        assert found.shown == ((str(shop.library.path),) if is_open else ())
    assert report.looked >= len(shop.jobs(report))
    document = report_document(report)
    assert document["network_open"] == (document["network_known"] if is_open else 0)
    assert document["network_known"] > 0
    assert {job.pair_arm for job in shop.jobs(report)} == set(Arm)
