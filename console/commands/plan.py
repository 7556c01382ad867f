"""`coalmine trial plan`: how many jobs a trial will need, before it is opened.

It simulates trials under the policy that the options and settings give, the same one that `trial open` would
use with these options: draws in detail, and the ways to try a version beside each other. It needs settings
and no server, takes some seconds of one processor, and writes nothing. With a template it reads from the
server what that one's jobs have cost, and how many came in.
"""

import math
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.text import Text

from console.completion import complete_template
from console.input.trial_options import Alpha, Beta, Delta, Margin, MaxCanaryJobs, Share, policy_of
from console.invocation import AsJson, examples, opened, started
from console.output.rendering import heading, number, table, text
from console.output.terminal import Terminal
from harvest.draws.draw_plan import Plan, plan
from harvest.evidence.policy import TrialPolicy
from harvest.trials.mode_plan import ModePlan, Pace, compare, plan_backtest, plan_shadow
from tasks.composition.composition import Coalmine

#: Differences of mean score that are simulated when no `--difference` is given.
DIFFERENCES = (-0.3, -0.2, -0.1, 0.0, 0.1)


EXAMPLES = examples(
    "trial plan --delta 0.1 --share 0.1 --baseline 0.7",
    "trial plan implementer --share 0.3 --difference -0.2",
)


ChampionsMean = Annotated[
    float | None, typer.Option(help="The champion's mean score. (default: the prior mean)")
]
Differences = Annotated[
    list[float] | None,
    typer.Option(
        help="The canary's mean score minus the champion's; repeat for more. (default: -0.3 to 0.1)"
    ),
]

#: Jobs of a template by which money and days are said, the newest, and how few say nothing of days.
MOST_JOBS, LEAST_JOBS = 200, 5

#: Titles of the table of ways: what a verdict takes, on average, and the runs that would not be without it.
_WAYS = (
    ">difference",
    "!way and share",
    ">issues",
    ">runs",
    ">exposed",
    ">rolled back",
    ">graduated",
    "?>extra USD",
    "?>days",
)

#: Titles of the table; the last has the bound for any test, to compare ours with.
_COLUMNS = (
    ">difference",
    ">canary jobs",
    ">9 in 10 need",
    ">all jobs",
    ">rolled back",
    ">graduated",
    ">undecided",
    ">best possible",
)


def plan_(
    ctx: typer.Context,
    template: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_template,
            help="Says money and days as well, by the jobs of this template so far.",
        ),
    ] = None,
    *,
    baseline: ChampionsMean = None,
    difference: Differences = None,
    share: Share = None,
    delta: Delta = None,
    alpha: Alpha = None,
    beta: Beta = None,
    margin: Margin = None,
    max_canary_jobs: MaxCanaryJobs = None,
    as_json: AsJson = False,
) -> None:
    """Simulate how many jobs a verdict will need, in each way to try a version. Needs no server."""
    policy = policy_of(
        started(ctx).settings.canary.policy,
        share=share,
        delta=delta,
        alpha=alpha,
        beta=beta,
        margin=margin,
        max_canary_jobs=max_canary_jobs,
    )
    mean = policy.prior_mean if baseline is None else baseline
    pace = Pace() if template is None else pace_of(opened(ctx, as_json=as_json, reads=True)[0], template)
    plans, ways = _simulated(policy, mean, difference or list(DIFFERENCES), pace)
    document = {
        "baseline": mean,
        "policy": policy.model_dump(mode="json"),
        "plans": [asdict(found) | {"lower_bound": _finite(found.lower_bound)} for found in plans],
        "pace": asdict(pace),
        "modes": [asdict(way) for way in ways],
    }
    terms = text(
        f"champion's mean {mean:g}, share {policy.share:g}, delta {policy.delta:g}, "
        f"alpha {policy.alpha:g}, beta {policy.beta:g}, at most {policy.max_canary_jobs} canary jobs"
    )
    rows = (_row(found, policy.share) for found in plans)
    Terminal(as_json=as_json).answer(
        document, terms, "", table(_COLUMNS, rows), "", heading("The ways to try it"),
        table(_WAYS, map(_way, ways)), _said(pace, template),
    )  # fmt: skip


def pace_of(parts: Coalmine, template: str) -> Pace:
    """What the newest jobs of a template have cost, and how many come in. Shadows have no issue.

    Jobs of which nobody knows the cost are left out of the mean.
    """
    parts.templates.champion(template)  # NotFoundError for one that is not there
    jobs = [job for job in parts.jobs.newest(most=MOST_JOBS, template=template) if not job.shadow]
    spent = [job.cost.usd for job in jobs if job.state.is_final and job.cost.turns and not job.cost.unknown]
    days = (parts.now() - jobs[-1].created_at) / 86_400 if jobs else 0.0
    return Pace(
        usd_per_run=sum(spent) / len(spent) if spent else None,
        issues_per_day=len(jobs) / days if len(jobs) >= LEAST_JOBS and days > 0 else None,
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


def _said(pace: Pace, template: str | None) -> Text:
    if template is None:
        return text("Name a template to see money and days by its jobs so far.", "dim")
    usd = "nobody knows what a job costs" if pace.usd_per_run is None else f"{pace.usd_per_run:.2f} USD a job"
    rate = "too few to say how many come in"
    if pace.issues_per_day is not None:
        rate = f"{pace.issues_per_day:.3g} issues a day"
    return text(f"By the newest jobs of {template}: {usd}, {rate}.", "dim")


def _way(way: ModePlan) -> list[str]:
    return [
        f"{way.difference:+g}",
        f"{way.mode} {way.share:g}",
        number(way.issues, 0),
        number(way.runs, 0),
        number(way.exposed, 0),
        f"{way.roll_back:.0%}",
        f"{way.graduate:.0%}",
        number(way.extra_usd),
        number(way.days, 0),
    ]


def _simulated(
    policy: TrialPolicy, mean: float, differences: list[float], pace: Pace
) -> tuple[list[Plan], list[ModePlan]]:
    """A plan for each difference, and the ways for each; a terminal shows a bar, as it takes seconds.

    The bar is on standard error and disappears, so standard output is the same with and without it.
    """
    shown = Console(stderr=True)
    gaps = track(differences, "simulating", console=shown, transient=True, disable=not shown.is_terminal)
    plans: list[Plan] = []
    ways: list[ModePlan] = []
    for gap in gaps:
        plans.append(plan(policy=policy, baseline=mean, difference=gap))
        ways += compare(policy, baseline=mean, drawn=plans[-1], pace=pace)
    return plans, ways


def _row(found: Plan, share: float) -> list[str]:
    """A line of the table; all jobs of the template are the canary's divided by the share.

    The share is taken as fixed: with a ramp it follows the evidence, and the number is only a guide.
    """
    return [
        f"{found.difference:+g}",
        number(found.mean_canary_jobs, 0),
        str(found.p90_canary_jobs),
        number(found.mean_canary_jobs / share, 0),
        f"{found.roll_back:.0%}",
        f"{found.graduate:.0%}",
        f"{found.undecided:.0%}",
        number(_finite(found.lower_bound), 0),
    ]


def _finite(jobs: float) -> float | None:
    """The number, or None for infinity, which JSON does not have: no number of jobs is enough."""
    return jobs if math.isfinite(jobs) else None
