"""`coalmine trial …`: open trials, follow their evidence, and check it.

A trial is named by its id, or by its template, which then means its open trial or else the last one.
Nothing here decides: a verdict is the harvest's, and looking at a trial, as often as one likes, changes
neither its evidence nor its error rates. A template has at most one open trial.
"""

from typing import Annotated

import typer

from console.commands.plan import EXAMPLES, plan_
from console.completion import complete_template, complete_trial, complete_version
from console.details.trial_detail import read_explanation
from console.details.trial_plan import pace_of, said_of_pairs
from console.input.trial_options import (
    Alpha,
    Beta,
    BudgetUsd,
    Delta,
    Guardrails,
    Margin,
    MaxCanaryJobs,
    MaxDays,
    ModeOption,
    PairShare,
    Provisional,
    Ramp,
    RevertWindow,
    SettleDeadline,
    Share,
    StepsOption,
    Strata,
    policy_of,
    steps_of,
)
from console.invocation import AsJson, Reason, examples, noted, opened, started
from console.output.rendering import Prose
from console.output.trials.trial_attention import damaged_document, damaged_line, held_line, trial_documents
from console.output.trials.trial_explanation import explanation_view
from console.output.trials.trial_replay import replayed
from console.output.trials.trial_status import status_view, trial_document, trials_view
from console.output.trials.way_words import begun_document, way_lines, way_of, ways_now
from console.status.fleet_reading import read_open_trials, read_trials
from harvest.evidence.policy import TrialPolicy
from routing.cost import NO_COST
from routing.errors import CorruptRecordError
from routing.sandbox.profile import SandboxKind
from routing.store.backtests.backtest_store import Backtest
from routing.templates.trial import Mode
from routing.templates.trial import Trial as TrialRecord
from tasks.composition.composition import Coalmine

trial_app = typer.Typer(help="Trials of new versions.", no_args_is_help=True)

Trial = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL",
        autocompletion=complete_trial,
        help="A trial's id, or a template for its open or last one.",
    ),
]


@trial_app.command(
    "open",
    epilog=examples(
        "trial open implementer@v3",
        "trial open implementer@v3 --mode shadow",
        "trial open implementer@v3 --steps backtest,shadow,draw",
        "trial open implementer@v3 --share 0.2 --delta 0.05 --guardrail cost_usd=2.5",
    ),
)
def open_(
    ctx: typer.Context,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            autocompletion=complete_version,
            help="A pending version; NAME means its latest.",
        ),
    ],
    *,
    mode: ModeOption = None,
    steps: StepsOption = None,
    pair_share: PairShare = None,
    share: Share = None,
    delta: Delta = None,
    alpha: Alpha = None,
    beta: Beta = None,
    margin: Margin = None,
    max_canary_jobs: MaxCanaryJobs = None,
    max_days: MaxDays = None,
    budget_usd: BudgetUsd = None,
    ramp: Ramp = None,
    provisional: Provisional = None,
    revert_window: RevertWindow = None,
    settle_deadline: SettleDeadline = None,
    strata: Strata = None,
    guardrail: Guardrails = None,
    as_json: AsJson = False,
) -> None:
    """Put a pending version on trial against the champion, in the steps that settings or options name."""
    policy = policy_of(
        started(ctx).settings.canary.policy,
        mode=mode,
        pair_share=pair_share,
        share=share,
        delta=delta,
        alpha=alpha,
        beta=beta,
        margin=margin,
        max_canary_jobs=max_canary_jobs,
        max_days=max_days,
        budget_usd=budget_usd,
        ramp=ramp,
        provisional=provisional,
        revert_window=revert_window,
        settle_deadline=settle_deadline,
        strata=strata,
        guardrails=guardrail,
    )
    coalmine, terminal = opened(ctx, as_json=as_json)
    # A name alone means the version that was proposed last, not the champion.
    canary = coalmine.templates.find(version, default="latest")
    begun = coalmine.proposals.begin(canary, policy, steps_of(mode, steps), by=started(ctx).user)
    run = begun.run
    if begun.changed:
        noted(ctx, canary.id)
    done = "is open" if begun.changed else "is open already with its own policy; nothing was changed"
    what = f"share {run.share:g}" if isinstance(run, TrialRecord) else f"at most {len(run.cases)} cases"
    place = f", {begun.words}" if begun.words else ""
    terminal.answer(
        {"changed": begun.changed, **begun_document(begun)},
        f"{run.id} {done}: {run.canary_id} against {run.champion_id}, {what}{place}",
        *([*said_of_costs(coalmine, run), *said_of_reach(coalmine, run)] if begun.changed else []),
    )


def said_of_reach(coalmine: Coalmine, run: TrialRecord | Backtest) -> list[Prose]:
    """A warning where shadows run in no sandbox: nothing of them is delivered, yet they reach what we do."""
    if isinstance(run, Backtest) or run.mode is not Mode.SHADOW:
        return []
    if coalmine.templates.find(run.canary_id).snapshot.sandbox not in {None, SandboxKind.NONE}:
        return []
    return [
        Prose(
            f"{run.canary_id} runs in no sandbox, so its shadows reach what their worker's user reaches: the "
            "champion's work, and a local forge by its path. Where nobody may see them, propose it with the "
            "sandbox bubblewrap or container.",
            "yellow",
        )
    ]


def said_of_costs(coalmine: Coalmine, run: TrialRecord | Backtest) -> list[Prose]:
    """What the trial or backtest takes, where it is one of pairs, and whether its budget can end it."""
    policy, is_past = TrialPolicy.from_json(run.policy), isinstance(run, Backtest)
    said = []
    if is_past or policy.mode is Mode.SHADOW:
        said.append(Prose(said_of_pairs(policy, pace_of(coalmine, run.template), past=is_past)))
    return [*said, *said_of_budget(coalmine, run.template, policy)]


def said_of_budget(coalmine: Coalmine, template: str, policy: TrialPolicy) -> list[Prose]:
    """A warning where no turn of the template so far has said its dollars: the budget would never end it."""
    known = sum(coalmine.costs.of_versions(template).values(), NO_COST)
    if not policy.budget_usd or not known.turns or known.known_usd is not None:
        return []
    return [
        Prose(
            f"No turn of {template} has said what it cost, and its model has no price, so the budget of "
            f"{policy.budget_usd:g} USD will not end this trial; give the model a [[price]] in the settings.",
            "yellow",
        )
    ]


@trial_app.command(
    epilog=examples("trial status", "trial status implementer", "trial status implementer-t2 --json")
)
def status(
    ctx: typer.Context,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]",
            autocompletion=complete_trial,
            help="A trial's id, or a template. (default: all open trials)",
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the state of trials: the arms, the evidence with its thresholds, and the verdict."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    now = coalmine.trial_store.now()
    # The server's clock: the age of a trial must not depend on the machine that asks.
    statuses, damaged = (
        (read_trials(coalmine, [coalmine.trials.find(trial)], now, priced=True), [])
        if trial
        else read_open_trials(coalmine, now, priced=True)
    )
    held = [] if trial else coalmine.templates.held()
    ways = [] if trial else list(ways_now(coalmine, coalmine.templates.names()))
    document = {
        "trials": [
            *(status.document() for status in statuses),
            *(damaged_document(each) for each in damaged),
        ],
        "held": [{"version": one.id, "reason": one.reason} for one in held],
        "ways": [way.document() for way in ways],
    }
    damage = (damaged_line(each) for each in damaged)
    shown = [*way_lines(ways), *damage, *(held_line(each) for each in held)]
    open_ones = status_view(statuses) if statuses or not ways else ()
    terminal.answer(document, *open_ones, *shown)


@trial_app.command("list", epilog=examples("trial list implementer"))
def list_(
    ctx: typer.Context,
    template: Annotated[
        str | None, typer.Argument(autocompletion=complete_template, help="Only trials of this template.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List all trials, open and closed."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    # champion() raises NotFoundError for a template that does not exist.
    names = [coalmine.templates.champion(template).template] if template else coalmine.templates.names()
    trials = [trial for name in names for trial in coalmine.trials.history(name)]
    differences = {trial.id: coalmine.differences.in_list(trial) for trial in trials}
    damaged = [damaged_line(trial) for name in names for trial in coalmine.trials.damaged(name)]
    terminal.answer({"trials": trial_documents(coalmine, names)}, trials_view(trials, differences), *damaged)


@trial_app.command(epilog=examples("trial explain implementer", "trial explain implementer-t2 --all"))
def explain(
    ctx: typer.Context,
    trial: Trial,
    *,
    every: Annotated[bool, typer.Option("--all", help="Print every job, not only the last ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what the verdict rests on: each job in the order of dispatch, its factors and the evidence."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = read_explanation(coalmine, trial)
    terminal.answer(found.document(), *explanation_view(found.status, found.lines, found.groups, every=every))


@trial_app.command(epilog=examples("trial stop implementer --reason 'wrong model'"))
def stop(ctx: typer.Context, trial: Trial, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """End a trial without a verdict, or the way of a template's version. Its canary is pending again."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    way = way_of(coalmine, trial)
    if coalmine.ways.stop(trial, by=started(ctx).user, reason=reason):
        noted(ctx, way.way.canary_id if way else trial, reason=reason)
        document = {"changed": True, "trial": None, "way": way.document() if way else None}
        terminal.answer(document, f"the way of {way.way.canary_id if way else trial} to champion is stopped")
        return
    step = coalmine.trials.stop(coalmine.trials.find(trial), by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, step.trial.id, reason=reason)
    done = "is stopped" if step.changed else f"is {step.trial.state} already; nothing was changed"
    terminal.answer({"changed": step.changed, "trial": trial_document(step.trial)}, f"{step.trial.id} {done}")


@trial_app.command(epilog=examples("trial hold implementer --reason 'the tests were flaky this week'"))
def hold(ctx: typer.Context, trial: Trial, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Have no verdict carried out until `trial resume`. It draws on, and still ends at its limits."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    found = coalmine.trials.find(trial)
    step = coalmine.trials.hold(found, by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, found.id, reason=reason)
    done = "is held" if step.changed else "is held by a person already; nothing was changed"
    terminal.answer({"changed": step.changed, "trial": trial_document(step.trial)}, f"{found.id} {done}")


@trial_app.command(epilog=examples("trial resume implementer --reason 'the forge was down for a day'"))
def resume(ctx: typer.Context, trial: Trial, *, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a trial decide again that a person holds, or that holds itself as its health is in doubt."""
    coalmine, terminal = opened(ctx, as_json=as_json)
    found = coalmine.trials.find(trial)
    step = coalmine.trials.resume(found, by=started(ctx).user, reason=reason)
    if step.changed:
        noted(ctx, found.id, reason=reason)
    done = "decides again" if step.changed else "is held by no check and no person; nothing was changed"
    terminal.answer({"changed": step.changed, "trial": trial_document(step.trial)}, f"{found.id} {done}")


@trial_app.command(epilog=examples("trial replay implementer"))
def replay(ctx: typer.Context, trial: Trial, *, as_json: AsJson = False) -> None:
    """Recompute a trial from its ledger and compare it with what is stored; exit code 6 when they differ."""
    coalmine, terminal = opened(ctx, as_json=as_json, reads=True)
    found = coalmine.trials.find(trial)
    outcome = replayed(coalmine, found)
    terminal.answer(outcome.document(), *outcome.view())
    # The answer is printed first, so that --json has both states whatever the exit code says.
    if not outcome.same:
        message = (
            f"the stored state of trial {found.id} is not what its ledger gives; stop it with "
            f"`coalmine trial stop {found.id}` and open it again"
        )
        raise CorruptRecordError(message)


trial_app.command("plan", epilog=EXAMPLES)(plan_)
