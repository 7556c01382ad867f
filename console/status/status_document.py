"""The status for scripts: one object with stable keys. What is not known is null."""

from typing import Any

from console.output.cost_views import cost_document
from console.output.rendering import iso
from console.output.trials.trial_attention import damaged_document
from console.status.fleet_status import AgentAtWork, FleetStatus, HeldWork
from routing.accounts.budget import DayUse
from routing.accounts.closed_account import ClosedAccount
from routing.jobs.job import Job
from routing.store.jobs.outcome_store import HourOutcomes


def status_document(status: FleetStatus) -> dict[str, Any]:
    """All of the status; `held` may be shorter than `held_count`."""
    return {
        "at": iso(status.at),
        "paused": status.paused,
        "kill_switch": status.killed,
        "processes": list(status.processes),
        "swept_at": iso(status.swept_at),
        "agents": [_agent(each) for each in status.agents],
        "jobs": {"queued": status.queued, "waiting": status.waiting_count, "dead": status.dead},
        "oldest_queued_at": iso(status.oldest_queued_at),
        "waiting": [_waiting(job) for job in status.waiting],
        "issues": {state.value: count for state, count in status.issues.items()},
        "held": [_held(each) for each in status.held],
        "held_count": status.held_count,
        "closed_accounts": [_closed(each) for each in status.closed_accounts],
        "waiting_for_accounts": status.limited,
        "trials": [trial.document() for trial in status.trials],
        "damaged_trials": [damaged_document(trial) for trial in status.damaged_trials],
        "outcomes": [_hour(each) for each in status.outcomes],
        "spent_today": cost_document(status.today),
        "spending_now": cost_document(status.running_cost),
        "day_limit_usd": status.day_limit_usd or None,
        "budgets": [_budget(use) for use in status.budgets],
        "limits_reached": status.reached,
    }


def _budget(use: DayUse) -> dict[str, Any]:
    return {
        "of": use.of,
        "usd": use.cost.usd if use.usd else None,
        "usd_limit": use.usd or None,
        "tokens": use.tokens_used if use.tokens else None,
        "tokens_limit": use.tokens or None,
        "reached": use.is_reached,
    }


def _hour(each: HourOutcomes) -> dict[str, Any]:
    return {"hour": iso(each.begins_at), **{state.value: count for state, count in each.ended.items()}}


def _agent(each: AgentAtWork) -> dict[str, Any]:
    job = each.job
    return {
        "job": job.id,
        "issue": job.request.issue or None,
        "title": job.request.title,
        "version": job.version_id,
        "arm": job.arm,
        "worker": job.worker,
        "since": iso(job.claimed_at),
        "last_line": each.last_line,
        "cost": cost_document(job.cost),
        "spending": None if each.spending is None else cost_document(each.spending),
    }


def _waiting(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "issue": job.request.issue or None,
        "title": job.request.title,
        "since": iso(job.pushed_at),
        "reason": job.reason,
    }


def _closed(each: ClosedAccount) -> dict[str, Any]:
    return {
        "account": each.account,
        "model": each.model,
        "state": each.state.value,
        "why": each.why,
        "words": each.words,
        "since": iso(each.since),
        "until": iso(each.until),
        "seconds_left": None if each.seconds_left is None else round(each.seconds_left),
        "probe": each.probe or None,
    }


def _held(each: HeldWork) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "what": each.what,
        "why": each.words,
        "since": iso(each.since),
    }
