"""Pairs of a backtest: a case given to both versions, and what became of it. The forms here are stored."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harvest.evidence.policy import Amount, Score
from harvest.pairs.pair_ledger import PairDispatched, PairSettlement
from routing.templates.trial import Arm


class CaseResult(BaseModel):
    """What a version made of a case, kept to be used again: one sample of what it can do."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1  # form of this record
    job: str  # that made it
    score: Score
    spent: dict[str, Amount] = Field(default_factory=dict)  # USD if they are known, seconds, by guardrail
    reason: str = ""
    at: float = 0.0  # when its pair was settled, seconds since the epoch: hosts and models change


class CasePair(BaseModel):
    """A case was given out: the pair's bet, and the champion's kept result where that stands for its job."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1  # form of this record
    case: str  # its digest
    name: str  # its id, for people
    dispatched: PairDispatched
    kept: CaseResult | None = None  # the champion's; None: it has a job here
    champion_key: str = ""  # under which its result is kept, like the next
    canary_key: str = ""

    @property
    def id(self) -> str:
        """By which it goes to the judge, see `Job.pair_id`."""
        return self.dispatched.canary_job

    @property
    def index(self) -> int:
        """Place in the order of the cases, from 0."""
        return self.dispatched.index


def result_key(version: str, content_hash: str, judge: tuple[str, float], case: str) -> str:
    """Under which name a result is kept: another version, judge or case is another result."""
    said = f"{version}\0{content_hash}\0{judge[0]}\0{judge[1]:g}\0{case}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class HalfResult:
    """One version's side of a pair, when nothing more will become of it."""

    score: float | None  # None: it says nothing about the version
    reason: str
    spent: Mapping[str, float] = field(default_factory=dict)
    age_seconds: float | None = None  # from its first claim until it had work or had ended, less its waits
    waited: bool = False  # whether it had to wait for a limit of its account
    is_cause: bool = False  # whether it is left out by a fact of its own, and not by a person's cancel


def settled(pair: CasePair, champion: HalfResult, canary: HalfResult, *, at: float) -> PairSettlement:
    """What is written about a pair whose sides have both ended: pure.

    Whatever is not an agent's doing, on either side, leaves the pair out: that never hits one version alone.
    What the health of the test watches is written with it: which side alone left it out, waited, or was late.
    Waits and ages are of two jobs that were begun together: a kept result has none to compare with.
    """
    sides = {Arm.CHAMPION: champion, Arm.CANARY: canary}
    causes = [arm for arm, side in sides.items() if side.is_cause]
    are_timed = pair.kept is None and None not in {champion.age_seconds, canary.age_seconds}
    is_settled = champion.score is not None and canary.score is not None
    reason = f"champion {champion.reason}; canary {canary.reason}"
    if not is_settled:
        reason = "left out: " + next(
            (side.reason for side in (champion, canary) if side.score is None and side.reason), "not judged"
        )
    return PairSettlement(
        index=pair.index,
        kind="settled" if is_settled else "excluded",
        champion=champion.score if is_settled else None,
        canary=canary.score if is_settled else None,
        champion_spent=dict(champion.spent),
        canary_spent=dict(canary.spent),
        champion_age_seconds=champion.age_seconds if are_timed else None,
        canary_age_seconds=canary.age_seconds if are_timed else None,
        waited=tuple(arm for arm, side in sides.items() if side.waited) if are_timed else (),
        excluded_by=causes[0] if len(causes) == 1 and not is_settled else None,
        reason=reason[:500],
        at=at,
    )


def first_of(coin: float) -> Arm:
    """Which version is started first, by a coin in [0,1)."""
    return Arm.CANARY if coin < 0.5 else Arm.CHAMPION  # noqa: PLR2004 - a fair coin
