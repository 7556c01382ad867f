"""The whole of a paired trial's test: both questions, the guardrails, the counts and the next bet.

The twin of `harvest.trial_evidence` for pairs. `advance` is the only way forward, and `replay` is `advance`
from the beginning, bit by bit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harvest.evidence import Evidence
from harvest.pair_wager import PRIOR_DISCORDANCE, pair_not_worse
from harvest.pairs.pair_counts import Discordance, PairCounts
from harvest.pairs.pair_ledger import PairDispatched, PairEntry, PairSettlement
from harvest.policy import TrialPolicy
from harvest.verdict import Decision, Readings, decide
from harvest.wager import Null
from routing.errors import CorruptRecordError
from routing.templates.trial import PairBet


@dataclass(frozen=True, kw_only=True, slots=True)
class PairEvidence:
    """The state of a paired trial's test; a pure function of its policy and its ledger.

    Dispatches come by their index, without gaps, and before the settlements of the same pairs; an entry that
    is counted already changes nothing or comes back as late.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    v: Literal[1]  # form of this state
    policy: TrialPolicy
    worse: Evidence  # against H_R: that the canary is worse
    not_worse: Evidence  # against H_G: that it is not worse by delta
    guardrails: Mapping[str, Evidence] = field(default_factory=dict)  # that it spends more, by name
    counts: PairCounts = field(default_factory=PairCounts)
    discordance: Discordance = field(default_factory=Discordance)
    guardrail_discordances: Mapping[str, Discordance] = field(default_factory=dict)  # by guardrail

    @classmethod
    def begin(cls, policy: TrialPolicy) -> "PairEvidence":
        """The state before the first pair."""
        return cls(
            v=1,
            policy=policy,
            worse=Evidence.against(pair_not_worse(margin=policy.margin, delta=policy.delta)),
            not_worse=Evidence.against(Null.worse_by(delta=policy.delta)),
            guardrails={
                guardrail.name: Evidence.against(pair_not_worse(margin=guardrail.margin, delta=policy.delta))
                for guardrail in policy.guardrails
            },
            guardrail_discordances={guardrail.name: Discordance() for guardrail in policy.guardrails},
        )

    @property
    def dispatched(self) -> int:
        """How many pairs were dispatched; the index of the next one."""
        return self.counts.dispatched

    @property
    def bet(self) -> PairBet:
        """The bet to freeze for a pair that is dispatched now."""
        return PairBet(
            discordance=self.discordance.value,
            guardrail_discordances={name: each.value for name, each in self.guardrail_discordances.items()},
        )

    def decide(self, *, elapsed_days: float) -> Decision:
        """The verdict now, the trial having been open for so many days. Each pair has one canary job."""
        readings = Readings(
            ln_worse=self.worse.ln_value,
            ln_not_worse=self.not_worse.ln_value,
            ln_guardrails={name: evidence.ln_value for name, evidence in self.guardrails.items()},
            canary_jobs=self.counts.settled,
            elapsed_days=elapsed_days,
        )
        return decide(self.policy, readings)

    def to_json(self) -> str:
        """The state as text; floats by repr, so that reading it gives the very same state."""
        return json.dumps(_FORM.dump_python(self, mode="json"), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "PairEvidence":
        """Read what `to_json` wrote, or raise CorruptRecordError."""
        try:
            state = _FORM.validate_python(json.loads(text))
        except (ValidationError, ValueError) as error:
            raise CorruptRecordError(
                f"the stored evidence of a paired trial cannot be read ({str(error)[:300]}); "
                "recompute it from the trial's ledger"
            ) from error
        return _consistent(state)


_FORM = TypeAdapter(PairEvidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairAdvance:
    """A new state, and the settlements that came too late to count: their pairs were closed before."""

    state: PairEvidence
    late: tuple[PairSettlement, ...]


def advance(
    state: PairEvidence, dispatches: Iterable[PairDispatched], settlements: Iterable[PairSettlement]
) -> PairAdvance:
    """Count what is new. Dispatches that are counted already change nothing, so a crash may repeat them.

    CorruptRecordError when a dispatch is missing, or a pair is settled that was not dispatched.
    """
    for dispatched in dispatches:
        state = _dispatch(state, dispatched)
    late = []
    for settlement in settlements:
        if settlement.index >= state.dispatched:
            raise CorruptRecordError(
                f"the ledger settles pair {settlement.index} of a trial that dispatched {state.dispatched}; "
                "read the dispatches before the settlements"
            )
        if state.worse.is_open(settlement.index):
            state = _settle(state, settlement)
        else:
            late.append(settlement)
    return PairAdvance(state=state, late=tuple(late))


def replay(policy: TrialPolicy, ledger: Iterable[PairEntry]) -> PairAdvance:
    """The state from the beginning: bit by bit the one that was advanced step by step."""
    entries = list(ledger)
    return advance(
        PairEvidence.begin(policy),
        [entry for entry in entries if isinstance(entry, PairDispatched)],
        [entry for entry in entries if isinstance(entry, PairSettlement)],
    )


def _dispatch(state: PairEvidence, dispatched: PairDispatched) -> PairEvidence:
    """Append a pair to every evidence. A guardrail that the bet lacks starts from the prior."""
    if dispatched.index < state.dispatched:
        return state
    if dispatched.index > state.dispatched:
        raise CorruptRecordError(
            f"the ledger goes on with pair {dispatched.index} where pair {state.dispatched} was due; "
            "restore the missing dispatches before the trial is advanced"
        )
    bet = dispatched.bet
    guardrails = {
        name: evidence.dispatch(PairBet(discordance=bet.guardrail_discordances.get(name, PRIOR_DISCORDANCE)))
        for name, evidence in state.guardrails.items()
    }
    return replace(
        state,
        worse=state.worse.dispatch(bet),
        not_worse=state.not_worse.dispatch(bet),
        guardrails=guardrails,
        counts=state.counts.add_dispatched(),
    )


def _settle(state: PairEvidence, settlement: PairSettlement) -> PairEvidence:
    """Close an open pair: with its scores, or without when it says nothing about either version."""
    index = settlement.index
    if settlement.champion is None or settlement.canary is None:
        return replace(
            state,
            worse=state.worse.exclude(index),
            not_worse=state.not_worse.exclude(index),
            guardrails={name: evidence.exclude(index) for name, evidence in state.guardrails.items()},
            counts=state.counts.add_excluded(),
        )
    difference = settlement.canary - settlement.champion
    spent = _spent(state.policy, settlement)
    return replace(
        state,
        worse=state.worse.settle(index, difference),
        not_worse=state.not_worse.settle(index, difference),
        # An amount that is unknown on one side says nothing: that guardrail leaves the pair out.
        guardrails={
            name: evidence.settle(index, spent[name]) if name in spent else evidence.exclude(index)
            for name, evidence in state.guardrails.items()
        },
        counts=state.counts.add_settled(settlement.champion, settlement.canary),
        discordance=state.discordance.add(difference),
        guardrail_discordances={
            name: each.add(spent[name]) if name in spent else each
            for name, each in state.guardrail_discordances.items()
        },
    )


def _spent(policy: TrialPolicy, settlement: PairSettlement) -> dict[str, float]:
    """What the canary saved, from -1 to 1, by guardrail; without those that are unknown on one side."""
    found: dict[str, float] = {}
    for guardrail in policy.guardrails:
        champion = settlement.champion_spent.get(guardrail.name)
        canary = settlement.canary_spent.get(guardrail.name)
        if champion is not None and canary is not None:
            found[guardrail.name] = guardrail.score(canary) - guardrail.score(champion)
    return found


def _consistent(state: PairEvidence) -> PairEvidence:
    """Return the state, or raise CorruptRecordError when its parts contradict each other."""
    parts = [state.worse, state.not_worse, *state.guardrails.values()]
    places = [[pair.index for pair in part.checked().open] for part in parts]
    agree = (
        all(part.dispatched == state.dispatched for part in parts)
        and all(place == places[0] for place in places)
        and state.counts.open == len(places[0])
        and list(state.guardrails) == [guardrail.name for guardrail in state.policy.guardrails]
        and list(state.guardrail_discordances) == list(state.guardrails)
    )
    if not agree:
        raise CorruptRecordError(
            f"the stored evidence of a paired trial with {state.dispatched} pairs contradicts itself; "
            "recompute it from the trial's ledger"
        )
    return state
