"""Scoring a job of a backtest: as half of a pair, but its time runs from its first claim.

A case waits for a worker of its queue while real work comes first, and a kept result on the other side has no
such wait. So waiting costs a version nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from harvest.settling.pair_settling import Half, half
from harvest.settling.score import Score, ScoreRules, ScoreStatus
from routing.jobs.job import Job, JobState
from routing.jobs.signal import Signal


def case_worth(job: Job, signals: Sequence[Signal], *, now: float, rules: ScoreRules) -> Score:
    """What a job of a backtest is worth; pure. It stays open until a worker has taken it."""
    return case_half(job, signals, now=now, rules=rules).worth


def case_half(job: Job, signals: Sequence[Signal], *, now: float, rules: ScoreRules) -> Half:
    """The same with what leaves it out, and with how long it took since its first claim; pure."""
    begun_at = job.begun_at
    if begun_at is None and not signals:
        unbegun = Score(
            status=ScoreStatus.OPEN, reason="no worker has taken it",
            until=now + rules.settle_deadline_seconds,
        )  # fmt: skip
        return Half(job=job, signals=signals, worth=unbegun)
    begun = job if begun_at is None else replace(job, created_at=begun_at)
    found = half(begun, signals, now=now, rules=rules)
    by_facts = half(begun, signals, now=begun.created_at, rules=rules).worth
    if by_facts.status is ScoreStatus.OPEN and found.worth.value is not None and job.state is JobState.QUEUED:
        why = "it waited for a worker again when its time was up"
        return replace(found, worth=Score(status=ScoreStatus.EXCLUDED, reason=why))
    return found
