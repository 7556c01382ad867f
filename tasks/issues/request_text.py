"""The requests for jobs, and the text of change requests, made from issues: their words are data. Pure."""

from routing.backlog.item import BacklogItem
from routing.forges.site import IssueSite
from routing.forges.skip_marker import without_skip_markers
from routing.issues.issue import Issue, IssueRef
from routing.jobs.job import Job, JobRequest, Priority
from routing.printable import printable
from tasks.issues.checklist import code
from tasks.issues.site import issue_of, place_of

#: The longest title of a change request, in characters.
TITLE_CHARACTERS = 200

#: How the line begins that the task of a job has beside its issue's text, when work on that begins anew.
BEGINS_ANEW = "This work begins anew from the main branch."

#: The last of the issues' PRIORITIES that is urgent, high and normal in a queue.
_URGENT, _HIGH, _NORMAL = 0, 2, 5


def priority_of(item: BacklogItem) -> Priority:
    """A queue's priority for an issue's: P0 is urgent, P1 and P2 are high, P3 to P5 normal, the rest low."""
    number = item.metadata.priority
    if number <= _URGENT:
        return Priority.URGENT
    if number <= _HIGH:
        return Priority.HIGH
    return Priority.NORMAL if number <= _NORMAL else Priority.LOW


def start_key(issue: IssueRef, fence: int) -> str:
    """The idempotency key of one start of an issue: each start has a fence of its own."""
    return f"{issue}:{fence}"


def request_of(
    site: IssueSite, item: BacklogItem, issue: Issue, fence: int, *, before: Job | None = None
) -> JobRequest:
    """The request for an issue that was started; asking again for the same start leads to the same job.

    The issue's text is the task, and not trusted: it is data for an agent, never part of a command. `before`
    is the job that worked on the issue last. InvalidInputError when it cannot be a task, for instance because
    it is too long.
    """
    task = issue.body.strip() or issue.title
    return JobRequest.checked(
        template=site.config.template,
        task=task if before is None else f"{task}\n\n{begins_anew(before)}",
        title=issue.title[:500],
        repository=item.place,
        issue=str(issue.ref),
        revision=issue.revision,
        difficulty=item.metadata.difficulty,
        priority=priority_of(item),
        idempotency_key=start_key(issue.ref, fence),
    )


def begins_anew(before: Job) -> str:
    """Says that work on an issue begins anew, and after what, for the agent and for people."""
    pushed = f" What it pushed is on the branch {before.branch}." if before.result.commit else ""
    ended = f"{before.state.value}: {printable(before.reason)[:300]}"
    return f"{BEGINS_ANEW} Job {before.id} worked on it before ({ended}).{pushed}"


def change_text(job: Job, *, closes: bool = False) -> tuple[str, str]:
    """Title and body of a job's change request, in markdown.

    `closes`: people merge it, and the forge closes the issue then. Where we merge, "For #N" links the issue
    and does not close it, before the end is recorded. An issue of a tracker is named by its key: its number
    would be that of another one here. See "Linking a pull request to an issue" in GitHub's
    documentation.
    """
    issue = issue_of(job)
    asked = without_skip_markers(job.request.title or job.request.task)  # a squash makes a commit of it
    title = " ".join(printable(asked).split())[:TITLE_CHARACTERS]
    about = ""
    if issue is not None and place_of(job)[0] not in {"", issue.forge}:
        about = f"For {issue.key}. "
    elif issue is not None:
        about = f"{'Closes' if closes else 'For'} #{issue.number}. "
    arm = f", arm {job.arm}" if job.arm else ""
    return title or job.branch, f"{about}Made by job {code(job.id)}, version {code(job.version_id)}{arm}."
