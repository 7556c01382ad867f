"""The checklist of a run, as the text of one comment on its issue. Pure: `Projection` writes it.

What stands in it from outside (reasons, ids, labels) is put into code spans, so that it is shown as it is.
The same run gives the same text, by whose hash `Projection` sees whether there is anything to write: so it
holds no times.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from routing.forges.commit_status import CiVerdict
from routing.issues.issue import IssueRef
from routing.jobs.job import Job, JobState
from routing.printable import printable

#: The most characters of a reason that are shown.
REASON_CHARACTERS = 500

_BACKTICKS = re.compile(r"`+")


class CheckMark(StrEnum):
    """How far a phase is, as what stands between the brackets of markdown's task lists."""

    DONE = "x"
    UNDER_WAY = "~"  # or left out
    OPEN = " "


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """What is known of a run, as far as the checklist shows it.

    At most one of `closed` and `for_person` is set; neither, while the run goes on.
    """

    job: Job
    ci: CiVerdict = CiVerdict.UNKNOWN  # of the pushed commit
    has_ci: bool = True  # whether the forge judges commits
    waits: str = ""  # what the pushed work waits for, in words; "" for nothing
    in_review: bool = False  # it is done, and a person is to merge its change request
    merged: bool = False  # its work is on the main branch
    merges_green: bool = False  # it will be merged without a person when CI is green
    before: str = ""  # the job that worked on the issue before, "" for none
    most_fix_forwards: int = 0  # corrective turns that it may have
    closed: bool = False  # the work is done, and so is the issue unless it waits for a merge
    to_merge: str = ""  # branch of done work that a person is to merge, "" for none
    escalation_label: str = ""  # label by which a person is asked to go on, "" while nobody is


def marker(job: str) -> str:
    """The last line of a run's comment, by which it is found. It proves nothing in another's comment."""
    return f"<!-- coalmine run {job} -->"


def checklist(issue: IssueRef, run: RunProgress) -> str:
    """The whole text of the comment, in markdown."""
    job = run.job
    lines = [f"**{issue.repo}#{issue.number} — run progress**", ""]
    lines += [f"- [{mark}] {phase}" for phase, mark in phases(run)]
    lines += ["", *_facts(run)]
    if run.closed and run.to_merge:
        merge = f"Merge the branch {code(run.to_merge)}: the issue stays open until then."
        lines += ["", f"Done, and not merged: {code(job.reason)}", "", merge]
    elif run.in_review:
        lines += ["", "In review: the change request is to be merged by a person, which closes the issue."]
    elif run.closed:
        lines += ["", f"Done — issue closed: {code(job.reason)}"]
    elif run.escalation_label:
        lines += [
            "",
            f"**{_ENDED.get(job.state, 'A person is needed')}**: {code(job.reason)}",
            "",
            f"Remove the label {code(run.escalation_label)} to have an agent try again.",
        ]
    elif job.state is JobState.CANCELLED:  # by what people did with the issue: nobody is asked for more
        lines += ["", f"**{_ENDED[job.state]}**: {code(job.reason)}"]
    return "\n".join([*lines, "", marker(job.id)])


# Beginnings of the line that asks a person to go on, by the state in which the job ended.
_ENDED = {JobState.CANCELLED: "Cancelled", JobState.FAILED: "Failed"}


def phases(run: RunProgress) -> list[tuple[str, CheckMark]]:
    """The phases with their marks. When the work is done, none is left open.

    Nobody saw which tests an agent wrote and ran in its turn: "tests red" is never ticked, and "green" when
    CI is green.
    """
    job = run.job
    pushed = bool(job.result.commit)
    begun = job.fence > 0
    passed = pushed and run.has_ci and run.ci is CiVerdict.GREEN
    within = _if(begun, CheckMark.UNDER_WAY)
    found: list[tuple[str, CheckMark]] = [
        ("worktree", _if(begun, CheckMark.DONE)),
        ("tests red (the agent's own)", within),
        ("green", CheckMark.DONE) if passed else ("green (the agent's own)", within),
        (f"pushed {code(job.result.commit[:12])}" if pushed else "pushed", _if(pushed, CheckMark.DONE)),
        _ci(run, pushed=pushed),
        ("deployed: merged into the main branch", CheckMark.DONE)
        if run.merged
        else (f"deployed: {_merge_to_come(run)}", CheckMark.UNDER_WAY if run.closed else CheckMark.OPEN),
        ("done", CheckMark.DONE if run.closed else _if(run.escalation_label != "", CheckMark.UNDER_WAY)),
    ]
    if run.closed:  # a job without a commit, or without CI, has left phases out
        found = [(phase, CheckMark.UNDER_WAY if mark is CheckMark.OPEN else mark) for phase, mark in found]
    return found


def _merge_to_come(run: RunProgress) -> str:
    """Who merges, so that nobody merges by hand what is merged without them."""
    over = run.closed or run.escalation_label != ""
    return "merged when CI is green" if run.merges_green and not over else "a merge is left to people"


def _if(true: bool, mark: CheckMark) -> CheckMark:  # noqa: FBT001 - reads as a sentence
    return mark if true else CheckMark.OPEN


def _ci(run: RunProgress, *, pushed: bool) -> tuple[str, CheckMark]:
    """The phase of CI: under way from the push until it is green."""
    if not run.has_ci:
        return "CI: there is none", CheckMark.UNDER_WAY
    if run.ci is CiVerdict.GREEN:
        return "CI", CheckMark.DONE
    if run.ci is CiVerdict.RED:
        return "CI: red", CheckMark.UNDER_WAY
    return "CI", _if(pushed, CheckMark.UNDER_WAY)


def _facts(run: RunProgress) -> list[str]:
    """The lines below the phases: which job and version it is, and how often it was corrected."""
    job = run.job
    arm = f", arm {job.arm}" if job.arm else ""
    lines = [f"job {code(job.id)}, version {code(job.version_id)}{arm}"]
    if run.before:
        lines.append(f"begins anew from the main branch, after job {code(run.before)}")
    if run.waits and not run.closed and not run.in_review:
        lines.append(f"waits: {code(run.waits)}")
    if job.fix_forwards:
        lines.append(f"fix-forwards (corrective turns): {job.fix_forwards} of {run.most_fix_forwards}")
    if job.revision:  # also before any edit: one that comes is compared with it
        lines.append(f"text of the issue: as of revision {code(job.revision[:12])}")
    if job.merge_rounds:
        lines.append(f"turns for conflicts: {job.merge_rounds}")
    if job.review_rounds:
        lines.append(f"turns for what people asked: {job.review_rounds}")
    return lines


def code(text: str) -> str:
    """Text from outside as one code span: markup, mentions and links in it stay text.

    The fence is longer than any run of backticks within, as CommonMark's code spans ask.
    """
    plain = " ".join(printable(text).split())[:REASON_CHARACTERS] or "nothing"
    fence = "`" * (1 + max((len(run) for run in _BACKTICKS.findall(plain)), default=0))
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
