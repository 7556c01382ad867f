"""The test of a trial, whatever its unit is: one protocol, and the bookkeeping that all tests share.

A test asks both questions and watches its guardrails on units that are dispatched and settled: jobs that were
drawn (`draws`), or pairs of jobs (`pairs`). All evidences of a trial see the same units in the same order;
they differ in their null, and in what is counted as a score. `advance` is the only way forward, and `replay`
is `advance` from the beginning: that both give the same bits is how a stored state is checked against its
ledger.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from harvest.evidence.arm_counts import ArmCounts
from harvest.evidence.evidence import Evidence, Unit
from harvest.evidence.health import HealthCheck, TrialHealth
from harvest.evidence.ledger_line import AGED_KIND, DispatchLine, SettlementLine
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.verdict import Decision, Readings, Verdict, decide
from harvest.evidence.wager import Null
from routing.cost import NO_COST, Cost
from routing.errors import CorruptRecordError
from routing.templates.trial import TrialHold

Dispatch = TypeVar("Dispatch", bound=DispatchLine)
Settled = TypeVar("Settled", bound=SettlementLine)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a settlement says to the evidences."""

    score: float | None  # None: it says nothing about either version
    guardrails: Mapping[str, float] = field(default_factory=dict)  # mapped amounts that are known, by name


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTest(ABC, Generic[Unit, Dispatch, Settled]):
    """The state of a trial's test; a pure function of its policy and its ledger.

    It is frozen, and knows no clock, store or randomness: the same lines in the same order give the same bits
    on any machine. Dispatches come by their index, without gaps, and before the settlements of the same
    units; a line that is counted already changes nothing or comes back as late.

    Each test says what is staked on a unit (`units`), what its settlement comes to (`outcome`), what it
    counts beside (`_counting_…`), and what the next bet freezes (`next_bet`).

    A bet is frozen when its unit is dispatched, so that no outcome can change what was staked on it.
    """

    #: The forms of both kinds of lines of its ledger, which pydantic reads.
    dispatch_line: ClassVar[type[Any]]
    settlement_line: ClassVar[type[Any]]
    #: What people call its unit.
    unit_name: ClassVar[str] = "job"

    v: Literal[1]  # form of this state
    policy: TrialPolicy
    worse: Evidence[Unit]  # against H_R: that the canary is worse
    not_worse: Evidence[Unit]  # against H_G: that it is not worse by delta
    guardrails: Mapping[str, Evidence[Unit]] = field(default_factory=dict)  # that it spends more, by name
    health: TrialHealth = field(default_factory=TrialHealth)

    @classmethod
    def begin(cls, policy: TrialPolicy) -> Self:
        """The state before the first unit."""
        return cls(
            v=1,
            policy=policy,
            worse=Evidence.against(cls.not_worse_null(policy, margin=policy.margin)),
            not_worse=Evidence.against(cls.worse_null(policy, gap=-policy.delta)),
            guardrails={
                guardrail.name: Evidence.against(cls.not_worse_null(policy, margin=guardrail.margin))
                for guardrail in policy.guardrails
            },
        )

    @classmethod
    @abstractmethod
    def not_worse_null(cls, policy: TrialPolicy, *, margin: float) -> Null:
        """H_R for a margin, with the alternatives that this test bets on under a policy."""

    @classmethod
    @abstractmethod
    def worse_null(cls, policy: TrialPolicy, *, gap: float) -> Null:
        """H_G with its edge at `gap`, which is -delta for the question that graduates."""

    @classmethod
    @abstractmethod
    def units(cls, policy: TrialPolicy, line: Dispatch) -> tuple[Unit, Mapping[str, Unit]]:
        """What a dispatched unit stakes on both questions, and on each guardrail by its name."""

    @classmethod
    @abstractmethod
    def outcome(cls, policy: TrialPolicy, line: Settled) -> Outcome:
        """What a settlement comes to."""

    @classmethod
    @abstractmethod
    def mean_difference(cls, scored: Sequence[tuple[Unit, float]]) -> tuple[float | None, int]:
        """The canary's mean score less the champion's, of units with their scores; None for too few.

        With it the number of units that it rests on.
        """

    @abstractmethod
    def _counting_dispatch(self, line: Dispatch) -> Self:
        """This state with the unit among its counts."""

    @abstractmethod
    def _counting_settlement(self, line: Settled, outcome: Outcome) -> Self:
        """This state with the end of an open unit among its counts."""

    @abstractmethod
    def _aged(self, line: Settled) -> TrialHealth:
        """Its health with an open unit counted as late, if by its age it is."""

    @property
    @abstractmethod
    def champion(self) -> ArmCounts:
        """How many of the champion's jobs are in which state."""

    @property
    @abstractmethod
    def canary(self) -> ArmCounts:
        """The same for the canary."""

    @property
    @abstractmethod
    def next_share(self) -> float:
        """The share to compare the next draw to."""

    @property
    @abstractmethod
    def next_bet(self) -> dict[str, str]:
        """What the next bet freezes, as fields of the trial that the mailbox reads."""

    @property
    def dispatched(self) -> int:
        """How many units were dispatched; the index of the next one."""
        return self.worse.dispatched

    @property
    def canary_jobs(self) -> int:
        """Canary jobs that count, for the limit of the trial."""
        return self.canary.settled

    @property
    def lacks_health(self) -> bool:
        """Whether it was stored before there was trial health, and has to be computed anew to have it."""
        return False

    @property
    def _is_whole(self) -> bool:
        """Whether the counts agree with the evidences."""
        return self.canary.open + self.champion.open >= len(self.worse.open)

    def decide(
        self, *, elapsed_days: float, spent: Cost = NO_COST, released: Collection[HealthCheck] = (),
        hold: TrialHold | None = None,
    ) -> Decision:  # fmt: skip
        """The verdict now, after so many days, and what its jobs have cost; 0.0 leaves that limit out.

        `released` are the checks of its health that a person has let go: they no longer hold a verdict. A
        person's `hold` does, as a check does that has fired.
        """
        alarms = self.health.alarms(released=released)
        readings = Readings(
            ln_worse=self.worse.ln_value,
            ln_not_worse=self.not_worse.ln_value,
            ln_guardrails={name: evidence.ln_value for name, evidence in self.guardrails.items()},
            canary_jobs=self.canary_jobs,
            elapsed_days=elapsed_days,
            spent_usd=spent.usd,
            turns=spent.turns,
            unpriced_turns=spent.unknown,
            alarms=(
                *((hold.sentence,) if hold else ()),
                *(alarm.sentence for alarm in alarms if alarm.check.holds_rollback),
            ),
            doubts=tuple(alarm.sentence for alarm in alarms if not alarm.check.holds_rollback),
        )
        return decide(self.policy, readings)

    def dispatch(self, line: Dispatch) -> Self:
        """Append a unit to every evidence; one that is counted already changes nothing.

        CorruptRecordError when one before it is missing.
        """
        if line.index < self.dispatched:
            return self
        if line.index > self.dispatched:
            raise CorruptRecordError(
                f"the ledger goes on with {self.unit_name} {line.index} where {self.unit_name} "
                f"{self.dispatched} was due; restore the missing dispatches before the trial is advanced"
            )
        unit, guarded = self.units(self.policy, line)
        return replace(
            self._counting_dispatch(line),
            worse=self.worse.dispatch(unit),
            not_worse=self.not_worse.dispatch(unit),
            guardrails={name: each.dispatch(guarded[name]) for name, each in self.guardrails.items()},
        )

    def settle(self, line: Settled) -> Self:
        """Count the settlement of an open unit. Strict policies do nothing about provisional ones.

        That a unit is late says something to the trial's health alone.
        """
        if line.kind == AGED_KIND:
            return replace(self, health=self._aged(line))
        outcome = self.outcome(self.policy, line)
        if not line.final:
            return self if self.policy.strict else self._provisional(line.index, outcome)
        index, score, amounts = line.index, outcome.score, outcome.guardrails
        counted = self._counting_settlement(line, outcome)
        if score is None:  # it says nothing about either version
            return replace(
                counted,
                worse=self.worse.exclude(index),
                not_worse=self.not_worse.exclude(index),
                guardrails={name: each.exclude(index) for name, each in self.guardrails.items()},
            )
        return replace(
            counted,
            worse=self.worse.settle(index, score),
            not_worse=self.not_worse.settle(index, score),
            # An amount that is not known says nothing about either version: that guardrail leaves it out.
            guardrails={
                name: each.settle(index, amounts[name]) if name in amounts else each.exclude(index)
                for name, each in self.guardrails.items()
            },
        )

    def _provisional(self, index: int, outcome: Outcome) -> Self:
        """Count an open unit at a score that can still change."""
        score, amounts = outcome.score or 0.0, outcome.guardrails
        return replace(
            self,
            worse=self.worse.provisional(index, score),
            not_worse=self.not_worse.provisional(index, score),
            guardrails={
                name: each.provisional(index, amounts[name]) if name in amounts else each
                for name, each in self.guardrails.items()
            },
        )

    def to_json(self) -> str:
        """The state as text; floats by repr, so that reading it gives the very same state."""
        return json.dumps(_form(type(self)).dump_python(self, mode="json"), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, or raise CorruptRecordError."""
        try:
            state: Self = _form(cls).validate_python(json.loads(text))
        except (ValidationError, ValueError) as error:
            raise CorruptRecordError(
                f"the stored evidence of a trial cannot be read ({str(error)[:300]}); "
                "recompute it from the trial's ledger"
            ) from error
        return state._consistent()

    def _consistent(self) -> Self:
        """Return self, or raise CorruptRecordError when its parts contradict each other."""
        parts = [self.worse, self.not_worse, *self.guardrails.values()]
        places = [[unit.index for unit in part.checked().open] for part in parts]
        agree = (
            all(part.dispatched == self.dispatched for part in parts)
            and all(place == places[0] for place in places)
            and list(self.guardrails) == [guardrail.name for guardrail in self.policy.guardrails]
            and self._is_whole
        )
        if not agree:
            raise CorruptRecordError(
                f"the stored evidence of a trial with {self.dispatched} {self.unit_name}s contradicts "
                "itself; recompute it from the trial's ledger"
            )
        return self


@cache
def _form(test: type[TrialTest[Any, Any, Any]]) -> TypeAdapter[Any]:
    """How a kind of test is stored."""
    return TypeAdapter(test)


#: A test of any kind: all that the harvester knows of one.
AnyTest = TrialTest[Any, Any, Any]
Test = TypeVar("Test", bound=AnyTest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance(Generic[Test]):
    """A new state, and the settlements that came too late to count: their units were closed before."""

    state: Test
    late: tuple[SettlementLine, ...]


def advance(
    state: Test, dispatches: Iterable[DispatchLine], settlements: Iterable[SettlementLine]
) -> Advance[Test]:
    """Count what is new. Dispatches that are counted already change nothing, so a crash may repeat them.

    CorruptRecordError when a dispatch is missing, or a unit is settled that was not dispatched.
    """
    for dispatched in dispatches:
        state = state.dispatch(dispatched)
    late = []
    for settlement in settlements:
        if settlement.index >= state.dispatched:
            raise CorruptRecordError(
                f"the ledger settles {state.unit_name} {settlement.index} of a trial that dispatched "
                f"{state.dispatched}; read the dispatches before the settlements"
            )
        if state.worse.is_open(settlement.index):
            state = state.settle(settlement)
        elif settlement.kind != AGED_KIND:
            late.append(settlement)
    return Advance(state=state, late=tuple(late))


def replay(test: type[Test], policy: TrialPolicy, ledger: Iterable[object]) -> Advance[Test]:
    """The state from the beginning: bit by bit the one that was advanced step by step."""
    dispatches, settlements = parted(test, ledger)
    return advance(test.begin(policy), dispatches, settlements)


def parted(test: type[AnyTest], ledger: Iterable[object]) -> tuple[list[DispatchLine], list[SettlementLine]]:
    """The lines of a ledger by their kind, each in their order."""
    lines = list(ledger)
    dispatches: list[DispatchLine] = [line for line in lines if isinstance(line, test.dispatch_line)]
    settlements: list[SettlementLine] = [line for line in lines if isinstance(line, test.settlement_line)]
    return dispatches, settlements


def still_supported(
    verdict: Verdict, test: type[AnyTest], policy: TrialPolicy, ledger: Iterable[object]
) -> bool:
    """Whether a verdict would still be reached if late settlements, the last of each unit, had counted."""
    if verdict not in {Verdict.GRADUATE, Verdict.ROLL_BACK}:
        return True
    latest: dict[int, SettlementLine] = {}
    dispatches, settlements = parted(test, ledger)
    for line in settlements:
        if line.kind != AGED_KIND and (
            line.final or line.index not in latest or not latest[line.index].final
        ):
            latest[line.index] = line
    state = advance(test.begin(policy), dispatches, latest.values()).state
    return state.decide(elapsed_days=0.0, released=tuple(HealthCheck)).verdict is verdict
