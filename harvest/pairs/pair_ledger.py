"""The ledger of a trial of pairs: what was dispatched and what became of it.

Two lists that only grow, like those of the draw (`draws.draw_ledger`): pairs in the order of dispatch, and
their settlements in the order of arrival. The forms here are what is stored.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harvest.evidence.ledger_line import AGED_KIND
from harvest.evidence.policy import Amount, Index, Score
from routing.templates.trial import Arm, PairBet

Discordance = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


Age = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PairDispatched(BaseModel):
    """Both versions were given an issue: the pair's bet, frozen before anything was known of the outcome."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1] = 1  # form of this record
    index: Index  # place in the order of dispatch, from 0
    champion_job: str
    canary_job: str
    first: Arm  # which of the two was started first, by a coin of the injected generator
    discordance: Discordance
    guardrail_discordances: dict[str, Discordance] = Field(default_factory=dict)  # by guardrail
    unpaired: Index | None = (
        None  # issues that the coin had left to the champion alone by then; None: unknown
    )

    @property
    def subject(self) -> str:
        """Id of the champion's job, which names the other one."""
        return self.champion_job

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"pair {self.index + 1}"

    @property
    def bet(self) -> PairBet:
        """The bet that was frozen."""
        return PairBet(discordance=self.discordance, guardrail_discordances=self.guardrail_discordances)


class PairSettlement(BaseModel):
    """What became of a pair, once: both scores, or that it says nothing about either version.

    Before that an `aged` one may come, where one half alone is late: it has both ages, and no scores.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    v: Literal[1, 2] = 2  # form of this record; under 1 dollars that nobody knew may stand as 0
    index: Index  # of the pair, in the order of dispatch
    kind: Literal["settled", "excluded", "aged"]
    champion: Score | None = None  # None unless settled, like the next
    canary: Score | None = None
    champion_spent: dict[str, Amount] = Field(default_factory=dict)  # USD, seconds or turns, by guardrail
    canary_spent: dict[str, Amount] = Field(default_factory=dict)
    champion_age_seconds: Age | None = None  # from dispatch until it had work or had ended, less its waits
    canary_age_seconds: Age | None = None
    waited: tuple[Arm, ...] = ()  # the halves that had to wait for a limit of their account
    judged_first: Arm | None = None  # whose work was judged first, by a coin; None where nothing was judged
    excluded_by: Arm | None = None  # the half alone that left it out; None: both, neither, or a person
    reason: str = ""  # what settled it, in words
    at: Annotated[float, Field(allow_inf_nan=False)] = 0.0  # seconds since the epoch

    @model_validator(mode="after")
    def _scored(self) -> Self:
        scores = [score is not None for score in (self.champion, self.canary)]
        if scores != [self.kind == "settled"] * 2:
            raise ValueError(f"a pair that is {self.kind} has {'two scores' if all(scores) else 'no scores'}")
        return self

    @property
    def final(self) -> bool:
        """Whether the pair is closed by it."""
        return self.kind != AGED_KIND


#: A line of the ledger.
PairEntry = PairDispatched | PairSettlement
