"""Importing a file of the common form: which repository each line is of, and what is left out, and why.

Such files have the cases of many repositories. One that is not served, or a line that does not fit, costs the
others nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from harvest.backtests.case import Case
from routing.errors import InvalidInputError
from routing.git.git import Git, GitError
from tasks.agents.pairs.judge import Judge
from tasks.backtests.collecting import Looked
from tasks.backtests.common_form import CommonCase, CommonLine, case_of, true_change
from tasks.backtests.proving import prove


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A line that could not be read, or did not fit its repository."""

    line: int
    case: str  # its name; "" where the line cannot be read
    reason: str


@dataclass(frozen=True, slots=True)
class SharedLines:
    """The lines of a file by the repository that they are of."""

    served: dict[str, list[tuple[int, CommonCase]]] = field(default_factory=dict)  # by `forge:repo`
    others: Counter[str] = field(default_factory=Counter)  # lines by the name of a repository not asked for
    wrong: list[LeftOut] = field(default_factory=list)


def shared_lines(lines: Iterable[CommonLine], place_of: Callable[[str], str | None]) -> SharedLines:
    """Sort lines by repository. `place_of` says what a line's `repo` is here; None: nothing to import into.

    InvalidInputError when none of the lines is a case: the file is another one than was meant.
    """
    shared = SharedLines()
    for line in lines:
        if line.case is None:
            shared.wrong.append(LeftOut(line=line.number, case="", reason=line.problem))
            continue
        place = place_of(line.case.repo)
        if place is None:
            shared.others[line.case.repo] += 1
        else:
            shared.served.setdefault(place, []).append((line.number, line.case))
    if shared.wrong and not shared.served and not shared.others:
        message = f"no line of the file is a case; line {shared.wrong[0].line}: {shared.wrong[0].reason}"
        raise InvalidInputError(message)
    return shared


def place_named(repo: str, places: Sequence[str]) -> str | None:
    """Which of `forge:repo` a line's `repo` is; None for none of them, and for more than one.

    Forges take no heed of case; where two names differ in it alone, the one written so counts.
    """
    for same in (str, str.casefold):
        found = [place for place in places if same(repo) in {same(place), same(place.partition(":")[2])}]
        if len(found) == 1:
            return found[0]
    return None


@dataclass(frozen=True, kw_only=True)
class CommonImport:
    """Makes cases of the lines of one repository, each proven."""

    git: Git  # in a scratch copy of the repository; it is written to
    repository: str  # `forge:repo`
    judge: Callable[[Case], Judge]
    command: str = ""  # of the judge that cases keep; "": they go by the settings

    def take(self, number: int, line: CommonCase) -> Looked | LeftOut:
        """What became of one line. ConflictError when nothing can judge: that holds for every line."""
        try:
            made = case_of(line, self.git, repository=self.repository)
            case = made.model_copy(update={"judge": self.command})
            change = true_change(case, self.git)
            judged_in = self.git.directory.parent / "judge"
            proof = prove(case, change, self.judge(case), self.git, work_dir=judged_in)
        except (InvalidInputError, GitError) as error:
            return LeftOut(line=number, case=line.instance_id, reason=str(error))
        kept = case if proof.dropped is None else None
        return Looked(commit=case.base, case=kept, dropped=proof.dropped)
