"""Trials for the tests of the evidence: bets, ledgers, and the slow, obvious recomputation."""

import math
import random
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from harvest.draws.draw_evidence import DrawEvidence
from harvest.draws.draw_ledger import Dispatched, Settlement
from harvest.draws.draw_wager import wager
from harvest.evidence.policy import TrialPolicy
from harvest.evidence.trial_test import advance
from harvest.evidence.wager import Null
from routing.templates.trial import Arm, Bet

BETS = st.builds(
    Bet,
    arm=st.sampled_from(Arm),
    share=st.sampled_from([0.1, 0.3, 0.5]),
    baseline=st.sampled_from([0.0, 0.3, 0.6, 0.62, 0.99, 1.0]),
)
SCORES = st.sampled_from([0.0, 0.25, 0.6, 1.0])
NULLS = st.sampled_from([Null.not_worse(margin=0.0, delta=0.1), Null.at_most(-0.1, delta=0.1)])


def naive_value(null: Null, bets: Sequence[Bet], scores: Mapping[int, float | None]) -> float:
    """The definition: the largest mixture after any prefix; missing is open, None is excluded."""
    wealth = [1.0, 1.0, 1.0]
    best = 1.0
    for index, bet in enumerate(bets):
        stakes = wager(null, bet.arm, bet.share, bet.baseline).stakes
        for place, stake in enumerate(stakes):
            if index not in scores:
                wealth[place] *= min(stake.factor(0.0), stake.factor(1.0))
            elif (score := scores[index]) is not None:
                wealth[place] *= stake.factor(score)
        best = max(best, math.fsum(w * part for w, part in zip(null.weights, wealth, strict=True)))
    return best


def dispatched(state: DrawEvidence, arm: Arm, *, stratum: str = "", share: float = 0.1) -> Dispatched:
    """The record of the next job of a trial."""
    index = state.dispatched
    draw = 0.0 if arm is Arm.CANARY else share
    bet = state.bet(arm, share=share, stratum=stratum)
    return Dispatched.of(bet, index=index, job_id=f"{index:016x}", draw=draw)


def settled(index: int, score: float, **spent: float) -> Settlement:
    """A final score, and what was spent for it."""
    return Settlement(index=index, kind="settled", score=score, guardrails=spent)


def grow(state: DrawEvidence, arm: Arm, score: float, jobs: int = 1, **spent: float) -> DrawEvidence:
    """Dispatch and settle some jobs of one arm, one after the other."""
    for _ in range(jobs):
        index = state.dispatched
        state = advance(state, [dispatched(state, arm)], [settled(index, score, **spent)]).state
    return state


def random_ledger(
    policy: TrialPolicy, seed: int, jobs: int
) -> tuple[DrawEvidence, list[Dispatched | Settlement]]:
    """A trial advanced step by step with late, unordered outcomes of every kind, and its ledger."""
    chance = random.Random(seed)
    state, ledger = DrawEvidence.begin(policy), list[Dispatched | Settlement]()
    waiting: list[int] = []
    for _ in range(jobs):
        arm = Arm.CANARY if chance.random() < 0.3 else Arm.CHAMPION
        entry = dispatched(state, arm, stratum=chance.choice(["", "shop", "bank"]), share=0.3)
        waiting.append(entry.index)
        settlements = []
        if chance.random() < 0.8:
            index = chance.choice(waiting)
            kind = chance.choice(["settled", "settled", "settled", "provisional", "excluded", "rerouted"])
            score = chance.choice([0.0, 0.6, 1.0]) if kind in {"settled", "provisional"} else None
            spent = {"cost_usd": chance.random() * 3} if chance.random() < 0.7 else {}
            settlement = Settlement.model_validate(
                {"index": index, "kind": kind, "score": score, "guardrails": spent}
            )
            settlements.append(settlement)
            if settlement.final:
                waiting.remove(index)
        state = advance(state, [entry], settlements).state
        ledger += [entry, *settlements]
    return state, ledger
