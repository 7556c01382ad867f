"""Trials: one canary experiment each; its arms, and the bet that is frozen for each of its jobs.

Nothing here reads a clock, a server or a generator.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from routing.templates.step import NO_WAY, StepPlace
from routing.templates.version import version_id


class TrialState(StrEnum):
    """`open`, then exactly one of the others, once."""

    OPEN = "open"
    GRADUATED = "graduated"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    EXPIRED = "expired"


class Arm(StrEnum):
    """The side of a trial that a job was drawn to."""

    CHAMPION = "champion"
    CANARY = "canary"


class Mode(StrEnum):
    """How a trial is run. The values are stored."""

    DRAW = "draw"  # one version a job, by chance
    SHADOW = "shadow"  # both versions on the same issue; the champion's work is delivered


@dataclass(frozen=True, kw_only=True, slots=True)
class DamagedTrial:
    """A trial whose record, or the state of whose test, cannot be read. Others are shown all the same."""

    id: str
    key: str  # of its record in Redis
    problem: str  # what is wrong, and what to do


@dataclass(frozen=True, kw_only=True, slots=True)
class Bet:
    """What a trial's test may know of a job, frozen at dispatch, before anything is known about its outcome.

    The factor of the job's score is computed from it and from nothing else; that is why it holds at every
    share and with every baseline.
    """

    arm: Arm
    share: float  # the share in (0,1) that the job's draw was compared to
    baseline: float  # the champion's mean score as far as it was settled at dispatch, rounded to 0.01
    stratum: str = ""  # known before dispatch (repository, difficulty); "" when strata are off
    guardrail_baselines: Mapping[str, float] = field(default_factory=dict)  # the same mean per guardrail


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBet:
    """What the paired test may know of a pair, frozen at dispatch like a `Bet`.

    A discordance is the mean square of the canary's score less the champion's, over the pairs that were
    settled at dispatch, rounded to 0.01 and in (0,1].
    """

    discordance: float
    guardrail_discordances: Mapping[str, float] = field(default_factory=dict)  # the same per guardrail


#: The part of the settle deadline from which on a job that has no score is late.
LATE_PART = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a trial is opened with. This floor reads all of it but the policy, which `harvest` reads."""

    policy: str  # JSON
    share: float  # of the first draw: in (0,1); in (0,1] for pairs
    bet: dict[str, str]  # what the first bets freeze: fields of the trial's record, and their values
    mode: Mode = Mode.DRAW
    strata: str = "none"  # none, repository or difficulty
    settle_deadline_seconds: float = 604_800.0  # after dispatch, the same for both arms


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialHold:
    """A person holds a trial: it draws and counts, and no verdict is carried out."""

    by: str  # who
    reason: str  # why, in words; "" where nobody asked
    at: float  # since when, seconds since the epoch, the server's

    @property
    def sentence(self) -> str:
        """For people, as a reason why nothing is decided."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return f"{self.by} holds the trial{why}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """The stored facts of a trial; its evidence is read by the harvest floor from `evidence`."""

    id: str  # `implementer-t2`: template and running number
    template: str
    champion: int  # version number pinned when the trial was opened
    canary: int  # version number on trial
    state: TrialState
    share: float  # that the next draw is compared to: in (0,1); of pairs, in (0,1]
    mode: Mode = Mode.DRAW
    place: StepPlace = NO_WAY  # which step of its canary's way it is
    strata: str  # none, repository or difficulty
    settle_deadline_seconds: float
    policy: str  # JSON of the policy that decides it, opaque on this floor
    opened_at: float  # seconds since the epoch, the server's
    closed_at: float | None = None
    reason: str = ""  # why it ended, in words
    review: str = ""  # JSON of the decision that ended it
    evidence: str = ""  # JSON state of the test, opaque on this floor
    revision: int = 0  # grows with every advance of the evidence
    dispatched: dict[Arm, int] = field(default_factory=dict)  # jobs drawn, per arm
    alarms: tuple[str, ...] = ()  # names of the checks of its health that have fired
    released: tuple[str, ...] = ()  # those of them that a person has let go
    hold: TrialHold | None = None  # by a person; None: nobody holds it
    contradicted: bool = False  # whether later signals no longer support the verdict

    @property
    def is_open(self) -> bool:
        """Whether it still draws and decides."""
        return self.state is TrialState.OPEN

    @property
    def canary_id(self) -> str:
        """`implementer@v3`."""
        return version_id(self.template, self.canary)

    @property
    def champion_id(self) -> str:
        """`implementer@v2`."""
        return version_id(self.template, self.champion)
