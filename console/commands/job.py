"""`coalmine job …`: jobs, their logs, and what people decide about them.

A job is named by its id. A person's decisions (cancel, retry, thumb) are recorded with the user's name.
`logs` and `watch` print a stream; both read the state of the job from the store and end when it has ended,
so they also work for a job that ended long ago. Times are the server's, never this machine's.
"""

from typing import Annotated

import typer

from console.boundary import ExitCode
from console.completion import complete_job, complete_template
from console.decisions.job_decisions import THUMBS, cancel_job, retry_job, thumb_job
from console.details.job_detail import log_document, read_job
from console.invocation import AsJson, examples, noted, opened, started
from console.output.job_views import job_document, job_view, jobs_view
from console.output.rendering import one_line, text, when
from console.output.terminal import Terminal
from routing.jobs.job import Job, JobState, checked_job_id
from tasks.composition.composition import Coalmine

job_app = typer.Typer(help="Jobs.", no_args_is_help=True)

#: Seconds of one wait for news of a job that is followed.
WAIT_SECONDS = 1.0

JobId = Annotated[
    str, typer.Argument(metavar="JOB", autocompletion=complete_job, help="The job's id, 16 hex digits.")
]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="List at most this many, the newest.")]


@job_app.command(
    "list",
    epilog=examples(
        "job list",
        "job list --state failed --state escalated",
        "job list --template implementer --json",
        "job list --parent 4f1d0c2ab39e8876",
    ),
)
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only jobs in this state; repeat for more.")
    ] = None,
    template: Annotated[
        str, typer.Option(autocompletion=complete_template, help="Only jobs of this template.")
    ] = "",
    parent: Annotated[
        str, typer.Option(metavar="JOB", autocompletion=complete_job, help="Only children of this job.")
    ] = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    if template:
        # Raises NotFoundError: a mistyped name must not look like a template without jobs.
        coalmine.templates.champion(template)
    if parent:
        checked_job_id(parent)
    jobs = coalmine.jobs.newest(most=limit, states=frozenset(state or ()), template=template, parent=parent)
    terminal.answer({"jobs": [job_document(job) for job in jobs]}, jobs_view(jobs))


@job_app.command(epilog=examples("job show 4f1d0c2ab39e8876"))
def show(ctx: typer.Context, job: JobId, *, as_json: AsJson = False) -> None:
    """Print all about a job: its draw and bet, attempts, result, signals, score and why."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = read_job(coalmine, job)
    terminal.answer(found.document(), *job_view(found.job, found.signals, found.spending))


@job_app.command(epilog=examples("job logs 4f1d0c2ab39e8876 --follow"))
def logs(
    ctx: typer.Context,
    job: JobId,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more until the job has ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what the agent said, as far as it is kept. With --json, one JSON object on each line."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=not follow)
    found = coalmine.jobs.find(job)
    said = _follow_log(coalmine, found.id, terminal, follow=follow)
    if not said and not as_json:
        terminal.note(f"job {found.id} is {found.state}; its agent has said nothing yet")


@job_app.command(epilog=examples("job watch 4f1d0c2ab39e8876"))
def watch(ctx: typer.Context, job: JobId, *, as_json: AsJson = False) -> None:
    """Print a job's states until it has ended. The exit code is 0 when it succeeded, else 1."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    ended = _follow_states(coalmine, coalmine.jobs.find(job), terminal)
    if ended.state is not JobState.SUCCEEDED:
        raise typer.Exit(ExitCode.FAILED)


@job_app.command(epilog=examples("job cancel 4f1d0c2ab39e8876"))
def cancel(ctx: typer.Context, job: JobId, *, as_json: AsJson = False) -> None:
    """End a job that is not finished. A running agent is stopped."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    ended, changed = cancel_job(coalmine, job, by=started(ctx).user)
    if changed:
        noted(ctx, ended.id)
    done = "is cancelled" if ended.state.is_final else "is being cancelled by its worker"
    terminal.answer(job_document(ended), f"{ended.id} {done}")


@job_app.command(epilog=examples("job retry 4f1d0c2ab39e8876"))
def retry(ctx: typer.Context, job: JobId, *, as_json: AsJson = False) -> None:
    """Queue a job again that ended without success. It keeps its version and arm, and gets new attempts.

    Refused when its issue is completed or closed, or when another job works on it.
    """
    coalmine, terminal = opened(ctx, as_json=as_json)
    queued, note = retry_job(coalmine, job, by=started(ctx).user)
    noted(ctx, queued.id)
    terminal.answer(job_document(queued), f"{queued.id} is queued again for {queued.version_id}")
    if note:
        terminal.note(note)


@job_app.command(epilog=examples("job dead", "job dead --json"))
def dead(ctx: typer.Context, *, limit: Limit = 100, as_json: AsJson = False) -> None:
    """List dead letters: jobs that used up their attempts. `coalmine job retry` queues one again."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = coalmine.job_store.read_many(coalmine.job_store.dead(limit))
    jobs = [job for job in found if job is not None]
    terminal.answer(
        {"jobs": [job_document(job) for job in jobs]}, jobs_view(jobs, none="There are no dead letters.")
    )


@job_app.command(epilog=examples("job thumb 4f1d0c2ab39e8876 up", "job thumb 4f1d0c2ab39e8876 down"))
def thumb(
    ctx: typer.Context,
    job: JobId,
    verdict: Annotated[str, typer.Argument(metavar="up|down", help="up scores 1, down scores 0.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Judge a job's work. A thumb overrides every other signal; the last one counts."""
    if verdict not in THUMBS:
        raise typer.BadParameter(f"{verdict[:20]!r} is neither up nor down", param_hint="up|down")
    coalmine, terminal = opened(ctx, as_json=as_json)
    changed = thumb_job(coalmine, job, THUMBS[verdict], by=started(ctx).user)
    if changed:
        noted(ctx, job, reason=verdict)
    done = f"thumb {verdict}" if changed else "has that thumb already; nothing was changed"
    terminal.answer({"job": job, "thumb": verdict, "changed": changed}, f"{job} {done}")


@job_app.command(epilog=examples("job message 4f1d0c2ab39e8876 'Use port 8080.'"))
def message(
    ctx: typer.Context,
    job: JobId,
    words: Annotated[str, typer.Argument(metavar="WORDS", help="What to say to its agent.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Send mail to the agent of a job that has begun and not ended. Its next turn begins with it."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    from console.decisions.mail_decisions import message_job

    agent = message_job(coalmine, job, words, by=started(ctx).user)
    noted(ctx, job, reason=words[:500])
    terminal.answer({"job": job, "agent": agent}, f"{agent} gets it with its next turn")


def _follow_log(coalmine: Coalmine, job: str, terminal: Terminal, *, follow: bool) -> int:
    """Print the log as it grows; returns the number of entries that were printed.

    Without `follow` it prints what there is. The log is kept for a limited time and up to a limited length,
    so an old job may have none.
    """
    last, printed = "0-0", 0
    while True:
        # Asked before the last read, which then misses nothing.
        ended = not follow or coalmine.jobs.find(job).state.is_final
        entries = list(coalmine.log_store.read(job, after=last, wait_seconds=0.0 if ended else WAIT_SECONDS))
        for entry in entries:
            kind = "" if entry.kind == "text" else f"[{entry.kind}] "
            terminal.line(log_document(entry), text(f"{kind}{entry.text}"))
            last = entry.id
        printed += len(entries)
        if ended and not entries:
            return printed


def _follow_states(coalmine: Coalmine, job: Job, terminal: Terminal) -> Job:
    """Print the job whenever its state, attempt or reason changed; returns it when it has ended.

    Events only say when to look again; what is printed is the job's record. So a state that lasted only a
    moment may not be printed.
    """
    # Begin after the newest event. The job was read before, so it is read again when nothing comes.
    newest = coalmine.events.newest(1)
    last = newest[0].id if newest else "0-0"
    shown = ""
    while True:
        line = f"{job.state}  attempt {job.attempts} of {job.max_attempts}  {one_line(job.reason)}".rstrip()
        if line != shown:
            at = when(coalmine.signals.now())
            terminal.line(job_document(job), text(f"{at}  {line}"))
            shown = line
        if job.state.is_final:
            return job
        events = coalmine.events.after(last, wait_seconds=WAIT_SECONDS)
        last = events[-1].id if events else last
        # Without news the job is read all the same: it may have changed before the first wait.
        if not events or any(event.subject == job.id for event in events):
            job = coalmine.jobs.find(job.id)
