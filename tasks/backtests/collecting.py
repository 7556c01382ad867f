"""Making cases from a repository's own past: changes that closed an issue and touched tests, each proven.

The issue's text is what a job of this fleet was given, where its record is still there; else it is asked of
the forge, and is as people left it. Where the issue has changed since its change was merged, nobody can say
any longer how it read before: it makes no case, unless it is asked for. Such a case says so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog

from harvest.backtests.case import Case, CaseOrigin
from harvest.backtests.case_proof import Dropped
from harvest.backtests.case_text import without_answer
from routing.errors import CoalmineError
from routing.forges.change_request import RequestText
from routing.git.git import Git, GitError
from routing.issues.issue import IssueRef
from routing.jobs.job import Job
from tasks.agents.pairs.judge import Judge
from tasks.backtests.past_changes import (
    PastChange,
    TestsTooLargeError,
    closed_issue,
    hidden_files,
    past_changes,
)
from tasks.backtests.proving import prove

_log = structlog.get_logger(__name__)

#: Hex digits of a change in a case's name.
_DIGITS = 12

#: Seconds after a change within which its issue is closed by it: that changes the issue, and not its text.
CLOSING_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueText:
    """What an issue says."""

    title: str
    body: str
    text: Literal["dispatched", "before", "now"]  # where it is from, see `CaseOrigin`
    updated_at: datetime | None = None  # when anything of the issue changed last, as its forge says

    def as_of(self, change: PastChange) -> "IssueText":
        """The same, as it stood before a change if nothing of the issue was changed after that was merged."""
        last = self.updated_at.timestamp() if self.text == "now" and self.updated_at else None
        is_before = last is not None and last <= change.at + CLOSING_SECONDS
        return replace(self, text="before") if is_before else self


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What became of one change of the past."""

    commit: str
    case: Case | None = None  # that was made and proven
    dropped: Dropped | None = None
    known: bool = False  # its case was there before
    note: str = ""


@dataclass(kw_only=True, slots=True)
class Collected:
    """What became of all that were looked at."""

    cases: list[Case] = field(default_factory=list)
    known: int = 0
    dropped: Counter[Dropped] = field(default_factory=Counter)
    looked: int = 0

    @property
    def newer(self) -> int:
        """Cases whose text may hold what was written after their change."""
        return sum(case.origin.text == "now" for case in self.cases)

    def add(self, one: Looked) -> None:
        """Count one more."""
        self.looked += 1
        self.known += one.known
        if one.case is not None:
            self.cases.append(one.case)
        if one.dropped is not None:
            self.dropped[one.dropped] += 1


@dataclass(frozen=True, kw_only=True)
class CaseCollector:
    """Makes the cases of one repository. It reads the repository and the issues, and writes neither."""

    git: Git  # in a repository that has the whole main branch
    main: str  # commit
    own: IssueRef  # any issue of the repository
    judge: Callable[[Case], Judge]  # with the hidden tests of a case
    job: Callable[[str], Job | None]  # this fleet's own, by id; None: its record is gone
    issue: Callable[[IssueRef], IssueText | None]  # as its forge has it; None: it has not
    work_dir: Path
    #: What change requests say that brought a commit, by its name, where the forge knows that.
    requests: Callable[[str], Sequence[RequestText]] = lambda _commit: ()
    command: str = ""  # of the judge that cases keep; "": they go by the settings
    keeps_changed: bool = False  # also cases whose issue was changed after their change, or perhaps was

    def collect(self, *, most: int, looks: int, known: set[str]) -> Iterator[Looked]:
        """Look at changes, the newest first, until `most` cases were made or `looks` were looked at.

        `known` are names of cases that need not be made again. A change that cannot be read keeps no other
        from its turn.
        """
        made = 0
        for number, change in enumerate(past_changes(self.git, self.main, own=self.own)):
            if made >= most or number >= looks:
                return
            found = self._looked_at(change, known)
            made += found.case is not None
            yield found

    def _looked_at(self, change: PastChange, known: set[str]) -> Looked:
        name = self.name_of(change)
        if name in known:
            return Looked(commit=change.commit, known=True)
        if not change.tests or not change.has_code:
            return Looked(commit=change.commit, dropped=Dropped.NO_TESTS)
        try:
            change = self._with_its_request(change)
            text = self._text_of(change)
            if isinstance(text, Dropped):
                return Looked(commit=change.commit, dropped=text)
            case = self._case(change, name, text)
        except (CoalmineError, ValueError) as error:  # of one change; ValidationError is a ValueError
            _log.info("backtest.not_a_case", commit=change.commit, reason=str(error)[:300])
            why = Dropped.TOO_LARGE if isinstance(error, TestsTooLargeError) else Dropped.NOT_READABLE
            return Looked(commit=change.commit, dropped=why, note=" ".join(str(error).split())[:200])
        judge = self.judge(case)
        try:
            proof = prove(case, change.commit, judge, self.git, work_dir=self.work_dir)
        except GitError as error:  # of the history of its files
            return Looked(commit=change.commit, dropped=Dropped.NOT_READABLE, note=str(error)[:200])
        kept = case if proof.dropped is None else None
        return Looked(commit=change.commit, case=kept, dropped=proof.dropped)

    def name_of(self, change: PastChange) -> str:
        """The name of a change's case."""
        return f"{self.own.repo.rpartition('/')[2]}-{change.commit[:_DIGITS]}"

    def _with_its_request(self, change: PastChange) -> PastChange:
        """The change with its change request and the issue that this closes, where its messages name none."""
        if change.job or (change.issue is not None and change.request is not None):
            return change
        brought = list(self.requests(change.commit))
        for said in brought:
            issue = closed_issue(f"{said.title}\n{said.body}", self.own)
            if issue is not None and change.issue in {None, issue}:
                return replace(change, issue=issue, request=change.request or said.number)
        if change.issue is not None and brought:
            return replace(change, request=change.request or brought[0].number)
        return change

    def _text_of(self, change: PastChange) -> IssueText | Dropped:
        """What the issue said before its change, or why there is nothing that can be used."""
        job = self.job(change.job) if change.job else None
        if job is not None:
            return IssueText(title=job.title, body=job.task, text="dispatched")
        found = self.issue(change.issue) if change.issue is not None else None
        if found is None:
            return Dropped.NO_ISSUE
        read = found.as_of(change)
        return Dropped.CHANGED_LATER if read.text == "now" and not self.keeps_changed else read

    def _case(self, change: PastChange, name: str, text: IssueText) -> Case:
        numbers: Sequence[int] = [change.request] if change.request is not None else []
        issue = str(change.issue or "")

        def clean(words: str) -> str:
            return without_answer(words, change.others, numbers=numbers)

        body = clean(text.body).strip() or clean(text.title)
        return Case(
            id=name,
            repository=f"{self.own.forge}:{self.own.repo}",
            base=change.base,
            title=clean(text.title)[:500],
            text=body,
            hidden=hidden_files(self.git, change),
            judge=self.command,
            origin=CaseOrigin(
                kind="job" if change.job else "history", change=change.commit, issue=issue, job=change.job,
                text=text.text,
            ),
        )  # fmt: skip
