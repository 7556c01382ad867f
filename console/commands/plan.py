"""`coalmine trial plan`: how many jobs a trial will need, before it is opened.

It simulates trials under the policy that the options and settings give, the same one that `trial open` would
use with these options: draws in detail, and the ways to try a version beside each other. It needs settings
and no server, takes some seconds of one processor, and writes nothing. With a template it reads from the
server what that one's jobs have cost and took, and how many came in.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import track
from rich.text import Text

from console.completion import complete_template
from console.details.trial_plan import pace_of
from console.input.trial_options import (
    Alpha,
    Beta,
    Delta,
    Margin,
    MaxCanaryJobs,
    Share,
    StepsOption,
    policy_of,
    steps_of,
)
from console.invocation import AsJson, examples, opened, started
from console.output.rendering import heading, number, table, text
from console.output.terminal import Terminal
from harvest.draws.draw_plan import Plan, plan
from harvest.evidence.policy import TrialPolicy
from harvest.trials.mode_plan import ModePlan, Pace, compare
from harvest.trials.way_plan import WayPlan, plan_way
from routing.templates.step import Steps

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

#: Days under which tenths are shown.
_FEW_DAYS = 10

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
    steps: StepsOption = None,
    as_json: AsJson = False,
) -> None:
    """Simulate how many jobs a verdict will need, in each way to try a version, and in all steps of one."""
    settings = started(ctx).settings
    policy = policy_of(
        settings.canary.policy,
        share=share,
        delta=delta,
        alpha=alpha,
        beta=beta,
        margin=margin,
        max_canary_jobs=max_canary_jobs,
    )
    mean = policy.prior_mean if baseline is None else baseline
    pace = Pace() if template is None else pace_of(opened(ctx, as_json=as_json, reads=True)[0], template)
    planned = steps_of(None, steps) or settings.steps
    plans, ways, walks = _simulated(policy, mean, difference or list(DIFFERENCES), pace, planned)
    document = {
        "baseline": mean,
        "policy": policy.model_dump(mode="json"),
        "plans": [asdict(found) | {"lower_bound": _finite(found.lower_bound)} for found in plans],
        "pace": asdict(pace),
        "modes": [asdict(way) for way in ways],
        "steps": [step.value for step in planned],
        "ways": [asdict(walk) for walk in walks],
    }
    terms = text(
        f"champion's mean {mean:g}, share {policy.share:g}, delta {policy.delta:g}, "
        f"alpha {policy.alpha:g}, beta {policy.beta:g}, at most {policy.max_canary_jobs} canary jobs"
    )
    rows = (_row(found, policy.share) for found in plans)
    Terminal(as_json=as_json).answer(
        document, terms, "", table(_COLUMNS, rows), "", heading("The ways to try it"),
        table(_WAYS, map(_way, ways)), *_said_of_steps(policy, planned, walks), _said(pace, template),
    )  # fmt: skip


def _said(pace: Pace, template: str | None) -> Text:
    if template is None:
        return text("Name a template to see money and days by its jobs so far.", "dim")
    usd = "nobody knows what a job costs" if pace.usd_per_run is None else f"{pace.usd_per_run:.2f} USD a job"
    rate = "too few to say how many come in"
    if pace.issues_per_day is not None:
        rate = f"{pace.issues_per_day:.3g} issues a day"
    return text(f"By the newest jobs of {template}: {usd}, {rate}.", "dim")


def _way(way: ModePlan, name: str = "") -> list[str]:
    return [
        f"{way.difference:+g}",
        name or f"{way.mode} {way.share:g}",
        number(way.issues, 0),
        number(way.runs, 0),
        number(way.exposed, 0),
        f"{way.roll_back:.0%}",
        f"{way.graduate:.0%}",
        number(way.extra_usd),
        number(way.days, 0 if way.days is None or way.days >= _FEW_DAYS else 1),
    ]


def _said_of_steps(policy: TrialPolicy, steps: Steps, walks: Sequence[WayPlan]) -> list[RenderableType]:
    """The sums over the steps for each difference; nothing where there is one step."""
    if not walks:
        return []
    first = walks[0].steps[0].plan.mode
    errors = text(
        f"Each step rolls back wrongly with a chance of {policy.alpha / len(steps):.3g} at most, all of them "
        f"with {policy.alpha:g}; all of them graduate wrongly with {policy.beta:g} at most. A step counts "
        f"with the chance that a version comes to it: a worse one seldom comes past the {first}.",
        "dim",
    )
    rows = [_way(walk.whole, "all steps") for walk in walks]
    return ["", heading(f"All {len(steps)} steps: {', '.join(steps)}"), table(_WAYS, rows), errors]


def _simulated(
    policy: TrialPolicy, mean: float, differences: list[float], pace: Pace, steps: Steps
) -> tuple[list[Plan], list[ModePlan], list[WayPlan]]:
    """For each difference a plan, the ways, and all steps if there are several; a terminal shows a bar.

    The bar is on standard error and disappears, so standard output is the same with and without it.
    """
    shown = Console(stderr=True)
    gaps = track(differences, "simulating", console=shown, transient=True, disable=not shown.is_terminal)
    plans: list[Plan] = []
    ways: list[ModePlan] = []
    walks: list[WayPlan] = []
    for gap in gaps:
        plans.append(plan(policy=policy, baseline=mean, difference=gap))
        ways += compare(policy, baseline=mean, drawn=plans[-1], pace=pace)
        if len(steps) > 1:
            walks.append(plan_way(policy, steps, baseline=mean, difference=gap, pace=pace))
    return plans, ways, walks


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
