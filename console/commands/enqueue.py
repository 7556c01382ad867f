"""`coalmine enqueue`: make jobs from requests.

The mailbox draws the arm and writes job, draw and outbox entry in one step; this command only builds the
requests. All of them are checked before the first is enqueued, so a malformed line of `--each-line` makes
no job at all. Enqueueing works while dispatch is paused and while no worker runs; the jobs wait.
"""

from pathlib import Path
from typing import Annotated

import typer

from console.completion import complete_version
from console.input.input_text import not_empty, read_text
from console.invocation import AsJson, examples, noted, opened
from console.output.job_views import enqueued_document
from console.output.rendering import text
from console.output.terminal import Terminal
from routing.errors import InvalidInputError
from routing.jobs.job import JobRequest, Priority
from routing.jobs.mailbox import Enqueued

_HINT = "say what the agent is to do, for instance `coalmine enqueue implementer 'Make test_sum.py pass'`"


enqueue_app = typer.Typer()


@enqueue_app.command(
    epilog=examples(
        "enqueue implementer 'Make test_sum.py pass'",
        "enqueue implementer --task-file task.md --title 'Sums' --priority high",
        "enqueue implementer@v3 - < task.md",
        "enqueue implementer --task-file tasks.txt --each-line",
    )
)
def enqueue(
    ctx: typer.Context,
    template: Annotated[
        str,
        typer.Argument(
            metavar="TEMPLATE", autocompletion=complete_version, help="NAME, or NAME@v3 to pin a version."
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="What to do, in words; - reads standard input."),
    ] = None,
    *,
    task_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the task from a file; - is stdin.")
    ] = None,
    each_line: Annotated[
        bool, typer.Option("--each-line", help="Make a task of every line that is not empty.")
    ] = False,
    title: Annotated[str, typer.Option(help="A short name, shown in lists and pages.")] = "",
    priority: Annotated[
        Priority, typer.Option(metavar="WORD", help=f"Order within the queue: {', '.join(Priority)}.")
    ] = Priority.NORMAL,
    repository: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where to work, such as local:shop. (default: an empty folder, and nothing is pushed)",
        ),
    ] = "",
    difficulty: Annotated[
        str, typer.Option(help="A group for trials that compare within groups, in your own words.")
    ] = "",
    max_attempts: Annotated[
        int | None, typer.Option(envvar="COALMINE_JOB__MAX_ATTEMPTS", help="Attempts before the job fails.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="Using a key again returns the same job; nothing is drawn again.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a job and print its id, version, arm and draw. With --json, one JSON object on each line."""
    if each_line and (key or title):
        message = (
            "--each-line makes several jobs, and --key and --title would be the same for all; leave them out"
        )
        raise InvalidInputError(message)
    whole = not_empty(_task(task or [], task_file), what="the task", hint=_HINT)
    tasks = [line.strip() for line in whole.splitlines() if line.strip()] if each_line else [whole]
    coalmine, terminal = opened(ctx, as_json=as_json)
    requests = [
        JobRequest.checked(
            template=template,
            task=one,
            title=title,
            priority=priority,
            repository=repository,
            difficulty=difficulty,
            max_attempts=max_attempts,
            idempotency_key=key,
        )
        for one in tasks
    ]
    # The mailbox checks every request before it writes the first, and accepts a large batch in several
    # steps.
    made = list[str]()
    for enqueued in coalmine.mailbox.enqueue_many(requests):
        made += [enqueued.job] if enqueued.created else []
        terminal.line(enqueued_document(enqueued), text(_line(enqueued)))
    if made:
        # One decision, however many lines the file has.
        noted(ctx, made[0], reason=f"and {len(made) - 1} jobs more" if len(made) > 1 else "")
    _hint(terminal, coalmine.switch.reason())


def _task(words: list[str], file: Path | None) -> str:
    """The task: the words, or the text of the file or of standard input that was named instead.

    Words are joined with spaces, so quotes around a task are not needed. InvalidInputError when words and a
    file were given. An empty answer is possible, and refused by the caller.
    """
    if words and file is not None:
        message = "a task was given in words and with --task-file; give only one"
        raise InvalidInputError(message)
    if words == ["-"]:
        file = Path("-")
    return " ".join(words) if file is None else read_text(file, what="a task")


def _line(enqueued: Enqueued) -> str:
    """What happened to one request; arm and draw only when it was drawn."""
    if not enqueued.created:
        return f"{enqueued.job}  exists already; nothing was enqueued"
    drawn = f"  {enqueued.arm}  draw {enqueued.draw:.6f}" if enqueued.draw is not None else ""
    return f"{enqueued.job}  {enqueued.version}{drawn}"


def _hint(terminal: Terminal, paused: str | None) -> None:
    """Say that jobs wait while dispatch is paused; they are accepted all the same."""
    if paused is not None:
        terminal.note(f"dispatch is paused ({paused}): jobs wait until `coalmine resume`")
