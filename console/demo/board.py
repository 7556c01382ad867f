"""The live board of the demonstration: one trial, as it is now.

It reads the fleet each time it is drawn and keeps nothing, so it shows what a person would see with
`coalmine trial status` and `coalmine job list`.
"""

import math

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.output.rendering import bar
from harvest.trial_evidence import TrialEvidence
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine

#: The largest logarithm of evidence whose exponential is shown; it is far above every threshold.
_LARGEST_LN = 50.0


def board(parts: Coalmine, title: str, trial: Trial, seconds: float) -> RenderableType:
    """Arms, evidence and newest jobs, read from the fleet now; `seconds` since the story began."""
    evidence = parts.harvester.evidence(trial)
    return Panel(
        Group(_arms(trial, evidence), Text(), _questions(evidence), Text(), _newest(parts)),
        title=f"{title} · {trial.canary_id} against {trial.champion_id} · {trial.state} · {seconds:.0f} s",
        title_align="left",
    )


def _arms(trial: Trial, evidence: TrialEvidence) -> Table:
    """A row for each arm. Rerouted jobs count as excluded here, since they left the trial too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("arm", "version", "dispatched", "settled", "open", "excluded", "mean score"):
        table.add_column(name, justify="left" if name in {"arm", "version"} else "right")
    rows = (("champion", trial.champion_id, evidence.champion), ("canary", trial.canary_id, evidence.canary))
    for arm, version, counts in rows:
        mean = "none" if counts.mean is None else f"{counts.mean:.2f}"
        excluded = str(counts.excluded + counts.rerouted)
        table.add_row(
            arm, version, str(counts.dispatched), str(counts.settled), str(counts.open), excluded, mean
        )
    return table


def _questions(evidence: TrialEvidence) -> Table:
    """Both questions with their evidence and the threshold, which is 1/alpha or 1/beta (see `harvest`)."""
    policy = evidence.policy
    table = Table(box=None, pad_edge=False, show_header=False)
    for question, ln_value, level in (
        ("is the canary worse?", evidence.worse.ln_value, policy.alpha),
        (f"is it not worse by {policy.delta:g}?", evidence.not_worse.ln_value, policy.beta),
    ):
        value = math.exp(min(ln_value, _LARGEST_LN))
        table.add_row(question, bar(value, 1 / level), f"{value:.1f} of {1 / level:g}")
    return table


def _newest(parts: Coalmine) -> Table:
    """The six newest jobs of the fleet. Titles and reasons are cut, so that the board keeps its height."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("newest jobs", "version", "arm", "draw", "state", "why"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for job in parts.jobs.newest(most=6):
        draw = "" if job.draw is None else f"{job.draw:.2f}"
        state = Text(job.state.value)
        table.add_row(
            Text(job.request.title[:34]), job.version_id, job.arm or "", draw, state, Text(job.reason[:44])
        )
    return table
