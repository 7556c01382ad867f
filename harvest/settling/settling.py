"""Settling: looks at the jobs that are due, and writes what each is worth.

A job is due when a signal came, and when time alone changes its score (a revert window ends, its deadline
passes). A score is written once, if the job has no more signals than it was computed from; else the job stays
due.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from harvest.draws.draw_ledger import Settlement
from harvest.evidence.policy import TrialPolicy
from harvest.settling.case_settling import case_worth
from harvest.settling.pair_settling import (
    Half,
    aged_line,
    awaits_judge,
    half,
    late_alone,
    lone_scoring,
    pair_scoring,
)
from harvest.settling.score import Score, ScorePolicy, ScoreRules, ScoreStatus, score
from routing.errors import ConflictError, CorruptRecordError, NotFoundError
from routing.generator import Generator
from routing.jobs.job import Job
from routing.jobs.signal import Signal
from routing.store.judging.judging_store import JudgingStore
from routing.store.signals.signal_store import ScoreAnswer, Scoring, ScoringKind, SignalStore
from routing.store.trials.trial_store import TrialStore
from routing.templates.trial import LATE_PART, Arm

#: Jobs that are read and written in one round trip.
BATCH = 500

#: When the jobs of a trial whose record cannot be read are looked at again.
DAMAGED_SECONDS = 600.0

_log = structlog.get_logger(__name__)

#: A fair coin.
_HALF = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFacts:
    """A job with its signals."""

    job: Job
    signals: Sequence[Signal]


@dataclass(frozen=True, kw_only=True, slots=True)
class _PairLook:
    """What a look at a pair came to."""

    settled: bool = False  # whether its line was written
    until: float | None = None  # when it is to be looked at again; None: never, as it is settled
    aged: Scoring | None = None  # what its ledger is to say, if one half alone is late


class Settling:
    """Scores due jobs. Any number of processes may run one at a time: each score is written once."""

    def __init__(
        self, *, signals: SignalStore, trials: TrialStore, scores: ScorePolicy, default: TrialPolicy,
        judging: JudgingStore, generator: Generator,
        left_out: Callable[[str], object] = lambda _shadow: None,
    ) -> None:  # fmt: skip
        self._judging = judging
        self._generator = generator  # of the coin that says whose work is judged first
        self._left_out = left_out  # ends the shadow job of a pair that says nothing
        self._signals = signals
        self._trials = trials
        self._scores = scores
        self._default = default
        self._policies: dict[str, TrialPolicy] = {}  # by trial; a trial's policy never changes

    def settle_due(self, *, most: int = 10_000) -> int:
        """Score jobs that are due now, at most `most`; returns how many were settled or excluded."""
        settled = 0
        for _ in range(max(1, most // BATCH)):
            due = self._signals.due(BATCH)
            if not due:
                break
            settled += self._settle(due)
            if len(due) < BATCH:
                break
        return settled

    def _settle(self, due: list[str]) -> int:
        """Score some due jobs in one round trip; a job whose record has expired is taken off the list."""
        now = self._signals.now()
        found = self._signals.read_due(due)
        scorings = []
        pairs_settled = 0
        for identifier, job, signals in found:
            if job is None:
                scorings.append(Scoring(job=identifier, seen=0, what=ScoringKind.DEFER))
                continue
            try:
                look = self._settle_pair(job, signals, now) if job.partner else _PairLook()
                pairs_settled += look.settled
                scorings += [look.aged] if look.aged else []
                facts = JobFacts(job=job, signals=signals)
                scorings.append(_due_until(scoring(facts, now=now, rules=self.rules(job)), look.until))
            except CorruptRecordError as error:  # of its trial: the jobs of others are settled
                _log.error("job.unsettled", job=identifier, trial=job.trial, reason=str(error))
                scorings.append(
                    Scoring(
                        job=identifier, seen=len(signals), what=ScoringKind.DEFER,
                        look_again_at=now + DAMAGED_SECONDS,
                    )
                )  # fmt: skip
        answers = self._signals.score(scorings)
        done = {ScoringKind.SETTLED, ScoringKind.EXCLUDED}
        pairs = zip(scorings, answers, strict=True)
        return pairs_settled + sum(item.what in done and answer is ScoreAnswer.OK for item, answer in pairs)

    def _settle_pair(self, job: Job, signals: Sequence[Signal], now: float) -> _PairLook:
        """Look at the pair of a due job, which stays due until that is settled: it may be alone."""
        found = self._signals.read_due([job.partner])
        if not found:  # it cannot be read now
            return _PairLook(until=now + DAMAGED_SECONDS)
        _, partner, facts = found[0]
        until, aged = None, None
        if partner is None:
            step = (
                lone_scoring(job, seen=len(signals), partner_seen=len(facts), now=now) if job.trial else None
            )
        else:
            both = {each.shadow: (each, its) for each, its in ((job, signals), (partner, facts))}
            rules = self.rules(both[True][0])  # a shadow never leaves its trial
            champion, canary = (half(*both[shadow], now=now, rules=rules) for shadow in (False, True))
            step = pair_scoring((champion, canary), now=now, amounts=(amounts(champion), amounts(canary)))
            late_seconds = LATE_PART * rules.settle_deadline_seconds
            times = [each.worth.until for each in (champion, canary)]
            times += [_late_from(each.job, now, late_seconds) for each in (champion, canary)]
            until = min((time for time in times if time is not None), default=None)
            late = (
                late_alone((champion, canary), now=now, late_seconds=late_seconds) if step is None else None
            )
            if late is not None and not late.job.aged:
                line = aged_line((champion, canary), index=late.job.pair or 0, now=now)
                aged = Scoring(
                    job=late.job.id, seen=len(late.signals), what=ScoringKind.AGED, trial=late.job.trial,
                    settlement=line.model_dump_json(), look_again_at=until,
                )  # fmt: skip
            if step is None and awaits_judge((champion, canary)):
                self._have_judged(champion, canary)
        if step is None:
            return _PairLook(until=until, aged=aged)
        answer = self._signals.settle_pair(step)
        if answer is not ScoreAnswer.OK:
            return _PairLook(until=now if answer is ScoreAnswer.STALE else None)
        if step.leaves_out:
            with suppress(ConflictError, NotFoundError):  # it has ended, or expired
                self._left_out(step.canary)
        return _PairLook(settled=True)

    def _have_judged(self, champion: Half, canary: Half) -> None:
        """Both halves have said what they have to say; whose work is looked at first is a coin's to say."""
        first = Arm.CANARY if self._generator.random() < _HALF else Arm.CHAMPION
        seen = len(champion.signals), len(canary.signals)
        pair, other = champion.job.id, canary.job.id
        self._judging.begin(pair, champion=pair, canary=other, first=first, seen=seen)

    def rules(self, job: Job) -> ScoreRules:
        """The rules of the job's trial; those of the settings for jobs of no trial."""
        policy = self._policy(job.trial) if job.trial else self._default
        return ScoreRules(
            policy=self._scores,
            strict=policy.strict,
            revert_window_seconds=policy.revert_window_seconds,
            settle_deadline_seconds=policy.settle_deadline_seconds,
        )

    def _policy(self, trial: str) -> TrialPolicy:
        if trial not in self._policies:
            found = self._trials.read(trial)
            self._policies[trial] = TrialPolicy.from_json(found.policy) if found else self._default
        return self._policies[trial]


def scoring(facts: JobFacts, *, now: float, rules: ScoreRules) -> Scoring:
    """What is to be written about a job, by its signals: pure. `defer` only sets the next look."""
    job = facts.job
    if job.backtest:
        worth = case_worth(job, facts.signals, now=now, rules=rules)
    elif job.shadow:  # the judge's word is all that there is of it
        worth = half(job, facts.signals, now=now, rules=rules).worth
    else:
        worth = score(
            facts.signals, created_at=job.created_at, now=now, rules=rules, waited_seconds=job.waited(now)
        )
    if job.settled_at is not None:
        return _late(facts, worth, now)
    again = max(worth.until, now + 0.001) if worth.until is not None else None
    what = ScoringKind.DEFER if worth.status is ScoreStatus.OPEN else ScoringKind(worth.status.value)
    if _ledger_of(job) and job.sequence is not None and worth.status is ScoreStatus.OPEN and not job.aged:
        late_from = _late_from(job, now, LATE_PART * rules.settle_deadline_seconds)
        again = min((time for time in (again, late_from) if time is not None), default=None)
        what = ScoringKind.AGED if late_from is None else what
    return Scoring(
        job=job.id,
        seen=len(facts.signals),
        what=what,
        score=worth.value,
        reason=worth.reason,
        trial=_ledger_of(job),
        settlement="" if what is ScoringKind.DEFER else _settlement(facts, worth, now),
        look_again_at=again,
    )


def _late_from(job: Job, now: float, late_seconds: float) -> float | None:
    """When a job becomes late, should it wait for no account until then; None: it is."""
    late_from = job.created_at + job.waited(now) + late_seconds
    return late_from if late_from > now else None


def _due_until(found: Scoring, until: float | None) -> Scoring:
    """The scoring of a job that is looked at again at that time at the latest, whatever its own worth."""
    times = [time for time in (found.look_again_at, until) if time is not None]
    return replace(found, look_again_at=min(times, default=None))


def _late(facts: JobFacts, worth: Score, now: float) -> Scoring:
    """A settled score stays. The score by later signals is stored beside it, so that the trial can see it."""
    job = facts.job
    known = job.score if job.late_score is None else job.late_score
    if job.excluded or worth.status is not ScoreStatus.SETTLED or worth.value == known:
        return Scoring(job=job.id, seen=len(facts.signals), what=ScoringKind.DEFER)
    return Scoring(
        job=job.id,
        seen=len(facts.signals),
        what=ScoringKind.LATE,
        score=worth.value,
        reason=worth.reason,
        trial=_ledger_of(job),
        settlement=_settlement(facts, worth, now),
    )


def _ledger_of(job: Job) -> str:
    """The trial whose ledger has a line a job; "" for none: a pair has one line for both of its jobs."""
    return "" if job.partner else job.trial


def _settlement(facts: JobFacts, worth: Score, now: float) -> str:
    """The line of the trial's ledger, as JSON, of an open job that it is late; "" for one in no trial."""
    job = facts.job
    if not job.trial or job.sequence is None:
        return ""
    return Settlement(
        index=job.sequence,
        kind="aged" if worth.status is ScoreStatus.OPEN else worth.status.value,
        score=worth.value,
        guardrails=spent(job) if worth.value is not None else {},
        age_seconds=max(now - job.created_at - job.waited(now), 0.0),
        waited=job.waited(now) > 0,
        reason=worth.reason,
        at=now,
    ).model_dump_json()


def amounts(each: Half) -> dict[str, float]:
    """What a half of a pair had spent when its work was handed over; at its end where there was none.

    What its program did not say is left out, as in `spent`. The same for both: what follows the champion's
    first push, for CI or a review, no shadow can meet.
    """
    noted = next((fact.spent for fact in each.signals if fact.spent is not None), None)
    found = dict(spent(each.job) if noted is None else noted)
    found.pop("waited_seconds", None)
    return found


def spent(job: Job) -> Mapping[str, float]:
    """What a job has spent in all of its turns, by guardrail: USD, tokens, seconds, fix-forward turns.

    What its program did not say is left out: unknown is not 0. The result only covers the last turn; it is
    used where the end of a turn could not be counted.
    """
    found = {
        "duration_seconds": max(job.spent_seconds, job.result.duration_seconds),
        "fix_forwards": float(job.fix_forwards),
    }
    cost, tokens = job.cost, max(job.spent_tokens, job.cost.input_tokens + job.cost.output_tokens)
    if cost.is_whole:
        found["cost_usd"] = max(job.spent_usd, job.result.cost_usd or 0.0)
    if tokens or not cost.turns:
        found["tokens"] = float(tokens)
    return found
