"""What the command line prints of jobs, of their signals and of requests that became one.

`JOB` at the end has the fields of a job, for `job show`, `job list` and every command that answers with a
job. `draw`, `bet` and `score_reason` explain how the job was routed and what it counted for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from console.output.cost_views import cost_document, cost_words, tokens_words, usd
from console.output.fields import ShownField, document, moment, rows
from console.output.rendering import duration, facts, heading, iso, number, one_line, table, text, when, word
from routing.cost import Cost
from routing.jobs.job import Job
from routing.jobs.signal import Signal
from routing.jobs.turn import EndedTurn

if TYPE_CHECKING:
    from routing.jobs.mailbox import Enqueued

#: What an empty list of jobs says.
NO_JOB = (
    "There is no such job. Issues become jobs by themselves (`coalmine issue list` says what they wait for); "
    "`coalmine enqueue TEMPLATE TASK` makes one."
)


def job_document(job: Job) -> dict[str, Any]:
    """A job for scripts, without its signals. `score` is null until it has settled."""
    return document(JOB, job)


def jobs_view(jobs: Sequence[Job], *, none: str = NO_JOB) -> RenderableType:
    """Jobs for people, one a line; `none` is printed when the list is empty."""
    if not jobs:
        return none
    return table(
        ("!job", "!state", "!version", "?!arm", "?!>score", "?!created", "~task", "~reason"),
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


def job_view(job: Job, signals: Sequence[Signal], spending: Cost | None = None) -> Iterator[RenderableType]:
    """One job for people: its fields, its task, the end of the agent's output, its signals.

    `spending` is what a turn that runs has cost so far, None where nobody said. Task and output are printed
    as they are, without control characters: both come from outside.
    """
    yield rows(JOB, job)
    if spending is not None:
        yield facts([("this turn", f"{cost_words(spending)} so far, not counted above yet")])
    yield ""
    yield heading("Task")
    yield text(job.request.task.rstrip("\n"))
    if job.result.tail:
        yield ""
        yield heading("The end of what the agent printed")
        yield text(job.result.tail.rstrip("\n"))
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


def signal_document(signal: Signal) -> dict[str, Any]:
    """A signal for scripts; `round` is the round of review, 0 for signals without one."""
    return {
        "kind": signal.kind.value,
        "at": iso(signal.at),
        "commit": signal.commit,
        "round": signal.round,
        "note": signal.note,
    }


def enqueued_document(enqueued: Enqueued) -> dict[str, Any]:
    """The answer to a request for scripts; version, trial, arm and draw are null when the job was there."""
    return {
        "job": enqueued.job,
        "created": enqueued.created,
        "version": enqueued.version or None,
        "trial": enqueued.trial or None,
        "arm": enqueued.arm,
        "draw": enqueued.draw,
    }


def _claimed(job: Job) -> str:
    """When a worker last took the job, and which; "" before the first time."""
    return f"{when(job.claimed_at)} by {job.worker}" if job.claimed_at else ""


def _parent(job: Job) -> str:
    """The job whose agent dispatched this one. Its arm is named although the child counts for none."""
    if not job.parent:
        return ""
    arm = f", {job.parent_arm} of its trial" if job.parent_arm else ""
    asked = f", asked for by {job.request.parent}" if job.request.parent else ""
    return f"{job.parent}{arm}{asked}; {job.request.role} of generation {job.depth}"


def _pair(job: Job) -> str:
    """The other job on the same issue, of a trial of pairs."""
    if job.shadow:
        return f"shadow of job {job.partner}: its work is judged, and never delivered"
    return f"its shadow is job {job.partner}" if job.partner else ""


def _draw(job: Job) -> str:
    """The number and the share that it was compared to, or why nothing was drawn."""
    if job.parent:
        return "not drawn: a child counts in no trial"
    if job.draw is None:
        return "not drawn: no trial was open" if not job.pinned else "not drawn: pinned to its version"
    if job.bet is None:
        return f"{job.draw:.6f}"
    side = "below" if job.draw < job.bet.share else "not below"
    return f"{job.draw:.6f}, {side} the share {job.bet.share:g}: {job.bet.arm}"


def _bet_document(job: Job) -> Mapping[str, Any] | None:
    """The bet with its place in the trial's ledger; null for a job that no trial counts."""
    if job.bet is None:
        return None
    return {
        "arm": job.bet.arm,
        "share": job.bet.share,
        "baseline": job.bet.baseline,
        "stratum": job.bet.stratum,
        "guardrail_baselines": dict(job.bet.guardrail_baselines),
        "sequence": job.sequence,
    }


def _bet(job: Job) -> str:
    """What the bet was frozen with at dispatch; the evidence is computed from it and the score alone."""
    if job.bet is None:
        return ""
    stratum = f", stratum {job.bet.stratum}" if job.bet.stratum else ""
    return f"champion's mean {job.bet.baseline:.2f} at dispatch, place {job.sequence}{stratum}"


def _turn(job: Job) -> str:
    """How the last turn ended; "" before the first one has."""
    result = job.result
    if not result.ended_by and result.exit_code is None:
        return ""
    code = f", exit code {result.exit_code}" if result.exit_code is not None else ""
    ended = f"ended by {result.ended_by}" if result.ended_by else "ended"
    cost = "cost not known" if result.cost_usd is None else f"{usd(result.cost_usd)} USD"
    return f"{ended}{code}, {duration(result.duration_seconds)}, {cost}"


def _turn_document(turn: EndedTurn) -> dict[str, Any]:
    """A turn for scripts; `usd` is null where nobody said any."""
    return {
        "number": turn.number,
        "kind": turn.kind,
        "began_at": iso(turn.began_at),
        "ended_at": iso(turn.at),
        "seconds": round(turn.seconds, 3),
        "usd": turn.known_usd,
        "tokens": turn.tokens,
    }


def _cost(job: Job) -> str:
    """What all turns together have cost; "" before the first has ended."""
    tokens = tokens_words(job.cost)
    more = f" in {job.cost.turns} turns" if job.cost.turns > 1 and job.cost.is_whole else ""
    counted = f" ({tokens})" if tokens and job.cost.known_usd is not None else ""
    return f"{cost_words(job.cost)}{more}{counted}"


def _commit(job: Job) -> str:
    """What the agent pushed, and the branch; "" when nothing was pushed."""
    return f"{job.result.commit} on {job.result.branch}" if job.result.commit else ""


def _base(job: Job) -> str:
    """Where the work began, and where it is to go; "" before it began."""
    return f"{job.base_commit[:12]} of {job.base_branch}" if job.base else ""


def _hindrance(job: Job) -> str:
    """What keeps it waiting, since when; "" when nothing does."""
    found = job.hindrance
    return f"{found.kind.value}, since {when(found.since)}: {found.words}" if found else ""


def _account(job: Job) -> str:
    """What its last turn worked with, and whether that was a fallback."""
    model = f" with {job.model}" if job.model else ""
    return f"{job.account}{model}{', a fallback' if job.fell_back else ''}"


def _held(job: Job) -> str:
    """Since when it waits for an account, and when one is tried again; "" when it does not."""
    if job.held_at is None:
        return ""
    until = f"; tried again at {when(job.held_until)}" if job.held_until else ""
    return f"for an account, since {when(job.held_at)}{until}"


def _score(job: Job) -> str:
    """The score, a dash while it is open, or that the job counts for neither arm."""
    return "excluded" if job.excluded else number(job.score)


def _settled(job: Job) -> str:
    """The settled score. Signals that came later are reported and do not change it."""
    if job.settled_at is None:
        return "open"
    late = f"; later signals would make it {job.late_score:.2f}" if job.late_score is not None else ""
    return f"{_score(job)} ({job.score_reason}), settled {when(job.settled_at)}{late}"


#: What `job show` has, in the order of its lines. A field of `Job` that is to be shown is added here.
JOB: tuple[ShownField[Job], ...] = (
    ShownField("id", "job", shown=lambda job: heading(job.id)),
    ShownField("state", "state", shown=lambda job: word(job.state)),
    ShownField("reason", "reason"),
    ShownField("", "waits for", shown=_hindrance),
    ShownField("", "title", shown=lambda job: job.request.title),
    ShownField(
        "version",
        "version",
        value=lambda job: job.version_id,
        shown=lambda job: f"{job.version_id}{', pinned' if job.pinned else ''}",
    ),
    ShownField("content_hash"),
    ShownField("source_commit"),
    ShownField("pinned"),
    ShownField(
        "rerouted_from",
        "rerouted from",
        shown=lambda job: f"v{job.rerouted_from}" if job.rerouted_from else "",
    ),
    ShownField("trial", "trial", value=lambda job: job.trial or None),
    ShownField("parent", "parent", value=lambda job: job.parent or None, shown=_parent),
    ShownField("depth"),
    ShownField("arm"),
    ShownField("shadow"),
    ShownField("partner", value=lambda job: job.partner or None),
    ShownField("", "pair", shown=_pair),
    ShownField("draw", "draw", shown=_draw),
    ShownField("bet", "bet", value=_bet_document, shown=_bet),
    ShownField("request", value=lambda job: job.request.model_dump(mode="json")),
    ShownField("", "issue", shown=lambda job: job.request.issue),
    ShownField("", "repository", shown=lambda job: job.request.repository),
    ShownField("queue", "priority", shown=lambda job: f"{job.request.priority} on queue {job.queue}"),
    moment("created_at", "created"),
    ShownField("claimed_at", "claimed", value=lambda job: iso(job.claimed_at), shown=_claimed),
    ShownField("worker"),
    moment("finished_at", "finished"),
    moment("lease_until"),
    ShownField("attempts", "attempts", shown=lambda job: f"{job.attempts} of {job.max_attempts}"),
    ShownField("max_attempts"),
    ShownField("cancel"),
    ShownField("account", "account", shown=_account),
    ShownField("model"),
    ShownField("fell_back"),
    moment("held_at"),
    ShownField("held_until", value=lambda job: iso(job.held_until) if job.held_at else None),
    ShownField("", "held", shown=_held),
    ShownField("held_seconds"),
    ShownField("", "corrective turns", shown=lambda job: str(job.fix_forwards or "")),
    ShownField("", "turns for conflicts", shown=lambda job: str(job.merge_rounds or "")),
    ShownField("", "turns for reviews", shown=lambda job: str(job.review_rounds or "")),
    ShownField("base_branch"),
    ShownField("base_commit"),
    ShownField("", "base", shown=_base),
    ShownField("result", value=lambda job: asdict(job.result) | {"ended_by": job.result.ended_by or ""}),
    ShownField("", "commit", shown=_commit),
    ShownField("", "turn", shown=_turn),
    ShownField("cost", "cost", value=lambda job: cost_document(job.cost), shown=_cost),
    ShownField("ended_turns", value=lambda job: [_turn_document(each) for each in job.ended_turns]),
    ShownField("score", "score", shown=_settled),
    ShownField("score_reason"),
    ShownField("excluded"),
    moment("settled_at"),
    ShownField("late_score"),
)
