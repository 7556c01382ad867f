"""Admission: how many jobs may be at work at once, and how much they may spend.

The limits hold where a lease is won (`job_claim.lua`): what may not begin yet is held, first come first
served, and published when there is room (`held_release.lua`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionLimits:
    """What the fleet may do at one time; checked when a lease is won. 0: no limit."""

    agents_at_once: int = 0  # running jobs of the fleet
    per_repository: int = 0  # running jobs of one repository
    day_cost_usd: float = 0.0  # that the fleet may spend a day (UTC); after that no job begins


#: Why a job that could be claimed has to wait, and what a person can do about it.
WAITS: dict[str, str] = {
    "fleet": "waits: as many agents are at work as the fleet may have (job.agents_at_once)",
    "repository": "waits: as many agents are at work in its repository as are allowed (job.per_repository)",
    "turn": "waits its turn: jobs that wait longer come first",
    "budget": "waits: the fleet has spent what it may spend today (job.day_cost_usd)",
    "day": "waits for midnight UTC: a budget of the day is used up (`coalmine status` says which)",
    "version": "waits: agents of its version fail as soon as they start (`coalmine doctor` shows how, "
    "`coalmine resume` tries again)",
    "no_account": "waits: no account of the settings serves its version (its `accounts`, or its model)",
    "account": "waits: every account that its version may use is closed (see `coalmine account list`)",
    "other_arm": "waits with the other arm of its trial, whose accounts are closed (`coalmine account list`)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupancy:
    """How much of the limits is used."""

    running: int  # jobs whose lease is alive
    held: int  # jobs that wait for room
    limited: int = 0  # jobs that wait for an account
    spent_usd: float  # today, UTC
