"""The fleet at one moment, as a record. Times are seconds since the epoch, the server's; dollars are USD."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.output.trials.trial_status import TrialStatus
from routing.accounts.budget import DayUse
from routing.accounts.closed_account import ClosedAccount
from routing.backlog.item import BacklogState
from routing.cost import NO_COST, Cost
from routing.jobs.job import Job
from routing.store.jobs.outcome_store import HourOutcomes
from routing.templates.trial import DamagedTrial


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentAtWork:
    """A running job and the turn of its agent."""

    job: Job
    last_line: str  # what the agent said last, or did; "" before it spoke
    spending: Cost | None  # of this turn so far, None while nobody said

    @property
    def spent(self) -> Cost:
        """What the job has cost so far, with the turn that runs."""
        return self.job.cost if self.spending is None else self.job.cost + self.spending


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldWork:
    """An issue or a job that does not go on by itself now, and why."""

    name: str  # the issue, or the job of none
    title: str
    what: str  # in one or two words: what kind of thing is in the way
    why: str  # in words of ours, with what a person can do
    since: float | None
    said: str = ""  # what a program said of it, which may be long

    @property
    def words(self) -> str:
        """All of it."""
        return "; ".join(filter(None, (self.said, self.why)))


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetStatus:
    """What people want to know first."""

    at: float
    paused: str | None  # why a person stopped dispatch, None when nobody did
    killed: bool  # the kill switch of the settings is on
    processes: Sequence[str]  # that gave a sign of life in the last minutes
    swept_at: float | None  # when a worker last looked after the queue; None: never
    agents: Sequence[AgentAtWork]  # the longest at work first
    queued: int  # jobs that wait for a worker or for room
    oldest_queued_at: float | None
    waiting: Sequence[Job]  # pushed: their CI, or their merge, is awaited; the longest waiting first
    waiting_count: int
    dead: int  # jobs that used up their attempts
    issues: dict[BacklogState, int]  # how many there are in each state
    held: Sequence[HeldWork]  # at most MOST_HELD
    held_count: int
    closed_accounts: Sequence[ClosedAccount]  # and versions that do not start; those for a person first
    limited: int  # jobs that wait for one of them
    trials: Sequence[TrialStatus]
    damaged_trials: Sequence[DamagedTrial]  # open ones that cannot be read
    outcomes: Sequence[HourOutcomes]  # how jobs ended in the last 24 hours, the oldest first
    today: Cost  # of the turns that ended today, UTC
    day_limit_usd: float  # 0: none
    spent_usd: float  # today, as it is compared with that limit
    budgets: Sequence[DayUse]  # of the day, in tokens and by template and repository

    @property
    def unstarted(self) -> list[str]:
        """Versions whose jobs wait, as their agents failed as soon as they started."""
        return sorted({closed.version for closed in self.closed_accounts if closed.version})

    @property
    def reached(self) -> list[str]:
        """The limits of the day that are reached, in words: no job of theirs begins until midnight UTC."""
        limit = self.day_limit_usd
        fleet = (
            [f"the fleet: {self.spent_usd:,.2f} of {limit:,.2f} USD"] if 0 < limit <= self.spent_usd else []
        )
        return [*fleet, *(str(use) for use in self.budgets if use.is_reached)]

    @property
    def running_cost(self) -> Cost:
        """What the turns that run have cost so far, as far as they said."""
        return sum((each.spending for each in self.agents if each.spending is not None), NO_COST)
