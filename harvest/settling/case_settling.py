"""Scoring a job of a backtest: as half of a pair, but its time runs from its first claim.

A case waits for a worker of its queue while real work comes first, and a kept result on the other side has no
such wait. So waiting costs a version nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from harvest.settling.pair_settling import half
from harvest.settling.score import Score, ScoreRules, ScoreStatus
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal


def case_worth(job: Job, signals: Sequence[Signal], *, now: float, rules: ScoreRules) -> Score:
    """What a job of a backtest is worth; pure. It stays open until a worker has taken it."""
    begun_at = job.begun_at
    if begun_at is None and not signals:
        return Score(
            status=ScoreStatus.OPEN, reason="no worker has taken it",
            until=now + rules.settle_deadline_seconds,
        )  # fmt: skip
    begun = job if begun_at is None else replace(job, created_at=begun_at)
    worth = half(begun, signals, now=now, rules=rules).worth
    by_facts = half(begun, signals, now=begun.created_at, rules=rules).worth
    if by_facts.status is ScoreStatus.OPEN and worth.value is not None and job.state is JobState.QUEUED:
        why = "it waited for a worker again when its time was up"
        return Score(status=ScoreStatus.EXCLUDED, reason=why)
    return worth
