"""What has become by now of a case that was given to both versions: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harvest.backtests.case_pair import CasePair, CaseResult, HalfResult, settled
from harvest.pairs.pair_ledger import PairSettlement
from harvest.settling.case_settling import case_half
from harvest.settling.pair_settling import AWAITS_JUDGE, Half, aged_line, late_alone
from harvest.settling.score import ScoreRules, ScoreStatus
from harvest.settling.settling import spent
from routing.jobs.job import Job
from routing.jobs.signal import Signal, SignalKind
from routing.templates.trial import LATE_PART

#: A job with its facts, by its id; None for the job: its record has expired.
Found = Mapping[str, tuple[Job | None, Sequence[Signal]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One version's side of a pair."""

    result: HalfResult | None = None  # None: it may still change
    overdue: bool = False  # whether its judge was ended at the time limit
    awaits: bool = False  # whether its work waits for the judge, and nothing else is missing
    seen: int = 0  # signals of its job that this was decided from
    half: Half | None = None  # its job with its facts, once a worker has taken it

    @property
    def is_left_out(self) -> bool:
        """Whether it ended by what is not its version's doing."""
        return self.result is not None and self.result.score is None


@dataclass(frozen=True, kw_only=True, slots=True)
class PairLook:
    """A pair as it is now."""

    line: PairSettlement | None  # what became of it; None while one side goes on
    awaits_judge: bool  # whether the judge's word is all that is missing
    seen: tuple[int, int]  # signals of champion and canary that this was decided from
    aged: PairSettlement | None = None  # says that one side alone is late, while the pair is open


def look_at(pair: CasePair, found: Found, *, now: float, rules: ScoreRules) -> PairLook:
    """What became of a pair. One that says nothing is left out when both have ended, and not judged."""
    canary = _side(found.get(pair.dispatched.canary_job), now, rules)
    champion = _kept(pair.kept)
    if champion is None:
        champion = _side(found.get(pair.dispatched.champion_job), now, rules)
    sides = (champion, canary)
    seen = (champion.seen if pair.kept is None else canary.seen, canary.seen)
    have_ended = all(side.result is not None or side.awaits for side in sides)
    awaits = have_ended and any(side.awaits for side in sides)
    if not have_ended or (awaits and not any(side.is_left_out for side in sides)):
        return PairLook(line=None, awaits_judge=awaits, seen=seen, aged=_aged(pair, sides, now, rules))
    results = [side.result or HalfResult(score=None, reason="") for side in sides]
    if all(side.overdue for side in sides):
        results = [replace(each, score=None, reason="the judge took too long on both") for each in results]
    line = settled(pair, results[0], results[1], at=now)
    return PairLook(line=line, awaits_judge=False, seen=seen)


def _aged(pair: CasePair, sides: tuple[Side, Side], now: float, rules: ScoreRules) -> PairSettlement | None:
    """Says that one side alone is late; None where that is not certain, or nothing is to be compared."""
    halves = (sides[0].half, sides[1].half)
    if halves[0] is None or halves[1] is None:
        return None
    late_seconds = LATE_PART * rules.settle_deadline_seconds
    if late_alone((halves[0], halves[1]), now=now, late_seconds=late_seconds) is None:
        return None
    return aged_line((halves[0], halves[1]), index=pair.index, now=now)


def spent_of(job: Job) -> dict[str, float]:
    """What a job has spent, by guardrail, as in a trial; a past issue has no CI that sends work back."""
    return {name: amount for name, amount in spent(job).items() if name != "fix_forwards"}


def _kept(result: CaseResult | None) -> Side | None:
    if result is None:
        return None
    words = f"kept from job {result.job}"
    return Side(result=HalfResult(score=result.score, reason=words, spent=result.spent))


def _side(found: tuple[Job | None, Sequence[Signal]] | None, now: float, rules: ScoreRules) -> Side:
    if found is None:  # it cannot be read now
        return Side()
    job, facts = found
    if job is None:
        return Side(result=HalfResult(score=None, reason="the record of its job has expired"))
    half = case_half(job, facts, now=now, rules=rules)
    worth = half.worth
    if worth.status is ScoreStatus.OPEN:
        begun = half if job.begun_at is not None else None
        return Side(awaits=worth.reason == AWAITS_JUDGE, seen=len(facts), half=begun)
    score = None if job.fell_back else worth.value
    reason = "used a fallback's model" if job.fell_back else worth.reason
    overdue = any(fact.kind is SignalKind.JUDGED and fact.overdue for fact in facts)
    result = HalfResult(
        score=score, reason=reason, spent=spent_of(job), age_seconds=half.age(now),
        waited=half.waited(now) > 0, is_cause=score is None and (job.fell_back or half.is_cause),
    )  # fmt: skip
    return Side(result=result, overdue=overdue, seen=len(facts), half=half)
