"""`coalmine backtest …`: begin a backtest, look at it, stop it; make cases of a repository's past."""

import json
import os
from pathlib import Path

import pytest

from harvest.backtests.case import Case, HiddenFile
from routing.forges.local.ci_sandbox import CiSandbox
from routing.jobs.job import JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.signal import judgement
from tasks.backtests.case_folder import CaseFolder
from tests.fleets.history import JUDGE, past_library
from tests.programs.command_line import CommandLine

#: A policy under which a few pairs decide.
QUICK = '{"delta": 0.4, "alpha": 0.1, "beta": 0.1}'


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A folder of cases."""
    hidden = (HiddenFile(path="tests/test_it.py", content="assert True\n"),)
    made = [
        Case(id=f"shop-{number}", repository="shop", base="a" * 40, text=f"Issue {number}", hidden=hidden)
        for number in range(12)
    ]
    CaseFolder(tmp_path / "cases").write(made)
    return tmp_path / "cases"


def play(coalmine: CommandLine, backtest: str) -> None:
    """Work the jobs of a backtest until it ends: the champion solves all, the other version nothing."""
    with coalmine.coalmine() as parts:
        for _ in range(20):
            parts.backtest_runs.tick()
            if not parts.backtest_opening.find(backtest).is_running:
                return
            for job in [job for job in parts.jobs.newest(most=99) if job.state is JobState.QUEUED]:
                claim = parts.jobs.claim(job.id, worker="w", lease_seconds=30)
                assert isinstance(claim, Claim)
                value = 1.0 if job.version == 1 else 0.0
                word = judgement(at=parts.now(), commit="c0ffee", value=value, note="exit code 1")
                parts.signals.add(job.id, [word])
                if not value:
                    parts.log_store.say(job.id, "judge", "AssertionError: 3 != 4")
                    parts.log_store.flush()
                done = JobResult(commit="c0ffee")
                parts.jobs.end(claim, JobState.SUCCEEDED, reason="judged", result=done, signals=[])


def test_a_backtest_from_its_begin_to_its_report(
    coalmine: CommandLine, template: str, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict, who solved what, the lost cases with the judge's last lines, and what it cost."""
    monkeypatch.setenv("COALMINE_JUDGE__COMMAND", "make test")
    monkeypatch.setenv("COALMINE_CANARY__POLICY", QUICK)
    asked = ("backtest", "run", f"{template}@v2", "--cases", str(cases), "--detach", "--refuse")
    begun = coalmine.document(*asked)
    name = begun["backtest"]["id"]
    assert (name, begun["backtest"]["state"]) == (f"{template}-b1", "running")
    play(coalmine, name)
    report = coalmine.document("backtest", "show", template)
    assert report["backtest"]["state"] == "is worse"
    assert report["pairs"]["champion_only"] == len(report["lost"]) > 3
    assert report["lost"][0]["judge"] == ["AssertionError: 3 != 4"]
    assert report["cost"]["canary"]["usd"] == 0.0, "no turn was paid for"
    shown = coalmine.shown("backtest", "show", name)
    assert "the version is worse" in shown
    assert "AssertionError: 3 != 4" in shown
    assert "coalmine job logs" in shown
    assert coalmine.document("backtest", "list")["backtests"][0]["id"] == name
    assert coalmine.document("backtest", "stop", name)["changed"] is False
    assert coalmine.document("template", "show", template)["versions"][1]["state"] == "rejected"


def test_a_backtest_is_stopped(
    coalmine: CommandLine, template: str, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a verdict; stopping it again changes nothing."""
    monkeypatch.setenv("COALMINE_JUDGE__COMMAND", "make test")
    coalmine.document("backtest", "run", f"{template}@v2", "--cases", str(cases), "--detach")
    assert coalmine.document("backtest", "resume", template)["changed"] is False, "nothing holds it"
    stopped = coalmine.document("backtest", "stop", template, "--reason", "wrong cases")
    assert (stopped["changed"], stopped["backtest"]["reason"]) == (True, "wrong cases")
    assert coalmine.document("backtest", "show", template)["backtest"]["state"] == "stopped"


@pytest.mark.long
def test_cases_are_collected_listed_and_exchanged(
    coalmine: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a repository's own history, with the reasons of those that are not kept."""
    monkeypatch.setattr(
        "tasks.composition.judges._SANDBOX", CiSandbox()
    )  # one test counts its runs in a file
    library, issues = past_library(tmp_path, issues=1), tmp_path / "issues"
    issues.mkdir()
    for number, body in library.texts.items():
        issue = issues / f"{number}.md"
        issue.write_text(f"---\ntitle: Issue {number}\n---\n{body}\n")
        os.utime(issue, (0.0, 0.0))  # nobody has changed it since its change
    local = {"REPOSITORY": library.path, "ISSUES": issues, "STATE": tmp_path / "forge"}
    for name, value in local.items():
        monkeypatch.setenv(f"COALMINE_FORGE__LOCAL__{name}", str(value))
    folder = ("--cases", str(tmp_path / "cases"))
    made = coalmine.document("backtest", "collect", "--judge", JUDGE, *folder)
    assert len(made["cases"]) == 1
    assert made["dropped"]["passes before its change"] == made["dropped"]["no tests"] == 1
    again = coalmine.document("backtest", "collect", "--judge", JUDGE, *folder)
    assert (again["known"], again["cases"]) == (1, [])
    (listed,) = coalmine.document("backtest", "cases", *folder)["cases"]
    assert (listed["issue"], listed["hidden"]) == ("local:calc#1", ["tests/test_1.py"])
    lines = tmp_path / "cases.jsonl"
    assert coalmine.document("backtest", "export", str(lines), *folder)["cases"] == 1
    assert json.loads(lines.read_text())["instance_id"] == listed["id"]
    other = ("--cases", str(tmp_path / "other"))
    taken = coalmine.document("backtest", "import", str(lines), "--judge", JUDGE, *other)
    assert taken["cases"] == [listed["id"]]
    mixed = tmp_path / "mixed.jsonl"
    (line,) = lines.read_text().splitlines()
    fits = json.loads(line)
    wrong = fits | {"instance_id": "calc-wrong", "test_patch": fits["test_patch"].replace("@@ ", "@@ -7")}
    others = [fits | {"repo": repo} for repo in ("acme/shop", "acme/site", "acme/shop")]
    written = [others[0], wrong, *others[1:], fits]
    mixed.write_text("".join(json.dumps(each) + "\n" for each in written) + "not JSON\n")
    asked = ("backtest", "import", str(mixed), "--judge", JUDGE)
    some = coalmine(*asked, "--cases", str(tmp_path / "mixed"), "--json")
    document = json.loads(some.stdout)
    assert some.exit_code == 1, "some were left out"
    assert (document["cases"], document["looked_at"]) == ([listed["id"]], 1), "the rest is imported"
    assert document["other_repositories"] == {"acme/shop": 2, "acme/site": 1}
    assert [(one["line"], one["case"]) for one in document["left_out"]] == [(6, None), (2, "calc-wrong")]
    assert "line 2 (calc-wrong) is left out: the test_patch of calc-wrong does not fit" in some.stderr
    assert coalmine(*asked, "calc", "--of", "acme/none", *other).exit_code == 1
    assert len(coalmine.document("backtest", "cases", *other)["cases"]) == 1, "nothing was added"


def test_a_way_in_steps_by_the_command_line(
    coalmine: CommandLine, template: str, cases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--steps` in place of the settings; status, lists and the report say which step of how many."""
    monkeypatch.setenv("COALMINE_JUDGE__COMMAND", "make test")
    monkeypatch.setenv("COALMINE_CANARY__POLICY", QUICK)
    monkeypatch.setenv("COALMINE_BACKTEST__CASES", str(cases))
    wrong = coalmine("trial", "open", f"{template}@v2", "--steps", "draw,backtest")
    assert "in this order" in wrong.stderr
    begun = coalmine.document("trial", "open", f"{template}@v2", "--steps", "backtest,draw")
    assert (begun["changed"], begun["trial"], begun["backtest"]["id"]) == (True, None, f"{template}-b1")
    assert begun["backtest"]["step"] == {"number": 1, "of": 2, "steps": ["backtest", "draw"]}
    (way,) = coalmine.document("trial", "status")["ways"]
    assert (way["version"], way["step"], way["open"]) == (f"{template}@v2", "backtest", True)
    assert f"{template}@v2: step 1 of 2, backtest {template}-b1; then draw" in coalmine.shown(
        "trial", "status"
    )
    shown = coalmine.shown("template", "show", template)
    assert f"{template}@v2 at step 1 of 2 (backtest, draw): {template}-b1" in shown
    assert "pending, step 1 of 2" in shown
    stopped = coalmine.document("trial", "stop", template, "--reason", "wrong cases")
    assert (stopped["changed"], stopped["way"]["version"]) == (True, f"{template}@v2")
    assert coalmine.document("backtest", "show", template)["backtest"]["reason"] == "wrong cases"
    assert coalmine.document("trial", "status")["ways"] == []
    assert "stop (step 1 of 2)" in coalmine.shown("template", "show", template)
