"""`coalmine trial plan`: how many jobs a trial will need, before it is opened.

It simulates trials with `harvest.draws.draw_plan` under the policy that the options and settings give, the
same one that `trial open` would use with these options. It needs settings and no server, takes some seconds
of one processor, and writes nothing.
"""

import math
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from console.input.trial_options import Alpha, Beta, Delta, Margin, MaxCanaryJobs, Share, policy_of
from console.invocation import AsJson, examples, started
from console.output.rendering import number, table, text
from console.output.terminal import Terminal
from harvest.draws.draw_plan import Plan, plan
from harvest.evidence.policy import TrialPolicy

#: Differences of mean score that are simulated when no `--difference` is given.
DIFFERENCES = (-0.3, -0.2, -0.1, 0.0, 0.1)


EXAMPLES = examples(
    "trial plan --delta 0.1 --share 0.1 --baseline 0.7", "trial plan --share 0.3 --difference -0.2"
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
    """Simulate how many canary jobs a verdict will need. Needs no server."""
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
    plans = _simulated(policy, mean, difference or list(DIFFERENCES))
    document = {
        "baseline": mean,
        "policy": policy.model_dump(mode="json"),
        "plans": [asdict(found) | {"lower_bound": _finite(found.lower_bound)} for found in plans],
    }
    terms = text(
        f"champion's mean {mean:g}, share {policy.share:g}, delta {policy.delta:g}, "
        f"alpha {policy.alpha:g}, beta {policy.beta:g}, at most {policy.max_canary_jobs} canary jobs"
    )
    rows = (_row(found, policy.share) for found in plans)
    Terminal(as_json=as_json).answer(document, terms, "", table(_COLUMNS, rows))


def _simulated(policy: TrialPolicy, mean: float, differences: list[float]) -> list[Plan]:
    """A plan for each difference; it takes seconds, so a terminal shows a progress bar.

    The bar is on standard error and disappears, so standard output is the same with and without it.
    """
    shown = Console(stderr=True)
    gaps = track(differences, "simulating", console=shown, transient=True, disable=not shown.is_terminal)
    return [plan(policy=policy, baseline=mean, difference=gap) for gap in gaps]


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
