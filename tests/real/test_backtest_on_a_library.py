"""A backtest on a library that is not ours, from its source distribution, with a made history of fixes.

Its agents run in bubblewrap: so what they cannot see of this machine and its network is shown here as well.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from harvest.backtests.case import Case
from routing.embedded.private_server import PrivateServer
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.sandbox.profile import SandboxKind
from routing.store.backtests.backtest_store import BacktestState
from routing.templates.version import Snapshot, VersionState
from tasks.agents.repository.place import RepositoryPlace
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.opening import BacktestOrder
from tasks.backtests.report import read_report
from tasks.composition.backtest_parts import CaseParts
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tests.fleets.history import JUDGE
from tests.fleets.worker_fleet import fleet
from tests.programs.case_agent import SKILL, Fix, case_agent, found_by, leads
from tests.real.library import unpacked_library
from tests.waiting import wait_until

MODULE = "inflection/__init__.py"

#: Function, its line before its fix, its right line, and what the fix's test says.
FIXES = (
    ("underscore", "return word", "return word.lower()", 'underscore("DeviceType") == "device_type"'),
    ("dasherize", "return word", "return word.replace('_', '-')", 'dasherize("a_b") == "a-b"'),
    ("parameterize", "return string", "return string.lower()", 'parameterize("A B") == "a-b"'),
    ("tableize", "return word.lower()", "return pluralize(underscore(word))", 'tableize("Egg") == "eggs"'),
    ("ordinal", 'return "st"', 'return "th"', 'ordinal(11) == "th"'),
    ("ordinalize", "str(number)", '"{}{}".format(number, ordinal(number))', 'ordinalize(2) == "2nd"'),
    ("titleize", "underscore(word)", "humanize(underscore(word))", 'titleize("x-men") == "X Men"'),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseLibrary:
    """A fleet that serves the library, and what its agents look for."""

    parts: Coalmine
    library: Path
    command: str

    def snapshot(self, prompt: str) -> Snapshot:
        """A version, which differs from others by its prompt alone."""
        return Snapshot(prompt=prompt, command=self.command, sandbox=SandboxKind.BUBBLEWRAP)


def changed(module: Path, name: str, old: str, new: str) -> None:
    """Change a line of one function."""
    head, found, tail = module.read_text().partition(f"def {name}(")
    assert old in tail
    module.write_text(head + found + tail.replace(old, new, 1))


def proof_of(name: str, said: str) -> str:
    """The test that a fix brings."""
    return (
        f"import unittest\n\nfrom inflection import {name}\n\n\nclass T(unittest.TestCase):\n"
        f"    def test_it(self):\n        assert {said}\n"
    )


def made_history(path: Path) -> None:
    """One function is wrong for each fix, and then the fixes, each merged with its test."""
    git, module = Git(path), path / MODULE
    git("init", "--quiet", "--initial-branch=main")
    (path / "tests").mkdir()
    (path / "tests" / "__init__.py").write_text("")
    for name, wrong, right, _ in FIXES:
        changed(module, name, right, wrong)
    git("add", "--all")
    git("commit", "--quiet", "--message", "The library as it was")
    for number, (name, wrong, right, said) in enumerate(FIXES, start=1):
        git("checkout", "--quiet", "-b", f"fix-{name}")
        changed(module, name, wrong, right)
        (path / "tests" / f"test_{name}.py").write_text(proof_of(name, said))
        git("add", "--all")
        git("commit", "--quiet", "--message", f"Correct {name}")
        git("checkout", "--quiet", "main")
        merge = f"Merge fix-{name}\n\nFixes #{number}\n"
        git("merge", "--quiet", "--no-ff", "--message", merge, f"fix-{name}")


@pytest.fixture
def shop(tmp_path: Path, redis_client: Redis, redis_server: PrivateServer) -> Iterator[CaseLibrary]:
    """Real workers and beat; the champion corrects what it is asked to, by its prompt."""
    assert redis_client.ping()
    library, issues = unpacked_library(tmp_path), tmp_path / "issues"
    made_history(library)
    issues.mkdir()
    for number, (name, _, _, said) in enumerate(FIXES, start=1):
        issue = issues / f"{number}.md"
        issue.write_text(f"---\ntitle: Correct {name}\n---\nIt should be: {said}\n")
        os.utime(issue, (0.0, 0.0))  # nobody has changed it since its change
    local = {
        "REPOSITORY": library, "ISSUES": issues, "STATE": tmp_path / "forge", "CI": JUDGE,
        "KILL_SWITCH": "true",
    }  # fmt: skip
    settings = {f"COALMINE_FORGE__LOCAL__{name}": str(value) for name, value in local.items()}
    settings["COALMINE_CANARY__POLICY"] = '{"delta": 0.4, "alpha": 0.1, "beta": 0.1}'
    fixes = {name: Fix(MODULE, wrong, right) for name, wrong, right, _ in FIXES}
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as door,
        fleet(tmp_path, redis_server.url, **settings) as made,
    ):
        command = case_agent(
            tmp_path, fixes, paths=[library, tmp_path / "cases", tmp_path / "forge", mirror_in(tmp_path)],
            addresses=[f"127.0.0.1:{door.getsockname()[1]}"],
        )  # fmt: skip
        found = CaseLibrary(parts=made.coalmine(), library=library, command=command)
        found.parts.templates.add("implementer", found.snapshot(SKILL))
        made.worker()
        made.beat()
        yield found


def mirror_in(folder: Path) -> Path:
    """Where a fleet has all of the library's past."""
    limits = GitLimits()
    return RepositoryPlace(work_dir=folder / "work", repository="local:inflection", limits=limits).mirror


def cases_of(parts: Coalmine, folder: Path) -> list[Case]:
    """The cases of the library's past."""
    made = CaseParts(parts=parts, forges=ForgeParts(coalmine=parts, run_ci=lambda _commit: None))
    with made.collector(made.repository("")) as collector:
        found = [one.case for one in collector.collect(most=50, looks=50, known=set()) if one.case]
    CaseFolder(folder).write(found)
    return CaseFolder(folder).read()


def test_a_worse_version_is_refused_before_any_real_issue(shop: CaseLibrary, tmp_path: Path) -> None:
    """By the fixes of the library's past; and neither version saw anything of their answers."""
    parts, cases = shop.parts, cases_of(shop.parts, tmp_path / "cases")
    assert {case.title for case in cases} == {f"Correct {name}" for name, *_ in FIXES}
    before = Git(shop.library)("for-each-ref")
    worse = parts.templates.propose("implementer", shop.snapshot("Look.")).version
    champion = parts.templates.champion("implementer")
    order = BacktestOrder(canary=worse, champion=champion, cases=cases, refuse=True, by="ada")
    name = parts.backtest_opening.open(order).id
    wait_until(
        lambda: not parts.backtest_opening.find(name).is_running, description="it has ended", timeout=90
    )
    report = read_report(parts.backtest_store, parts.log_store, parts.backtest_opening.find(name))
    assert report.run.state is BacktestState.WORSE, report
    assert parts.templates.find(worse.id).state is VersionState.REJECTED
    assert report.evidence.counts.champion_only == report.evidence.counts.settled >= 4
    assert all("AssertionError" in "".join(one.judge) for one in report.lost)
    jobs = parts.jobs.newest(most=100)
    assert {job.backtest for job in jobs} == {name}
    assert Git(shop.library)("for-each-ref") == before
    assert (report.unconfined, list(report.beyond)) == (0, [])
    assert mirror_in(tmp_path).exists()
    by_digest, looked = {case.digest: case for case in cases}, 0
    for job in [job for job in jobs if job.result.commit]:
        found = found_by(job, parts.settings.agent.work_dir)
        assert leads(found, by_digest[job.case], Git(shop.library)) == [], job.version_id
        assert (found.shown, found.reached) == ((), ()), job.version_id
        looked += 1
    assert looked >= 2 * report.evidence.counts.settled
