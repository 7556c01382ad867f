"""How jobs look on the command line."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from console.output.rendering import duration, facts, heading, number, one_line, table, text, when, word
from routing.jobs.job import Job
from routing.jobs.signal import Signal


def jobs_view(jobs: Sequence[Job], *, none: str = "There is no such job.") -> RenderableType:
    """Jobs in a row each."""
    if not jobs:
        return none
    return table(
        ("!job", "!state", "!version", "?!arm", "?!>score", "?!created", "task", "reason"),
        (
            (
                job.id,
                word(job.state),
                job.version_id,
                word(job.arm or "-"),
                _score(job),
                when(job.created_at),
                one_line(job.request.title or job.request.task, 48),
                one_line(job.reason, 48),
            )
            for job in jobs
        ),
    )


def job_view(job: Job, signals: Sequence[Signal]) -> Iterator[RenderableType]:
    """One job, whole."""
    request, result = job.request, job.result
    yield facts(
        [
            ("job", heading(job.id)),
            ("state", word(job.state)),
            ("reason", job.reason),
            ("title", request.title),
            ("version", f"{job.version_id}{', pinned' if job.pinned else ''}"),
            ("rerouted from", f"v{job.rerouted_from}" if job.rerouted_from else ""),
            ("trial", job.trial),
            ("parent", _parent(job)),
            ("draw", _draw(job)),
            ("bet", _bet(job)),
            ("issue", request.issue),
            ("repository", request.repository),
            ("priority", f"{request.priority} on queue {job.queue}"),
            ("created", when(job.created_at)),
            ("claimed", f"{when(job.claimed_at)} by {job.worker}" if job.claimed_at else ""),
            ("finished", when(job.finished_at)),
            ("attempts", f"{job.attempts} of {job.max_attempts}"),
            ("corrective turns", str(job.fix_forwards or "")),
            ("commit", f"{result.commit} on {result.branch}" if result.commit else ""),
            ("turn", _turn(job)),
            ("score", _scored(job)),
        ]
    )
    yield ""
    yield heading("Task")
    yield text(request.task.rstrip("\n"))
    if result.tail:
        yield ""
        yield heading("The end of what the agent printed")
        yield text(result.tail.rstrip("\n"))
    if signals:
        yield ""
        yield heading("Signals")
        yield table(
            ("!at", "!signal", "?!commit", "note"),
            (
                (when(fact.at), fact.kind.value, fact.commit[:12] or "-", one_line(fact.note))
                for fact in signals
            ),
        )


def _parent(job: Job) -> str:
    if not job.parent:
        return ""
    arm = f", {job.parent_arm} of its trial" if job.parent_arm else ""
    asked = f", asked for by {job.request.parent}" if job.request.parent else ""
    return f"{job.parent}{arm}{asked}; {job.request.role} of generation {job.depth}"


def _draw(job: Job) -> str:
    if job.parent:
        return "not drawn: a child counts in no trial"
    if job.draw is None:
        return "not drawn: no trial was open" if not job.pinned else "not drawn: pinned to its version"
    if job.bet is None:
        return f"{job.draw:.6f}"
    side = "below" if job.draw < job.bet.share else "not below"
    return f"{job.draw:.6f}, {side} the share {job.bet.share:g}: {job.bet.arm}"


def _bet(job: Job) -> str:
    if job.bet is None:
        return ""
    stratum = f", stratum {job.bet.stratum}" if job.bet.stratum else ""
    return f"champion's mean {job.bet.baseline:.2f} at dispatch, place {job.sequence}{stratum}"


def _turn(job: Job) -> str:
    result = job.result
    if not result.ended_by and result.exit_code is None:
        return ""
    code = f", exit code {result.exit_code}" if result.exit_code is not None else ""
    ended = f"ended by {result.ended_by}" if result.ended_by else "ended"
    return f"{ended}{code}, {duration(result.duration_seconds)}, {result.cost_usd:.2f} USD"


def _score(job: Job) -> str:
    return "excluded" if job.excluded else number(job.score)


def _scored(job: Job) -> str:
    if job.settled_at is None:
        return "open"
    late = f"; later signals would make it {job.late_score:.2f}" if job.late_score is not None else ""
    return f"{_score(job)} ({job.score_reason}), settled {when(job.settled_at)}{late}"
