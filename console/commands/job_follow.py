"""Following a job while it is worked on: its log, and its states."""

from console.output.documents import job_document
from console.output.rendering import iso, one_line, text, when
from console.output.terminal import Terminal
from routing.jobs.job import Job
from tasks.composition.composition import Coalmine

#: Seconds of one wait for news.
WAIT_SECONDS = 1.0


def follow_log(coalmine: Coalmine, job: str, terminal: Terminal, *, follow: bool) -> int:
    """Print the log as it grows; returns the number of entries when there is nothing more to come."""
    last, printed = "0-0", 0
    while True:
        ended = not follow or coalmine.jobs.find(job).state.is_final  # asked before the last look
        entries = list(coalmine.log_store.read(job, after=last, wait_seconds=0.0 if ended else WAIT_SECONDS))
        for entry in entries:
            at = int(entry.id.partition("-")[0]) / 1000
            document = {"at": iso(at), "kind": entry.kind, "text": entry.text}
            kind = "" if entry.kind == "text" else f"[{entry.kind}] "
            terminal.line(document, text(f"{kind}{entry.text}"))
            last = entry.id
        printed += len(entries)
        if ended and not entries:
            return printed


def follow_states(coalmine: Coalmine, job: Job, terminal: Terminal) -> Job:
    """Print the job whenever something about it changed; returns it when it has ended."""
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
        if not events or any(event.subject == job.id for event in events):
            job = coalmine.jobs.find(job.id)
