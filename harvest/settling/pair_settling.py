"""Settling pairs: from the facts about both jobs to one line of the ledger, once.

Both halves are scored by the same rule, and by nothing that only the delivered one can meet: the judge's
score of the first work that they handed over. So what becomes of the champion's work outside says nothing
here. Whatever is not the agents' doing, on either side, leaves the pair out: that never hits one version
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harvest.pairs.pair_ledger import PairSettlement
from harvest.settling.score import EXCLUSIONS, FAILURES, Score, ScoreRules, ScoreStatus
from routing.jobs.job import Job
from routing.jobs.signal import Signal, SignalKind
from routing.store.signals.signal_store import PairScoring
from routing.templates.trial import Arm

#: What says nothing about a pair: where work ends well without a commit, a judge has nothing to look at.
_SAYS_NOTHING = frozenset({SignalKind.FINISHED})

#: Why a half with handed work has no score yet.
AWAITS_JUDGE = "its work waits for its judge"

#: Seconds for which handed work waits for its judge, after the pair's deadline at the most; then nobody will.
JUDGE_SECONDS = 86_400.0


#: What says that a job had work for its judge while it was its version's.
_WORK = frozenset({SignalKind.HANDED_OVER, SignalKind.JUDGED})

#: The arms of a pair's halves, in their order.
_ARMS = (Arm.CHAMPION, Arm.CANARY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """One job of a pair with its signals, in the order of time, and what it is worth."""

    job: Job
    signals: Sequence[Signal]
    worth: Score
    excluding: Signal | None = None  # the fact that leaves it out, if there is one

    @property
    def ended_at(self) -> float | None:
        """When it had work or had ended, as far as its age goes; None: it is at work."""
        kinds = _WORK | FAILURES | EXCLUSIONS
        return next((fact.at for fact in self.signals if fact.kind in kinds), None)

    def age(self, now: float) -> float:
        """Seconds from its dispatch until it had work or had ended, less what it waited for accounts."""
        ended = now if self.ended_at is None else self.ended_at
        return max(ended - self.job.created_at - self.waited(ended), 0.0)

    @property
    def is_cause(self) -> bool:
        """Whether a fact of its own leaves it out. Not a cancel: that is a person's."""
        fact = self.excluding
        return fact is not None and fact.is_cause and fact.kind is not SignalKind.CANCELLED

    def waited(self, now: float) -> float:
        """Seconds for which it waited for accounts, until it had work: what follows no shadow can meet."""
        noted = next((fact.spent for fact in self.signals if fact.spent is not None), None)
        return self.job.waited(now) if noted is None else noted.get("waited_seconds", 0.0)


def half(job: Job, signals: Sequence[Signal], *, now: float, rules: ScoreRules) -> Half:
    """What a job is worth in its pair; pure. The first fact that says anything decides."""
    if job.rerouted_from is not None and not any(fact.kind in _WORK for fact in signals):
        why = f"job {job.id} went to another version"
        return Half(job=job, signals=signals, worth=Score(status=ScoreStatus.EXCLUDED, reason=why))
    deadline = job.created_at + job.waited(now) + rules.settle_deadline_seconds
    worth, excluding = _worth(signals, now, deadline)
    return Half(job=job, signals=signals, worth=worth, excluding=excluding)


def _worth(signals: Sequence[Signal], now: float, deadline: float) -> tuple[Score, Signal | None]:
    """What the facts come to, and the one that leaves it out."""
    for fact in signals:  # FELL_BACK, too, says nothing after the work: only a champion has such turns
        if fact.kind in _WORK:
            return _judged(signals, now, max(deadline, fact.at) + JUDGE_SECONDS)
        if fact.kind in EXCLUSIONS or fact.kind in _SAYS_NOTHING:
            return _excluded(fact)
        if fact.kind in FAILURES:
            return Score(status=ScoreStatus.SETTLED, value=0.0, reason=_words(fact)), None
    if now >= deadline:
        late = "nothing was judged by its deadline"
        return Score(status=ScoreStatus.SETTLED, value=0.0, reason=late), None
    return Score(status=ScoreStatus.OPEN, until=deadline), None


def _judged(signals: Sequence[Signal], now: float, deadline: float) -> tuple[Score, Signal | None]:
    """Of work that was handed over the judge's word counts, whatever became of the job since."""
    kinds = {SignalKind.JUDGED, SignalKind.NOT_JUDGED}
    word = next((fact for fact in signals if fact.kind in kinds), None)
    if word is not None and word.kind is SignalKind.JUDGED:
        return Score(status=ScoreStatus.SETTLED, value=word.value, reason=f"judged: {word.note}"), None
    if word is not None:
        return _excluded(word)
    if now >= deadline:  # nobody's doing
        return Score(status=ScoreStatus.EXCLUDED, reason="no judge has looked at it in time"), None
    return Score(status=ScoreStatus.OPEN, reason=AWAITS_JUDGE, until=deadline), None


def awaits_judge(halves: tuple[Half, Half]) -> bool:
    """Whether all that is missing of a pair is the judge's word: neither job has anything more to say."""
    waiting = [each.worth.reason == AWAITS_JUDGE for each in halves]
    said = [each.worth.status is ScoreStatus.SETTLED for each in halves]
    return any(waiting) and all(one or other for one, other in zip(waiting, said, strict=True))


def pair_scoring(
    halves: tuple[Half, Half], *, now: float, amounts: tuple[dict[str, float], dict[str, float]]
) -> PairScoring | None:
    """What is to be written about a pair, its champion's half first; None while nothing can be said."""
    champion, canary = halves
    left_out = next((each for each in halves if each.worth.status is ScoreStatus.EXCLUDED), None)
    is_open = any(each.worth.status is ScoreStatus.OPEN for each in halves)
    if left_out is None and is_open:
        return None
    reason = f"champion {champion.worth.reason}; canary {canary.worth.reason}"
    if left_out is not None:
        reason = f"left out: {left_out.worth.reason}"
    elif all(_is_overdue(each) for each in halves):
        left_out, reason = champion, "left out: the judge took too long on both"
    is_settled = left_out is None
    line = PairSettlement(
        index=champion.job.pair or 0,
        kind="settled" if is_settled else "excluded",
        champion=champion.worth.value if is_settled else None,
        canary=canary.worth.value if is_settled else None,
        champion_spent=amounts[0] if is_settled else {},
        canary_spent=amounts[1] if is_settled else {},
        champion_age_seconds=champion.age(now),
        canary_age_seconds=canary.age(now),
        waited=tuple(arm for each, arm in zip(halves, _ARMS, strict=True) if each.waited(now) > 0),
        judged_first=_first(halves),
        excluded_by=None if is_settled else _excluded_by(halves),
        reason=reason[:500],
        at=now,
    )
    return _written(
        line, champion=champion.job.id, canary=canary.job.id, trial=canary.job.trial,
        champion_seen=len(champion.signals), canary_seen=len(canary.signals),
    )  # fmt: skip


def late_alone(halves: tuple[Half, Half], *, now: float, late_seconds: float) -> Half | None:
    """The half that alone is late, as soon as that is certain: the other one was in time, and has ended."""
    late = [each for each in halves if each.age(now) >= late_seconds]
    others = [each for each in halves if each not in late]
    return late[0] if len(late) == 1 and others[0].ended_at is not None else None


def aged_line(halves: tuple[Half, Half], *, index: int, now: float) -> PairSettlement:
    """What the ledger says of a pair that is open, and of which one half alone is late."""
    champion, canary = halves
    return PairSettlement(
        index=index, kind="aged", champion_age_seconds=champion.age(now),
        canary_age_seconds=canary.age(now), reason="one half alone is late", at=now,
    )  # fmt: skip


def lone_scoring(job: Job, *, seen: int, partner_seen: int, now: float) -> PairScoring:
    """What is to be written about a pair whose other record has expired: it is left out."""
    reason = f"left out: the record of job {job.partner} has expired"
    line = PairSettlement(index=job.pair or 0, kind="excluded", reason=reason, at=now)
    champion, canary = (job.partner, job.id) if job.shadow else (job.id, job.partner)
    seen_of = {job.id: seen, job.partner: partner_seen}
    return _written(
        line, champion=champion, canary=canary, trial=job.trial,
        champion_seen=seen_of[champion], canary_seen=seen_of[canary],
    )  # fmt: skip


def _written(
    line: PairSettlement, *, champion: str, canary: str, trial: str, champion_seen: int, canary_seen: int
) -> PairScoring:
    return PairScoring(
        champion=champion, canary=canary, trial=trial, champion_seen=champion_seen, canary_seen=canary_seen,
        settlement=line.model_dump_json(), leaves_out=line.kind == "excluded",
        data={
            "trial": trial, "pair": line.index, "kind": line.kind, "champion": line.champion,
            "canary": line.canary, "reason": line.reason,
        },
    )  # fmt: skip


def _first(halves: tuple[Half, Half]) -> Arm | None:
    """Whose work was judged first; None where nothing was, or before that was drawn."""
    for each, arm in zip(halves, _ARMS, strict=True):
        if any(fact.id == "judgement" and fact.round == 1 for fact in each.signals):
            return arm
    return None


def _is_overdue(each: Half) -> bool:
    return any(fact.kind is SignalKind.JUDGED and fact.overdue for fact in each.signals)


def _excluded(fact: Signal) -> tuple[Score, Signal]:
    return Score(status=ScoreStatus.EXCLUDED, reason=_words(fact)), fact


def _excluded_by(halves: tuple[Half, Half]) -> Arm | None:
    """The half alone that leaves its pair out. A cancel names none: people see the champion's job alone."""
    causes = [arm for each, arm in zip(halves, _ARMS, strict=True) if each.is_cause]
    return causes[0] if len(causes) == 1 else None


def _words(fact: Signal) -> str:
    words = fact.kind.value.replace("_", " ")
    return f"{words} ({fact.note})" if fact.note else words
