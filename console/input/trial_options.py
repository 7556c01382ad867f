"""The options that make a trial's policy. The settings have the value of an option that is not given.

`trial open` and `trial plan` share these annotations, so that an option has the same name, help and
variable in both. The help shows the variable of the setting (COALMINE_CANARY__POLICY__…). What the numbers
mean for a verdict is described in `harvest.evidence.policy`, which also checks their ranges.
"""

from typing import Annotated, Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError

from harvest.evidence.policy import TrialPolicy
from routing.errors import InvalidInputError
from routing.templates.step import StepKind, Steps
from routing.templates.trial import Mode
from routing.templates.trials import checked_share


def _option(field: str, *names: str, metavar: str | None = None, help_text: str) -> Any:
    """An option whose help shows the variable of its setting."""
    return typer.Option(
        *names, metavar=metavar, help=help_text, envvar=f"COALMINE_CANARY__POLICY__{field.upper()}"
    )


ModeOption = Annotated[
    Mode | None,
    _option(
        "mode",
        help_text="draw: one version a job. shadow: both versions on the same issue, one delivered.",
    ),
]
StepsOption = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="STEP,STEP",
        help="Steps one after the other, some of backtest,shadow,draw in this order. (default: canary.steps)",
    ),
]
PairShare = Annotated[
    float | None,
    _option("pair_share", help_text="Part of the issues that both versions work on, in mode shadow."),
]
Share = Annotated[float | None, _option("share", help_text="Part of the jobs that goes to the canary.")]
Delta = Annotated[float | None, _option("delta", help_text="Loss of mean score that must not graduate.")]
Alpha = Annotated[
    float | None, _option("alpha", help_text="Chance of rolling back a canary that is not worse.")
]
Beta = Annotated[
    float | None, _option("beta", help_text="Chance of graduating a canary that is worse by delta.")
]
Margin = Annotated[float | None, _option("margin", help_text="Loss of mean score that counts as no loss.")]
MaxCanaryJobs = Annotated[
    int | None, _option("max_canary_jobs", help_text="Settled canary jobs after which a person is asked.")
]
MaxDays = Annotated[float | None, _option("max_days", help_text="Days after which a person is asked.")]
BudgetUsd = Annotated[
    float | None, _option("budget_usd", help_text="USD that its jobs may cost before a person is asked.")
]
Ramp = Annotated[
    bool | None, _option("ramp", "--ramp/--no-ramp", help_text="Let the share follow the evidence.")
]
Provisional = Annotated[
    bool | None,
    typer.Option(
        "--provisional/--strict",
        help="Count a merge at once, or (strict) when its revert window is over. Provisional is faster; "
        "its error rates are not guaranteed when one arm has more reverts.",
    ),
]
RevertWindow = Annotated[
    float | None,
    _option(
        "revert_window_seconds",
        "--revert-window",
        metavar="SECONDS",
        help_text="Seconds after a merge in which a revert counts.",
    ),
]
SettleDeadline = Annotated[
    float | None,
    _option(
        "settle_deadline_seconds",
        "--settle-deadline",
        metavar="SECONDS",
        help_text="Seconds after dispatch; a job without an outcome by then scores 0.",
    ),
]
Strata = Annotated[
    Literal["none", "repository", "difficulty"] | None,
    _option("strata", help_text="Estimate the champion's mean within these groups."),
]
Guardrails = Annotated[
    list[str] | None,
    typer.Option(
        "--guardrail",
        metavar="NAME=CAP[:MARGIN]",
        help="cost_usd, tokens, duration_seconds or fix_forwards, and what scores 0; repeat for more.",
    ),
]


def policy_of(
    default: TrialPolicy,
    *,
    provisional: bool | None = None,
    revert_window: float | None = None,
    settle_deadline: float | None = None,
    guardrails: list[str] | None = None,
    **given: Any,
) -> TrialPolicy:
    """The default policy with the options laid over it; InvalidInputError when the result is not valid.

    None means that an option was not given. `provisional` is the opposite of the stored field `strict`. A
    list of guardrails replaces the one of the settings and is not added to it; an empty list leaves it
    alone.
    """
    changes = given | {
        "strict": None if provisional is None else not provisional,
        "revert_window_seconds": revert_window,
        "settle_deadline_seconds": settle_deadline,
        "guardrails": [_guardrail(item) for item in guardrails] if guardrails else None,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if "share" in changes:
        checked_share(changes["share"])
    return TrialPolicy.checked(**(default.model_dump() | changes))


def steps_of(mode: Mode | None, steps: str | None) -> Steps | None:
    """The steps that are asked for: by name, or one in a mode; None for those of the settings."""
    if steps is None:
        return None if mode is None else (StepKind(mode.value),)
    if mode is not None:
        message = "give --mode for one trial, or --steps for several, not both"
        raise InvalidInputError(message)
    try:
        return TypeAdapter(Steps).validate_python(tuple(name.strip() for name in steps.split(",")))
    except ValidationError as error:
        message = (
            f"--steps {steps[:60]!r}: name one or more of {', '.join(StepKind)}, each once, in this order"
        )
        raise InvalidInputError(message) from error


def _guardrail(item: str) -> dict[str, Any]:
    """Read `NAME=CAP[:MARGIN]`; names and ranges are checked with the whole policy.

    CAP is the amount that scores 0, in the unit of the name (USD, seconds or a count). MARGIN is 0 when it
    is left out.
    """
    name, equals, amounts = item.partition("=")
    cap, _, margin = amounts.partition(":")
    try:
        return {"name": name, "cap": float(cap), "margin": float(margin or 0)}
    except ValueError as error:
        message = f"--guardrail {item[:60]!r} cannot be read; write NAME=CAP, for instance cost_usd=2.5"
        raise InvalidInputError(message if equals else f"{message} (there is no =)") from error
