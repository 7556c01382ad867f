"""The checklist of a run, as a comment on its issue: pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

from routing.forges.commit_status import CiVerdict
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.printable import printable

#: The most of a reason that is shown, in characters.
REASON_CHARACTERS = 500

_BACKTICKS = re.compile(r"`+")


class CheckMark(StrEnum):
    """How far a phase is."""

    DONE = "x"
    UNDER_WAY = "~"  # or left out
    OPEN = " "


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """What is known of a run."""

    job: Job
    ci: CiVerdict = CiVerdict.UNKNOWN  # of the pushed commit
    has_ci: bool = True
    merged: bool = False
    merges_green: bool = False  # it will be merged without a person when CI is green
    most_fix_forwards: int = 0
    closed: bool = False  # the work is done, and the issue is closed
    for_person: str = ""  # label by which a person is asked to go on, "" while nobody is


def marker(job: str) -> str:
    """What tells the comment of a run from others; only in a comment of our own does it mean anything."""
    return f"<!-- coalmine run {job} -->"


def checklist(issue: IssueRef, told: RunProgress) -> str:
    """The whole text of the comment, in markdown. Words of programs and people stand in it as code."""
    job = told.job
    lines = [f"**{issue.repo}#{issue.number} — run progress**", ""]
    lines += [f"- [{mark}] {phase}" for phase, mark in phases(told)]
    lines += ["", *_facts(told)]
    if told.closed:
        lines += ["", f"Done — issue closed: {code(job.reason)}"]
    elif told.for_person:
        lines += [
            "",
            f"**{_ENDED.get(job.state, 'A person is needed')}**: {code(job.reason)}",
            "",
            f"Remove the label {code(told.for_person)} to have an agent try again.",
        ]
    return "\n".join([*lines, "", marker(job.id)])


_ENDED = {JobState.CANCELLED: "Cancelled", JobState.FAILED: "Failed"}


def phases(told: RunProgress) -> list[tuple[str, CheckMark]]:
    """The phases with their marks. When the work is done, none is open any more.

    What tests an agent wrote and ran inside its turn nobody saw: those two phases are its own, and are done
    when CI says that the work passes its tests.
    """
    job = told.job
    pushed = bool(job.result.commit)
    begun = job.fence > 0
    passed = pushed and told.has_ci and told.ci is CiVerdict.GREEN
    within = CheckMark.DONE if passed else _if(begun, CheckMark.UNDER_WAY)
    whose = "" if passed else " (the agent's own)"
    found: list[tuple[str, CheckMark]] = [
        ("worktree", _if(begun, CheckMark.DONE)),
        (f"tests red{whose}", within),
        (f"green{whose}", within),
        (f"pushed {code(job.result.commit[:12])}" if pushed else "pushed", _if(pushed, CheckMark.DONE)),
        _ci(told, pushed=pushed),
        ("deployed: merged into the main branch", CheckMark.DONE)
        if told.merged
        else (f"deployed: {_merge_to_come(told)}", CheckMark.UNDER_WAY if told.closed else CheckMark.OPEN),
        ("done", CheckMark.DONE if told.closed else _if(told.for_person != "", CheckMark.UNDER_WAY)),
    ]
    if told.closed:  # a job without a commit, or without CI, has left phases out
        found = [(phase, CheckMark.UNDER_WAY if mark is CheckMark.OPEN else mark) for phase, mark in found]
    return found


def _merge_to_come(told: RunProgress) -> str:
    over = told.closed or told.for_person != ""
    return "merged when CI is green" if told.merges_green and not over else "a merge is left to people"


def _if(true: bool, mark: CheckMark) -> CheckMark:  # noqa: FBT001 - reads as a sentence
    return mark if true else CheckMark.OPEN


def _ci(told: RunProgress, *, pushed: bool) -> tuple[str, CheckMark]:
    if not told.has_ci:
        return "CI: there is none", CheckMark.UNDER_WAY
    if told.ci is CiVerdict.GREEN:
        return "CI", CheckMark.DONE
    if told.ci is CiVerdict.RED:
        return "CI: red", CheckMark.UNDER_WAY
    return "CI", _if(pushed, CheckMark.UNDER_WAY)


def _facts(told: RunProgress) -> list[str]:
    job = told.job
    arm = f", arm {job.arm}" if job.arm else ""
    lines = [f"job {code(job.id)}, version {code(job.version_id)}{arm}"]
    if job.fix_forwards:
        lines.append(f"fix-forwards (corrective turns): {job.fix_forwards} of {told.most_fix_forwards}")
    return lines


def code(text: str) -> str:
    """Words from outside as one line of code, which no markup, mention or link can get out of."""
    plain = " ".join(printable(text).split())[:REASON_CHARACTERS] or "nothing"
    fence = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(plain)), default=0))
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
