"""Proving a case: the judge, with the hidden tests, at the base commit and at the true change."""

from dataclasses import dataclass
from pathlib import Path

from harvest.backtests.case import Case
from harvest.backtests.case_proof import LOOKS, Dropped, JudgeLook, drop_of
from routing.base import Base
from routing.git.git import Git
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.sealed_repository import BRANCH
from tasks.backtests.past_changes import is_in_history


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What became of a case."""

    dropped: Dropped | None  # None: it is kept
    looks: int  # how often the judge was asked, over both commits


def prove(case: Case, change: str, judge: Judge, git: Git, *, work_dir: Path) -> Proof:
    """See that the judge fails at the base of a case and passes at its true change, twice each.

    `git` has the whole repository, and is only read; `judge` has the hidden tests of the case. It stops at
    the first look that decides, and looks at nothing when the answer is in the history of the base. GitError.
    """
    if is_in_history(git, case.base, change, hidden={file.path for file in case.hidden}):
        return Proof(dropped=Dropped.IN_HISTORY, looks=0)
    base = Base(branch=BRANCH, commit=case.base)
    name = case.repository.rpartition("/")[2].rpartition(":")[2]
    before: list[JudgeLook] = []
    after: list[JudgeLook] = []
    for _ in range(LOOKS):
        for commit, looks in ((case.base, before), (change, after)):
            found = judge.judge(git, commit, base, work_dir=work_dir, name=name)
            looks.append(JudgeLook(value=found.value, overdue=found.overdue))
            if (dropped := drop_of(before, after)) is not None:
                return Proof(dropped=dropped, looks=len(before) + len(after))
    return Proof(dropped=None, looks=len(before) + len(after))
