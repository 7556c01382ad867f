"""Telling an issue what became of its job. Every effect may be repeated without being seen twice."""

from routing.forge import Forge
from routing.issue import IssueRef
from routing.job import Job, JobState

#: Labels that show where an issue is; Redis holds the truth.
IN_PROGRESS = "agent-in-progress"
FOR_HUMAN = "ready-for-human"


def tell(forge: Forge, job: Job) -> None:
    """Comment once, take the label off, and close the issue or hand it to a person."""
    issue = IssueRef.parse(job.request.issue)
    mark = f"<!-- coalmine {job.id} {job.attempts} -->"
    comments = forge.read_issue(issue).comments or ()
    if not any(mark in comment.body for comment in comments):
        forge.comment(issue, f"{words(job)}\n\n{mark}")
    forge.remove_label(issue, IN_PROGRESS)
    if job.state is JobState.SUCCEEDED:
        forge.close(issue)
    else:
        forge.add_label(issue, FOR_HUMAN)


def words(job: Job) -> str:
    """The comment, for people."""
    what = {
        JobState.SUCCEEDED: "Done",
        JobState.CANCELLED: "Cancelled",
        JobState.FAILED: "Failed",
    }.get(job.state, "A person is needed")
    lines = [f"**{what}**: {job.reason}.", ""]
    if job.result.commit:
        lines.append(f"- commit `{job.result.commit[:12]}` on branch `{job.branch}`")
    lines.append(f"- job `{job.id}`, version `{job.version_id}`" + (f", arm {job.arm}" if job.arm else ""))
    if job.state is not JobState.SUCCEEDED:
        lines.append(f"- remove the label `{FOR_HUMAN}` to have an agent try again")
    return "\n".join(lines)
