"""The whole of a trial's test: both questions, the guardrails, the champion's baseline and the counts.

All evidences of a trial see the same jobs in the same order; they differ in their null, and in what is
counted as a score. `advance` is the only way forward, and `replay` is `advance` from the beginning: that both
give the same bits is how a stored state is checked against its ledger.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harvest.arm_counts import ArmCounts
from harvest.baseline import Baseline
from harvest.evidence import Evidence
from harvest.health import LATE_PART, HealthCheck, TrialHealth
from harvest.ledger import Dispatched, Entry, Settlement
from harvest.policy import TrialPolicy, next_share, progress
from harvest.verdict import Decision, Readings, Verdict, decide
from harvest.wager import Null
from routing.errors import CorruptRecordError
from routing.templates.trial import Arm, Bet


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEvidence:
    """The state of a trial's test; a pure function of its policy and its ledger.

    It is frozen, and knows no clock, store or randomness: the same entries in the same order give the same
    bits on any machine. `advance` makes the next state. Dispatches come by their index, without gaps, and
    before the settlements of the same jobs; an entry that is counted already changes nothing or comes back as
    late.

    `next_share`, `baseline` and `guardrail_baselines` are for the next bet: a bet is frozen when its job is
    dispatched, so that no outcome can change what was staked on it. `decide` judges and changes nothing. Its
    time is the caller's: 0.0 days leave the trial's time limit out.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    v: Literal[1]  # form of this state
    policy: TrialPolicy
    worse: Evidence  # against H_R: that the canary is worse
    not_worse: Evidence  # against H_G: that it is not worse by delta
    guardrails: Mapping[str, Evidence] = field(default_factory=dict)  # that it spends more, by name
    baseline: Baseline = field(default_factory=Baseline)
    champion: ArmCounts = field(default_factory=ArmCounts)
    canary: ArmCounts = field(default_factory=ArmCounts)
    strata: Mapping[int, str] = field(default_factory=dict)  # of the champion's open jobs, by index
    health: TrialHealth = field(default_factory=TrialHealth)

    @classmethod
    def begin(cls, policy: TrialPolicy) -> "TrialEvidence":
        """The state before the first job."""
        return cls(
            v=1,
            policy=policy,
            worse=Evidence.against(Null.not_worse(margin=policy.margin, delta=policy.delta)),
            not_worse=Evidence.against(Null.worse_by(delta=policy.delta)),
            guardrails={
                guardrail.name: Evidence.against(Null.not_worse(margin=guardrail.margin, delta=policy.delta))
                for guardrail in policy.guardrails
            },
        )

    @property
    def dispatched(self) -> int:
        """How many jobs were dispatched; the index of the next one."""
        return self.worse.dispatched

    @property
    def provisional_canary_jobs(self) -> int:
        """Open canary jobs that count with a provisional score."""
        return sum(job.arm is Arm.CANARY and job.score is not None for job in self.worse.open_jobs)

    @property
    def next_share(self) -> float:
        """The share to compare the next draw to."""
        return next_share(
            self.policy,
            towards_graduation=progress(self.not_worse.ln_value, self.policy.beta),
            towards_rollback=progress(self.worse.ln_value, self.policy.alpha),
        )

    def bet(self, arm: Arm, *, share: float, stratum: str = "") -> Bet:
        """The bet to freeze for a job that is dispatched now."""
        stratum = stratum if self.policy.strata != "none" else ""
        return Bet(
            arm=arm,
            share=share,
            baseline=self.baseline.of(self.policy, stratum),
            stratum=stratum,
            guardrail_baselines=self.guardrail_baselines,
        )

    @property
    def guardrail_baselines(self) -> dict[str, float]:
        """The champion's mean per guardrail, mapped to [0,1], to freeze in the next bet."""
        return {name: self.baseline.of_guardrail(self.policy, name) for name in self.guardrails}

    def decide(self, *, elapsed_days: float, released: Collection[HealthCheck] = ()) -> Decision:
        """The verdict now, the trial having been open for so many days.

        `released` are the checks of its health that a person has let go: they no longer hold a verdict.
        """
        alarms = self.health.alarms(released=released)
        readings = Readings(
            ln_worse=self.worse.ln_value,
            ln_not_worse=self.not_worse.ln_value,
            ln_guardrails={name: evidence.ln_value for name, evidence in self.guardrails.items()},
            canary_jobs=self.canary.settled + self.provisional_canary_jobs,
            elapsed_days=elapsed_days,
            alarms=tuple(alarm.sentence for alarm in alarms if alarm.check.holds_rollback),
            doubts=tuple(alarm.sentence for alarm in alarms if not alarm.check.holds_rollback),
        )
        return decide(self.policy, readings)

    def to_json(self) -> str:
        """The state as text; floats by repr, so that reading it gives the very same state."""
        return json.dumps(_FORM.dump_python(self, mode="json"), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "TrialEvidence":
        """Read what `to_json` wrote, or raise CorruptRecordError."""
        try:
            state = _FORM.validate_python(json.loads(text))
        except (ValidationError, ValueError) as error:
            raise CorruptRecordError(
                f"the stored evidence of a trial cannot be read ({str(error)[:300]}); "
                "recompute it from the trial's ledger"
            ) from error
        return _consistent(state)


_FORM = TypeAdapter(TrialEvidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """A new state, and the settlements that came too late to count: their jobs were closed before."""

    state: TrialEvidence
    late: tuple[Settlement, ...]


def advance(
    state: TrialEvidence, dispatches: Iterable[Dispatched], settlements: Iterable[Settlement]
) -> Advance:
    """Count what is new. Dispatches that are counted already change nothing, so a crash may repeat them.

    CorruptRecordError when a dispatch is missing, or a job is settled that was not dispatched.
    """
    for dispatched in dispatches:
        state = _dispatch(state, dispatched)
    late = []
    for settlement in settlements:
        if settlement.index >= state.dispatched:
            raise CorruptRecordError(
                f"the ledger settles job {settlement.index} of a trial that dispatched {state.dispatched}; "
                "read the dispatches before the settlements"
            )
        if state.worse.is_open(settlement.index):
            state = _settle(state, settlement)
        else:
            late.append(settlement)
    return Advance(state=state, late=tuple(late))


def replay(policy: TrialPolicy, ledger: Iterable[Entry]) -> Advance:
    """The state from the beginning: bit by bit the one that was advanced step by step."""
    entries = list(ledger)
    return advance(
        TrialEvidence.begin(policy),
        [entry for entry in entries if isinstance(entry, Dispatched)],
        [entry for entry in entries if isinstance(entry, Settlement)],
    )


def still_supported(verdict: Verdict, policy: TrialPolicy, ledger: Iterable[Entry]) -> bool:
    """Whether a verdict would still be reached if late settlements, the last of each job, had counted."""
    if verdict not in {Verdict.GRADUATE, Verdict.ROLL_BACK}:
        return True
    dispatches: list[Entry] = []
    latest: dict[int, Settlement] = {}
    for entry in ledger:
        if isinstance(entry, Dispatched):
            dispatches.append(entry)
        elif entry.final or entry.index not in latest or not latest[entry.index].final:
            latest[entry.index] = entry
    final = replay(policy, [*dispatches, *latest.values()]).state
    return final.decide(elapsed_days=0.0, released=tuple(HealthCheck)).verdict is verdict


def _dispatch(state: TrialEvidence, dispatched: Dispatched) -> TrialEvidence:
    """Append a job to every evidence. A guardrail that the bet lacks starts from the prior."""
    if dispatched.index < state.dispatched:
        return state
    if dispatched.index > state.dispatched:
        raise CorruptRecordError(
            f"the ledger goes on with job {dispatched.index} where job {state.dispatched} was due; "
            "restore the missing dispatches before the trial is advanced"
        )
    bet = dispatched.bet
    strata = dict(state.strata)
    if bet.arm is Arm.CHAMPION and bet.stratum:
        strata[dispatched.index] = bet.stratum
    guardrails = {}
    for name, evidence in state.guardrails.items():
        baseline = bet.guardrail_baselines.get(name, state.policy.prior_mean)
        guardrails[name] = evidence.dispatch(replace(bet, baseline=baseline))
    return replace(
        _counted(state, bet.arm, ArmCounts.add_dispatched),
        worse=state.worse.dispatch(bet),
        not_worse=state.not_worse.dispatch(bet),
        guardrails=guardrails,
        strata=strata,
        health=state.health.add(HealthCheck.DRAWS, bet.arm, bet.share),
    )


def _settle(state: TrialEvidence, settlement: Settlement) -> TrialEvidence:
    """Count the settlement of an open job."""
    if settlement.score is None:
        return _exclude(state, settlement)
    if settlement.final:
        return _settle_for_good(state, settlement, settlement.score)
    if state.policy.strict:
        return state
    amounts = _mapped(state.policy, settlement)
    return replace(
        state,
        worse=state.worse.provisional(settlement.index, settlement.score),
        not_worse=state.not_worse.provisional(settlement.index, settlement.score),
        guardrails={
            name: evidence.provisional(settlement.index, amounts[name]) if name in amounts else evidence
            for name, evidence in state.guardrails.items()
        },
    )


def _settle_for_good(state: TrialEvidence, settlement: Settlement, score: float) -> TrialEvidence:
    """Close a job with its score. Only the champion's scores move the baseline."""
    index, amounts = settlement.index, _mapped(state.policy, settlement)
    arm = state.worse.job(index).arm
    baseline = state.baseline
    if arm is Arm.CHAMPION:
        baseline = baseline.add(score=score, stratum=state.strata.get(index, ""), guardrails=amounts)
    return replace(
        _counted(state, arm, lambda counts: counts.add_settled(score)),
        worse=state.worse.settle(index, score),
        not_worse=state.not_worse.settle(index, score),
        # An amount that is not known says nothing about either arm: that guardrail leaves the job out.
        guardrails={
            name: evidence.settle(index, amounts[name]) if name in amounts else evidence.exclude(index)
            for name, evidence in state.guardrails.items()
        },
        baseline=baseline,
        strata=_without(state.strata, index),
        health=_watched(state, settlement),
    )


def _exclude(state: TrialEvidence, settlement: Settlement) -> TrialEvidence:
    """Close a job without a score, in every evidence: it says nothing about either arm."""
    index = settlement.index
    count = ArmCounts.add_rerouted if settlement.kind == "rerouted" else ArmCounts.add_excluded
    return replace(
        _counted(state, state.worse.job(index).arm, count),
        worse=state.worse.exclude(index),
        not_worse=state.not_worse.exclude(index),
        guardrails={name: evidence.exclude(index) for name, evidence in state.guardrails.items()},
        strata=_without(state.strata, index),
        health=_watched(state, settlement),
    )


def _watched(state: TrialEvidence, settlement: Settlement) -> TrialHealth:
    """What the end of an open job says about the trial's health. A rerouted job has left the trial."""
    if settlement.kind == "rerouted":
        return state.health
    job, age = state.worse.job(settlement.index), settlement.age_seconds
    events = {
        HealthCheck.EXCLUSIONS: settlement.kind == "excluded",
        HealthCheck.LIMITS: settlement.waited,
        HealthCheck.AGES: age is not None and age >= LATE_PART * state.policy.settle_deadline_seconds,
    }
    health = state.health
    for check in (check for check, happened in events.items() if happened):
        health = health.add(check, job.arm, job.share)
    return health


def _counted(state: TrialEvidence, arm: Arm, count: Callable[[ArmCounts], ArmCounts]) -> TrialEvidence:
    if arm is Arm.CANARY:
        return replace(state, canary=count(state.canary))
    return replace(state, champion=count(state.champion))


def _mapped(policy: TrialPolicy, settlement: Settlement) -> dict[str, float]:
    """The amounts that the policy's guardrails watch, mapped to [0,1]; unknown amounts are left out."""
    return {
        guardrail.name: guardrail.score(settlement.guardrails[guardrail.name])
        for guardrail in policy.guardrails
        if guardrail.name in settlement.guardrails
    }


def _without(strata: Mapping[int, str], index: int) -> dict[int, str]:
    return {other: stratum for other, stratum in strata.items() if other != index}


def _consistent(state: TrialEvidence) -> TrialEvidence:
    """Return the state, or raise CorruptRecordError when its parts contradict each other."""
    parts = [state.worse, state.not_worse, *state.guardrails.values()]
    places = [[job.index for job in part.checked().open] for part in parts]
    agree = (
        all(part.dispatched == state.dispatched for part in parts)
        and all(place == places[0] for place in places)
        and state.canary.dispatched + state.champion.dispatched == state.dispatched
        and state.canary.open + state.champion.open == len(places[0])
        and list(state.guardrails) == [guardrail.name for guardrail in state.policy.guardrails]
    )
    if not agree:
        raise CorruptRecordError(
            f"the stored evidence of a trial with {state.dispatched} jobs contradicts itself; "
            "recompute it from the trial's ledger"
        )
    return state
