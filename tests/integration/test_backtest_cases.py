"""Cases from a repository's past: made from git, proven by the judge, and out of reach of their answers."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from console.output.trials.backtest_views import collected_document, collected_view
from harvest.backtests.case import Case, HiddenFile
from harvest.backtests.case_proof import Dropped
from routing.base import Base
from routing.errors import InvalidInputError
from routing.forges.change_request import RequestText
from routing.forges.local.ci_sandbox import CiSandbox
from routing.git.git import Git
from routing.git.limits import GitLimits
from routing.git.remote import Remote
from routing.issues.issue import IssueRef
from routing.sandbox.profile import SandboxKind
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.sealed_repository import (
    BaseGoneError,
    place_of_case,
    scratch_repository,
    sealed_remote,
    sweep_case_places,
)
from tasks.agents.repository.place import RepositoryPlace
from tasks.agents.repository.worktree import Worktree, open_worktree
from tasks.backtests.case_folder import CaseFolder
from tasks.backtests.collecting import CLOSING_SECONDS, CaseCollector, Collected, IssueText
from tasks.backtests.common_form import case_of, common_lines, common_of, true_change, written
from tasks.backtests.common_import import place_named, shared_lines
from tasks.backtests.past_changes import PastChange, is_in_history
from tests.fleets.history import JUDGE, PastLibrary, past_library

#: One process of the suite makes what all of these share.
pytestmark = pytest.mark.xdist_group("backtest-cases")

#: Any issue of the library, and a job of a case.
OWN, JOB = IssueRef(forge="local", repo="calc", number=1), "0123456789abcdef"

#: The judge's sandbox is not what these tests are about.
UNCONFINED = CiSandbox(kind=SandboxKind.NONE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A library, and what its past gave."""

    library: PastLibrary
    done: Collected

    @property
    def case(self) -> Case:
        """The case of the newest fix."""
        return self.done.cases[0]

    def place(self, folder: Path) -> RepositoryPlace:
        """Where a host works on it."""
        return RepositoryPlace(work_dir=folder / "work", repository="local:calc", limits=GitLimits())

    def remote(self) -> Remote:
        """Where all of it is."""
        return Remote(address=str(self.library.path))

    def tree(self, folder: Path, base: Base | None = None) -> Worktree:
        """The tree of a job of the case."""
        case, place = self.case, self.place(folder)
        remote = sealed_remote(place, self.remote(), digest=case.digest, base=case.base)
        own = place_of_case(place, case.digest)
        return open_worktree(own, remote=remote, job_id=JOB, base=base, keeps=True, alone=True)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """A library with a past. Its last issue names the change that closed it, in several ways."""
    folder = tmp_path_factory.mktemp("past")
    library = past_library(folder, issues=2)
    fix = library.git("rev-parse", f"main^{{/Merge fix-{library.good[-1]}}}")
    said = f"See {fix[:9]} or {fix} and https://example.org/acme/calc/pull/12/files, not deadbeef12."
    library.texts[library.good[-1]] += f" {said}"
    merged = float(library.git("log", "-1", "--format=%ct", fix))
    changed = dict.fromkeys(library.good, merged - 3600) | {library.good[-1]: merged + 3600}
    return Past(library=library, done=collected(library, folder, changed=changed))


def collected(
    library: PastLibrary, folder: Path, *, judge: str = JUDGE, seconds: float = 60.0, looks: int = 100,
    changed: Mapping[int, float] | None = None, requests: Sequence[RequestText] = (),
    keeps_changed: bool = True,
) -> Collected:  # fmt: skip
    """What its past gives; `changed` says when an issue was changed last, by its number."""
    place = RepositoryPlace(work_dir=folder / "work", repository="local:calc", limits=GitLimits())
    done = Collected()

    def text_of(ref: IssueRef) -> IssueText | None:
        body = library.texts.get(ref.number)
        at = (changed or {}).get(ref.number)
        last = datetime.fromtimestamp(at, UTC) if at is not None else None
        title = f"Issue {ref.number}"
        return IssueText(title=title, body=body, text="now", updated_at=last) if body else None

    with scratch_repository(place, Remote(address=str(library.path))) as (git, main):
        collector = CaseCollector(
            git=git, main=main, own=OWN, work_dir=folder / "judge", job=lambda _job: None, issue=text_of,
            requests=lambda _commit: requests, keeps_changed=keeps_changed,
            judge=lambda case: Judge(
                command=judge, timeout_seconds=seconds, hidden=case.hidden, sandbox=UNCONFINED
            ),
        )  # fmt: skip
        for one in collector.collect(most=50, looks=looks, known=set()):
            done.add(one)
    return done


def test_the_past_of_a_library_becomes_proven_cases(past: Past) -> None:
    """One for each change that closed an issue and whose tests tell it; the others are counted by reason."""
    made = {case.origin.issue: case for case in past.done.cases}
    assert set(made) == {f"local:calc#{number}" for number in past.library.good}
    reverts = 2
    assert past.done.dropped == {
        Dropped.NO_TESTS: 1, Dropped.NO_ISSUE: 1 + reverts, Dropped.PASSES_BEFORE: 1, Dropped.FLAKY: 1,
        Dropped.FAILS_AFTER: 1, Dropped.IN_HISTORY: 1,
    }  # fmt: skip
    case = made[f"local:calc#{past.library.good[0]}"]
    assert case.base == past.library.git("rev-parse", f"{case.origin.change}^1")
    assert [file.path for file in case.hidden] == [f"tests/test_{past.library.good[0]}.py"]


def test_a_case_says_whether_its_issue_was_changed_after_its_change(past: Past) -> None:
    """What was changed later may hold the answer in words; what was not reads as it stood before."""
    texts = {case.origin.issue: case.origin.text for case in past.done.cases}
    first, last = past.library.good
    assert texts == {f"local:calc#{first}": "before", f"local:calc#{last}": "now"}
    assert past.done.newer == 1
    assert collected_document(past.done, Path("cases"))["text_may_be_newer"] == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_an_issue_that_was_changed_after_its_change_makes_no_case(tmp_path: Path, *, is_known: bool) -> None:
    """Nor one of which nobody can say when it was; the table names the reason and the way to keep it."""
    library = past_library(tmp_path, issues=1, odd=False)
    merged = float(library.git("log", "-1", "--format=%ct", "main"))
    changed = {1: merged + CLOSING_SECONDS + 1.0} if is_known else {}
    done = collected(library, tmp_path, changed=changed, keeps_changed=False)
    assert (done.cases, done.dropped) == ([], {Dropped.CHANGED_LATER: 1})
    console = Console(width=140, file=io.StringIO(), color_system=None)
    for part in collected_view(done, Path("cases")):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    assert re.search(r"issue changed later +1 .*--keep-changed", console.file.getvalue())


@pytest.mark.parametrize(("after", "text"), [(CLOSING_SECONDS, "before"), (CLOSING_SECONDS + 1.0, "now")])
def test_an_issue_that_its_change_closed_reads_as_before(after: float, text: str) -> None:
    """Closing it is a change of the issue, and comes right after; what a job was given is never doubted."""
    change = PastChange(
        commit="a" * 40, at=1000.0, base="b" * 40, others=(), issue=OWN, job="", request=None, files=()
    )
    last = datetime.fromtimestamp(1000.0 + after, UTC)
    read = IssueText(title="t", body="b", text="now", updated_at=last)
    assert read.as_of(change).text == text
    assert replace(read, updated_at=None).as_of(change).text == "now"
    assert replace(read, text="dispatched").as_of(change).text == "dispatched"


@pytest.mark.parametrize("message", ["Add nine", "Add nine\n\nCloses #7\n"], ids=["request", "commit"])
def test_the_number_of_a_change_request_is_asked_for(tmp_path: Path, message: str) -> None:
    """And taken out of the text; the request may be what alone says which issue it is."""
    library = past_library(tmp_path, issues=1, odd=False)
    (library.bench / "calc.py").write_text(f"{(library.bench / 'calc.py').read_text()}\n\nNINE = 9\n")
    test = "import unittest\n\nimport calc\n\n\nclass Nine(unittest.TestCase):\n"
    test += "    def test_it(self):\n        self.assertEqual(calc.NINE, 9)\n"
    (library.bench / "tests" / "test_nine.py").write_text(test)
    work = Git(library.bench)
    work("add", "--all")
    work("commit", "--quiet", "--message", message)
    work("push", "--quiet", "origin", "main")
    library.texts[7] = "There is no nine. #12 will add it."
    if "#7" not in message:
        none = collected(library, tmp_path / "none", looks=1)
        assert (none.cases, none.dropped) == ([], {Dropped.NO_ISSUE: 1})
    other = RequestText(number=11, title="Fixes other/place#3", body="")
    said = RequestText(number=12, title="Add nine", body="So that people can count.\n\nCloses #7\n")
    (case,) = collected(library, tmp_path / "some", looks=1, requests=(other, said)).cases
    assert case.origin.issue == "local:calc#7"
    assert case.text == "There is no nine. [link taken out] will add it."


def test_the_text_has_no_way_to_the_answer(past: Past) -> None:
    """Neither the change's commits, whole or short, nor links to changes; all other words stay."""
    case = past.case
    assert case.origin.change is not None
    assert case.origin.change[:7] not in case.text
    assert "pull/12" not in case.text
    assert "deadbeef12" in case.text


@pytest.mark.parametrize(
    ("judge", "seconds", "why"),
    [
        pytest.param("no-such-program-anywhere", 60.0, Dropped.BROKEN, marks=pytest.mark.long),
        ("tail -f /dev/null", 0.2, Dropped.SLOW),
    ],
)
def test_a_judge_that_does_not_work_keeps_no_case(
    past: Past, tmp_path: Path, judge: str, seconds: float, why: Dropped
) -> None:
    """And says so."""
    done = collected(past.library, tmp_path, judge=judge, seconds=seconds, looks=3)
    assert (done.cases, done.dropped[why]) == ([], 1)


def test_an_agent_finds_nothing_that_is_newer_than_the_base(past: Past, tmp_path: Path) -> None:
    """Each object there is an ancestor's: no reference, tag, reflog, alternate or remote leads on."""
    case, whole = past.case, past.library.git
    whole("tag", "--force", "later", "main")
    made = past.tree(tmp_path)
    assert (made.base.commit, made.borrowed) == (case.base, ())
    inside, kept = Git(made.path), made.path / ".git"
    allowed = set(whole("rev-list", "--objects", "--no-object-names", case.base).split())
    later = set(whole("rev-list", "--objects", "--no-object-names", "main", f"^{case.base}").split())
    assert len(later) > 10
    for repository in (made.mirror, made.git_dir, made.mirror.parent / "sealed.git"):
        assert not objects_in(Git(repository)) & later, repository
    assert objects_in(inside) == allowed
    refs = inside("for-each-ref", "--format=%(refname) %(objectname)")
    assert refs == f"refs/heads/{made.branch} {case.base}"
    assert inside("remote") == ""
    assert not (kept / "objects" / "info" / "alternates").exists()
    assert [file for file in (kept / "logs").rglob("*") if file.is_file()] == []
    text = "".join(file.read_text(errors="replace") for file in kept.glob("*") if file.is_file())
    assert str(past.library.path) not in text
    names = {Path(hidden.path).name for hidden in case.hidden}
    assert not [file for file in made.path.rglob("*") if file.name in names]


def objects_in(git: Git) -> set[str]:
    """Every object that a repository has, reachable or not, with those that it borrows."""
    listed = git("cat-file", "--batch-check=%(objectname)", "--batch-all-objects")
    return set(listed.split())


def test_an_agent_goes_on_where_it_was(past: Past, tmp_path: Path) -> None:
    """Its own commits are taken over, and are there again in its next turn; the library gets none of them."""
    made = past.tree(tmp_path)
    (made.path / "answer.txt").write_text("42\n")
    pushed = made.push()
    assert pushed.commit is not None
    assert past.library.git.attempt("cat-file", "-e", pushed.commit).returncode != 0
    again = past.tree(tmp_path, made.base)
    assert (again.path / "answer.txt").read_text() == "42\n"
    assert Git(again.path)("rev-parse", "HEAD") == pushed.commit


def test_repositories_of_cases_go_when_nobody_uses_them(past: Past, tmp_path: Path) -> None:
    """Neither one that was used lately, nor one that a job has a tree in; what is gone is made again."""
    made, work = past.tree(tmp_path), tmp_path / "work"
    lock = made.mirror.parent / "sealed.lock"
    assert sweep_case_places(work, before=lock.stat().st_mtime + 1) == []
    made.remove()
    assert sweep_case_places(work, before=lock.stat().st_mtime - 1) == []
    assert sweep_case_places(work, before=lock.stat().st_mtime + 1) == [past.case.digest]
    assert not made.mirror.exists()
    assert past.tree(tmp_path).base.commit == past.case.base


def test_a_base_that_was_rewritten_away_is_said(past: Past, tmp_path: Path) -> None:
    """It is a fault of the case, not of an agent."""
    with pytest.raises(BaseGoneError, match="rewritten"):
        sealed_remote(past.place(tmp_path), past.remote(), digest="0" * 16, base="a" * 40)


@pytest.mark.parametrize("again", ["reverted", "apart", "aside", "first"])
def test_an_answer_in_the_history_is_found(tmp_path: Path, again: str) -> None:
    """A fix that was taken back and made again is among the ancestors of its base; one that is new is not."""
    git, calc = Git(tmp_path), tmp_path / "calc.py"
    git("init", "--quiet", "--initial-branch", "main")

    def commit(text: str) -> str:
        calc.write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", "Change it")
        return git("rev-parse", "HEAD")

    wrong, right = "A = 1\n\n\nB = 2\n", "A = 1\n\n\nB = 3\n"
    commit(wrong)
    if again == "aside":  # on a branch whose merge took nothing of it
        git("checkout", "--quiet", "-b", "tried")
        commit(right)
        git("checkout", "--quiet", "main")
        git("merge", "--quiet", "--no-ff", "--strategy", "ours", "--message", "Merge tried", "tried")
    elif again != "first":
        commit(right)
        commit(wrong)
    if again == "apart":  # the file differs since, and the change is the same
        wrong, right = f"V = 2\n{wrong}", f"V = 2\n{right}"
        commit(wrong)
    base = git("rev-parse", "HEAD")
    (tmp_path / "test_calc.py").write_text("brought by the change alone")
    change = commit(right)
    assert is_in_history(git, base, change, hidden={"test_calc.py"}) is (again != "first")


def test_a_link_among_the_tests_makes_no_case(past: Past, tmp_path: Path) -> None:
    """Its target would become a plain file of that text."""
    patch = (
        "diff --git a/tests/link b/tests/link\nnew file mode 120000\n--- /dev/null\n+++ b/tests/link\n"
        "@@ -0,0 +1 @@\n+../calc.py\n\\ No newline at end of file\n"
    )
    line = json.dumps(
        {
            "instance_id": "calc-1", "repo": "calc", "base_commit": past.case.base, "patch": "x",
            "problem_statement": "f1 is wrong", "test_patch": patch,
        }
    )  # fmt: skip
    (common,) = (each.case for each in common_lines(line) if each.case)
    with (
        scratch_repository(past.place(tmp_path), past.remote()) as (git, _),
        pytest.raises(InvalidInputError, match="tests/link a link or a submodule"),
    ):
        case_of(common, git, repository="local:calc")


def test_hidden_tests_win_over_what_the_agent_made_of_them(past: Past, tmp_path: Path) -> None:
    """A file in place of a folder, and a folder in place of a file, give way; a removed one is removed."""
    hidden = (
        HiddenFile(path="tests/data/one.txt", content="right"),
        HiddenFile(path="run.sh", content="#!/bin/sh\nexit 0\n", executable=True),
        HiddenFile(path="gone.txt", content=None),
        HiddenFile.of("tests/raw.bin", b"\xff\x00"),
    )
    agent = tmp_path / "agent"
    Git(tmp_path)("clone", "--quiet", str(past.library.path), str(agent))
    (agent / "tests" / "data").write_text("a file where a folder is to be")
    (agent / "run.sh").mkdir()
    (agent / "run.sh" / "x").write_text("x")
    (agent / "gone.txt").write_text("still here")
    work = Git(agent)
    work("add", "--all")
    work("commit", "--quiet", "--message", "agent")
    look = "test $(cat tests/data/one.txt) = right && test ! -e gone.txt && ./run.sh && cmp tests/raw.bin raw"
    command = f"printf '\\377\\000' > raw; {look}"
    judge = Judge(command=command, timeout_seconds=30, hidden=hidden, sandbox=UNCONFINED)
    base = Base(branch="main", commit=work("rev-parse", "HEAD~1"))
    found = judge.judge(
        Git(agent / ".git"), work("rev-parse", "HEAD"), base, work_dir=tmp_path / "judge", name="calc"
    )
    assert (found.value, found.note) == (1.0, found.note)
    assert work.attempt("cat-file", "-e", work("hash-object", "tests/data")).returncode == 0
    assert b"right" not in b"".join(file.read_bytes() for file in agent.rglob("*.txt") if file.is_file())


def test_cases_are_files_and_lines(past: Past, tmp_path: Path) -> None:
    """What is written is read back, in our form and in the field's: the same tests, the same change."""
    cases, folder = past.done.cases, CaseFolder(tmp_path / "cases")
    folder.write(cases)
    assert {case.id: case for case in folder.read()} == {case.id: case for case in cases}
    assert folder.known() == {case.id for case in cases}
    with scratch_repository(past.place(tmp_path), past.remote()) as (git, _):
        lines = written(common_of(case, git) for case in cases)
        first = json.loads(lines.splitlines()[0])
        assert set(first) == {
            "instance_id", "repo", "base_commit", "problem_statement", "patch", "test_patch", "FAIL_TO_PASS",
            "PASS_TO_PASS",
        }  # fmt: skip
        read = [line.case for line in common_lines(lines) if line.case is not None]
        again = [case_of(line, git, repository="local:calc") for line in read]
        assert [(one.id, one.base, one.hidden) for one in again] == [
            (one.id, one.base, one.hidden) for one in cases
        ]
        leads = {
            "instance_id": "acme__calc-34",
            "problem_statement": "Slow\n\nSee #34 and acme/calc/pull/34.",
        }
        cleaned = case_of(read[0].model_copy(update=leads), git, repository="local:calc")
        assert (cleaned.title, cleaned.text.count("[link taken out]"), "34" in cleaned.text) == (
            "Slow",
            2,
            False,
        )
        for old, new in zip(cases, again, strict=True):
            made, known = true_change(new, git), old.origin.change or ""
            differs = git("diff-tree", "-r", "--name-only", made, known).split()
            assert differs == [file.path for file in old.hidden]


@pytest.mark.parametrize(
    "line", ["{}", "not JSON", '{"instance_id": "x", "repo": "r", "base_commit": "main"}']
)
def test_a_line_that_is_wrong_is_named(line: str) -> None:
    """By its number; a file that has no other line is another one than was meant."""
    (read,) = common_lines(f"\n{line}\n")
    assert (read.number, read.case) == (2, None)
    with pytest.raises(InvalidInputError, match="line 2: it is not a case"):
        shared_lines([read], lambda _repo: "local:calc")


def test_lines_are_shared_out_by_their_repositories() -> None:
    """Each goes to the served repository that it names, and none to one that it could be by half."""
    places = ["github:acme/shop", "gitlab:acme/site", "github:acme/site", "local:calc"]
    fields = {"base_commit": "a" * 40, "patch": "x", "test_patch": "y"}
    named = ["Acme/Shop", "calc", "gitlab:acme/site", "acme/site", "shop", "acme/other", "calc"]
    text = "not JSON\n" + "".join(
        json.dumps(
            {"instance_id": f"{number}", "repo": repo, "problem_statement": "one\u2028two", **fields},
            ensure_ascii=False,
        )
        + "\r\n"
        for number, repo in enumerate(named, start=2)
    )
    shared = shared_lines(common_lines(text), lambda repo: place_named(repo, places))
    assert {place: [number for number, _ in lines] for place, lines in shared.served.items()} == {
        "github:acme/shop": [2], "local:calc": [3, 8], "gitlab:acme/site": [4]
    }  # fmt: skip
    assert shared.others == {"acme/site": 1, "shop": 1, "acme/other": 1}
    assert [one.line for one in shared.wrong] == [1]
    assert place_named("A", ["github:a", "github:A"]) == "github:A"


def test_a_folder_with_a_wrong_file_says_which(tmp_path: Path) -> None:
    """None is left out in silence: paths that lead out, and files that are called otherwise."""
    folder = CaseFolder(tmp_path)
    hidden = (HiddenFile(path="tests/a.py", content=""),)
    case = Case(id="one", repository="local:calc", base="a" * 40, text="x", hidden=hidden)
    folder.write([case])
    (tmp_path / "two.json").write_text(case.model_dump_json().replace("tests/a.py", "../a.py"))
    (tmp_path / "three.json").write_text(case.model_dump_json())
    with pytest.raises(InvalidInputError, match=r"(?s)three\.json.*two\.json"):
        folder.read()
