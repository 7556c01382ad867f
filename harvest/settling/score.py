"""From the signals of a job to its score: a pure function, one score a job.

The rules are tried in one order, and the first that applies decides. They never look at the arm: champion and
canary are scored by the same rules and with the same deadline. The page docs/evidence.md shows them as a
table.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from routing.jobs.signal import Signal, SignalKind

Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

#: Failures that are final at once, and score 0.
FAILURES = frozenset(
    {
        SignalKind.CLOSED_UNMERGED,
        SignalKind.FROZEN,
        SignalKind.AGENT_ERRORED,
        SignalKind.AGENT_STALLED,
        SignalKind.AGENT_ABORTED,
        SignalKind.NOTHING_PUSHED,
        SignalKind.REFUSED,
        SignalKind.ESCALATED,
    }
)

#: Faults that are not the agent's: left out of the trial, by the same rule on both arms.
EXCLUSIONS = frozenset(
    {
        SignalKind.UNREACHABLE,
        SignalKind.NO_VERDICT,
        SignalKind.NOT_JUDGED,
        SignalKind.MAIN_RED,
        SignalKind.CONFLICT,
        SignalKind.AUTHENTICATION,
        SignalKind.QUOTA,
        SignalKind.FELL_BACK,
        SignalKind.MACHINE_LOST,
        SignalKind.SETUP,
        SignalKind.CANCELLED,
    }
)


class ScorePolicy(BaseModel):
    """What outcomes are worth: the section `canary.scores` of the settings."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    merged_green: Unit = 1.0  # merged, and real CI passed at the head commit
    merged_without_ci: Unit = 0.6  # merged, no CI passed there
    pushed_green: Unit = 1.0  # pushed straight to the main branch, and CI green
    finished: Unit = 1.0  # ended cleanly on a job that has no repository to push to
    review_cap: Unit = 0.6  # the most that a job is worth after the first round of changes requested
    review_step: Unit = 0.2  # how much the cap falls with each further round


class ScoreStatus(StrEnum):
    """Whether a score can still change. The values are stored in the ledger, which has no open ones."""

    OPEN = "open"  # no value yet
    PROVISIONAL = "provisional"  # a revert can take its value away
    SETTLED = "settled"  # final
    EXCLUDED = "excluded"  # final, without a value


class Score(BaseModel):
    """What a job is worth now, and whether that can still change."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    status: ScoreStatus
    value: float | None = None  # in [0,1]; None while open and when excluded
    reason: str = ""
    until: float | None = None  # when time alone will change it, seconds since the epoch


class ScoreRules(BaseModel):
    """All that decides a score besides the signals and the time."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    policy: ScorePolicy = ScorePolicy()
    strict: bool = True  # a merge stays open until its revert window has passed
    revert_window_seconds: float = 86_400.0
    settle_deadline_seconds: float = 604_800.0  # after the creation of the job


def score(
    signals: Sequence[Signal],
    *,
    created_at: float,
    now: float,
    rules: ScoreRules,
    waited_seconds: float = 0.0,
) -> Score:
    """The score of a job by its signals, in order of time, at `now`; times in seconds since the epoch.

    `waited_seconds`: for which it waited for an account; its deadline is put off by that.

    A person's thumb overrides everything, then a revert does. Strict mode keeps a merge open until its revert
    window has passed; provisional mode lets it count at once. A job that nothing settles scores 0 at its
    deadline, so that an agent cannot improve its version's mean by never finishing.
    """
    deadline = created_at + waited_seconds + rules.settle_deadline_seconds
    return (
        _thumb(signals)
        or _fell_back(signals)
        or _reverted(signals)
        or _landed(signals, now, rules)
        or _ended(signals)
        or _finished(signals, rules.policy)
        or _overdue(deadline, now, rules)
        or Score(status=ScoreStatus.OPEN, until=deadline)
    )


def _fell_back(signals: Sequence[Signal]) -> Score | None:
    """Work of another model than the version's says nothing of the version, however it ended."""
    fact = next((fact for fact in signals if fact.kind is SignalKind.FELL_BACK), None)
    return None if fact is None else Score(status=ScoreStatus.EXCLUDED, reason=_words(fact))


def _thumb(signals: Sequence[Signal]) -> Score | None:
    """A person's last thumb decides, before any fact."""
    thumbs = [fact.kind for fact in signals if fact.kind in {SignalKind.THUMB_UP, SignalKind.THUMB_DOWN}]
    if not thumbs:
        return None
    up = thumbs[-1] is SignalKind.THUMB_UP
    return _settled(1.0 if up else 0.0, f"a person's thumb {'up' if up else 'down'}")


def _reverted(signals: Sequence[Signal]) -> Score | None:
    """Work that was taken back; a revert that was taken back itself counts no longer."""
    reverts = sum(fact.kind is SignalKind.REVERTED for fact in signals)
    if reverts > sum(fact.kind is SignalKind.REAPPLIED for fact in signals):
        return _settled(0.0, "merged, then reverted")
    return None


def _landed(signals: Sequence[Signal], now: float, rules: ScoreRules) -> Score | None:
    """Work on the main branch: green if CI passed at the very commit that landed.

    A direct push waits for its CI, as nobody else has seen it. A merge does not, as a person or the watcher
    has; without CI it is worth less.
    """
    kinds = (SignalKind.MERGED, SignalKind.PUSHED_TO_MAIN)
    landed = next((fact for kind in kinds for fact in signals if fact.kind is kind), None)
    if landed is None:
        return None
    green = any(fact.kind is SignalKind.CI_GREEN and fact.commit == landed.commit for fact in signals)
    policy = rules.policy
    if landed.kind is SignalKind.PUSHED_TO_MAIN:
        if not green:
            return None
        value, reason = policy.pushed_green, "on the main branch, CI green"
    elif green:
        value, reason = policy.merged_green, "merged, CI green at its head"
    else:
        value, reason = policy.merged_without_ci, "merged, no CI passed at its head"
    return _after_merge(_capped(value, signals, policy), reason, landed.at, now, rules)


def _after_merge(value: float, reason: str, merged_at: float, now: float, rules: ScoreRules) -> Score:
    """A merge counts for good when its revert window has passed."""
    ends = merged_at + rules.revert_window_seconds
    if now >= ends:
        return _settled(value, reason)
    if rules.strict:
        return Score(
            status=ScoreStatus.OPEN, reason=f"{reason}; open until its revert window ends", until=ends
        )
    return Score(status=ScoreStatus.PROVISIONAL, value=value, reason=reason, until=ends)


def _ended(signals: Sequence[Signal]) -> Score | None:
    """The first failure or exclusion decides, whichever comes first."""
    for fact in signals:
        if fact.kind in EXCLUSIONS:
            return Score(status=ScoreStatus.EXCLUDED, reason=f"not the agent's fault: {_words(fact)}")
        if fact.kind in FAILURES:
            return _settled(0.0, _words(fact))
    return None


def _finished(signals: Sequence[Signal], policy: ScorePolicy) -> Score | None:
    if any(fact.kind is SignalKind.FINISHED for fact in signals):
        return _settled(_capped(policy.finished, signals, policy), "finished cleanly; no repository involved")
    return None


def _overdue(deadline: float, now: float, rules: ScoreRules) -> Score | None:
    """The deadline is the same for both arms: see `ScoreRules`."""
    if now < deadline:
        return None
    return _settled(0.0, f"nothing settled it within {rules.settle_deadline_seconds:g} s")


def _capped(value: float, signals: Sequence[Signal], policy: ScorePolicy) -> float:
    """Changes requested in review round r cap the score at review_cap - review_step (r - 1), not below 0."""
    rounds = [fact.round for fact in signals if fact.kind is SignalKind.CHANGES_REQUESTED]
    if not rounds:
        return value
    cap = policy.review_cap - policy.review_step * (max(*rounds, 1) - 1)
    return min(value, max(0.0, round(cap, 9)))


def _settled(value: float, reason: str) -> Score:
    return Score(status=ScoreStatus.SETTLED, value=value, reason=reason)


def _words(fact: Signal) -> str:
    words = fact.kind.value.replace("_", " ")
    return f"{words} ({fact.note})" if fact.note else words
