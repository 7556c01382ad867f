"""The live board of the demonstration: one trial, as it is now.

It reads the fleet each time it is drawn and keeps nothing, so it shows what a person would see with
`coalmine trial status` and `coalmine job list`.
"""

import math

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from console.output.rendering import bar, number, one_line, table, word
from console.output.trials.difference_words import difference_cell
from console.output.trials.trial_words import questions, state_words
from harvest.evidence.trial_test import AnyTest
from routing.templates.trial import Trial
from tasks.composition.composition import Coalmine

#: The largest logarithm of evidence whose exponential is shown; it is far above every threshold.
_LARGEST_LN = 50.0


def board(parts: Coalmine, title: str, trial: Trial, seconds: float) -> RenderableType:
    """Arms, evidence and newest jobs, read from the fleet now; `seconds` since the story began."""
    evidence = parts.harvester.evidence(trial)
    difference = f"difference: {difference_cell(parts.differences.of(trial))}"
    versions = f"{trial.canary_id} against {trial.champion_id}"
    return Panel(
        Group(_arms(trial, evidence), Text(), _questions(evidence), Text(difference), Text(), _newest(parts)),
        title=f"{title} · {versions} · {state_words(trial.state)} · {seconds:.0f} s",
        title_align="left",
    )


def _arms(trial: Trial, evidence: AnyTest) -> RenderableType:
    """A row for each arm. Rerouted jobs count as excluded here, since they left the trial too."""
    rows = (("champion", trial.champion_id, evidence.champion), ("canary", trial.canary_id, evidence.canary))
    return table(
        ("!arm", "!version", "?!>dispatched", "!>settled", "!>open", "?!>excluded", "!>mean score"),
        (
            (
                word(arm),
                version,
                str(counts.dispatched),
                str(counts.settled),
                str(counts.open),
                str(counts.excluded + counts.rerouted),
                number(counts.mean),
            )
            for arm, version, counts in rows
        ),
    )


def _questions(evidence: AnyTest) -> RenderableType:
    """Both questions with their evidence and the threshold, which is 1/alpha or 1/beta (see `harvest`)."""
    policy = evidence.policy
    values = (evidence.worse.ln_value, evidence.not_worse.ln_value)
    readings = zip(questions(policy), values, (policy.alpha, policy.beta), strict=True)
    rows = []
    for (_, question), ln_value, level in readings:
        value = math.exp(min(ln_value, _LARGEST_LN))
        rows.append((question, bar(value, 1 / level), f"{value:.1f} of {1 / level:g}"))
    return table(("!evidence that it is", "!on the way to the threshold", "!>now"), rows)


def _newest(parts: Coalmine) -> RenderableType:
    """The six newest jobs of the fleet, one a line each, so that the board keeps its height."""
    return table(
        ("~newest jobs", "!version", "?!arm", "?!>draw", "!state", "~why"),
        (
            (
                one_line(job.request.title, 48),
                job.version_id,
                word(job.arm or "-"),
                number(job.draw),
                word(job.state),
                one_line(job.reason, 60),
            )
            for job in parts.jobs.newest(most=6)
        ),
    )
