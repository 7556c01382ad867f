"""What a verdict will take in issues, runs and money: by a policy, and by the newest jobs of a template."""

from harvest.evidence.policy import TrialPolicy
from harvest.trials.mode_plan import Pace, plan_backtest, plan_shadow
from routing.templates.trial import Mode, Trial
from tasks.composition.composition import Coalmine

#: Jobs of a template by which money and days are said, the newest, and how few say nothing of days.
MOST_JOBS, LEAST_JOBS = 200, 5


def pace_of(parts: Coalmine, template: str) -> Pace:
    """What the newest jobs of a template have cost and took, and how many come in. Shadows have no issue.

    Jobs of which nobody knows the cost are left out of the mean.
    """
    parts.templates.champion(template)  # NotFoundError for one that is not there
    jobs = [job for job in parts.jobs.newest(most=MOST_JOBS, template=template) if not job.shadow]
    spent = [job.cost.usd for job in jobs if job.state.is_final and job.cost.turns and not job.cost.unknown]
    took = [job.cost.seconds for job in jobs if job.state.is_final and job.cost.turns]
    days = (parts.now() - jobs[-1].created_at) / 86_400 if jobs else 0.0
    return Pace(
        usd_per_run=sum(spent) / len(spent) if spent else None,
        issues_per_day=len(jobs) / days if len(jobs) >= LEAST_JOBS and days > 0 else None,
        seconds_per_run=sum(took) / len(took) if took else None,
        pairs_at_once=parts.settings.backtest.pairs_at_once,
    )


def said_of_pairs(policy: TrialPolicy, pace: Pace, *, past: bool = False) -> str:
    """What a trial of pairs will cost, about, for the one who opens it: if the canary is as good.

    `past`: of a backtest, which takes cases in place of issues.
    """
    planned = plan_backtest if past else plan_shadow
    way = planned(policy, baseline=policy.prior_mean, difference=0.0, pace=pace)
    money = "" if way.extra_usd is None else f", about {way.extra_usd:.2f} USD more than without it"
    budget = f"; it expires at {policy.budget_usd:g} USD" if policy.budget_usd else ""
    size = f"about {way.issues:.0f} issues and {way.runs:.0f} runs"
    if past:
        size = f"about {way.runs / 2:.0f} cases and {way.runs:.0f} runs"
    return f"If the canary is as good, a verdict takes {size}{money}{budget}"


def said_of_trial(parts: Coalmine, trial: Trial) -> str:
    """The same of an open trial of pairs; "" for others: a draw takes no runs of its own."""
    if not trial.is_open or trial.mode is not Mode.SHADOW:
        return ""
    return said_of_pairs(TrialPolicy.from_json(trial.policy), pace_of(parts, trial.template))
