"""Trial health: whether a trial can be believed, watched beside its evidence.

The test's promise rests on two things that it cannot see itself: that jobs were drawn with the recorded
share, and that what keeps a job out of the evidence hits both arms alike. So each check watches one kind of
event. If all is well, the job that an event is about is a canary with the share that it was drawn with,
whatever came before. Against that one bets, as in `wager`, that the odds of a canary are some times higher
or lower. The wealth is a martingale, so a check fires wrongly in at most one trial of `1 / LEVEL`, at every
look together (Ville 1939).

Everything here is a pure function of what is counted.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt

from routing.templates.trial import Arm, Trial

#: The chance that one check fires although all is well.
LEVEL = 0.001

#: What is bet on: the odds of a canary, in times of what the share says.
_ODDS = (1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)


class HealthCheck(StrEnum):
    """What is watched. The values are stored."""

    DRAWS = "draws"  # each draw
    PAIRED = "paired"  # each issue that could be given to both versions
    EXCLUSIONS = "exclusions"  # each job that was excluded
    LIMITS = "limits"  # each job that had to wait for a limit of its account
    AGES = "ages"  # each job that is late with its score, from when it is

    @property
    def holds_rollback(self) -> bool:
        """Whether it holds every verdict. Late scores hold a graduation alone, for one arm a job or pairs.

        A canary that hangs fails at its deadline: held until a person came, it would get more jobs.
        """
        return self is not HealthCheck.AGES

    @property
    def finding(self) -> str:
        """What it means that this check has fired, as the subject of a sentence."""
        return _FINDINGS[self]


_FINDINGS = {
    HealthCheck.DRAWS: "jobs were not drawn with the recorded share",
    HealthCheck.PAIRED: "issues were not given to both versions with the recorded share",
    HealthCheck.EXCLUSIONS: "excluded jobs are not spread over the arms as the draws are",
    HealthCheck.LIMITS: "jobs that waited for a limit of their account are not spread as the draws are",
    HealthCheck.AGES: "jobs that are late with their score are not spread over the arms as the draws are",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """One check: how often its event hit each arm, and the evidence that it happened for a reason.

    Of `paired` the canary's are the issues that both versions got, and the champion's the others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    champion: NonNegativeInt = 0
    canary: NonNegativeInt = 0
    expected: FiniteFloat = 0.0  # canaries among them if all is well: the sum of the shares
    ln_wealth: tuple[FiniteFloat, ...] = (0.0,) * len(_ODDS)
    ln_best: FiniteFloat = 0.0  # the largest mixture so far

    def add(self, arm: Arm, share: float) -> "Balance":
        """Count an event about a job of `arm` that was drawn with `share`."""
        is_canary = arm is Arm.CANARY
        wealth = tuple(
            each + math.log((odds if is_canary else 1.0) / (1.0 - share + share * odds))
            for each, odds in zip(self.ln_wealth, _ODDS, strict=True)
        )
        top = max(wealth)
        mixture = top + math.log(sum(math.exp(each - top) for each in wealth) / len(wealth))
        return Balance(
            champion=self.champion + (not is_canary),
            canary=self.canary + is_canary,
            expected=self.expected + share,
            ln_wealth=wealth,
            ln_best=max(self.ln_best, mixture),
        )

    @property
    def has_fired(self) -> bool:
        """Whether the evidence has ever reached 1 / LEVEL."""
        return self.ln_best >= math.log(1.0 / LEVEL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """A check that has fired, with its counts."""

    check: HealthCheck
    champion: int
    canary: int
    expected: float  # canaries among them if all were well

    @property
    def sentence(self) -> str:
        """For people: what is wrong, with the counts."""
        events = self.champion + self.canary
        whose = "went to both" if self.check is HealthCheck.PAIRED else "are the canary's"
        return (
            f"Something is wrong with the trial itself: {self.check.finding} "
            f"({self.canary} of {events} {whose}, about {self.expected:.3g} were to be expected)."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialHealth:
    """All checks of a trial."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    balances: Mapping[HealthCheck, Balance] = field(default_factory=dict)  # those that had an event
    late: tuple[NonNegativeInt, ...] = ()  # open units that were counted as late already

    def add(self, check: HealthCheck, arm: Arm, share: float) -> "TrialHealth":
        """Count an event."""
        balance = self.balances.get(check, Balance()).add(arm, share)
        return replace(self, balances={**self.balances, check: balance})

    def add_late(self, index: int, arm: Arm, share: float) -> "TrialHealth":
        """Count a unit as late, once: when it has become so, or when it ends."""
        if index in self.late:
            return self
        return replace(self.add(HealthCheck.AGES, arm, share), late=(*self.late, index))

    def closed(self, index: int) -> "TrialHealth":
        """A unit has ended, and is counted no more."""
        return replace(self, late=tuple(other for other in self.late if other != index))

    def alarms(self, *, released: Collection[HealthCheck] = ()) -> tuple[Alarm, ...]:
        """The checks that have fired and that no person has released."""
        return tuple(
            Alarm(check=check, champion=each.champion, canary=each.canary, expected=each.expected)
            for check, each in sorted(self.balances.items())
            if each.has_fired and check not in released
        )


def released_checks(trial: Trial) -> tuple[HealthCheck, ...]:
    """The checks of its health that a person has let go."""
    return tuple(HealthCheck(name) for name in trial.released)
