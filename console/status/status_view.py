"""The status for people: what runs, what waits and why, what the trials have, what it costs.

Each part is there only when it has something to say; the widest columns go first in a narrow terminal.
"""

from collections.abc import Iterator

from rich.console import RenderableType

from console.output.cost_views import cost_cell, cost_words, usd
from console.output.rendering import (
    Prose,
    duration,
    facts,
    heading,
    number,
    one_line,
    table,
    text,
    when_near,
    word,
)
from console.output.trials.difference_words import difference_cell
from console.output.trials.trial_attention import damaged_line
from console.output.trials.trial_status import TrialStatus
from console.output.trials.trial_words import questions
from console.status.fleet_status import AgentAtWork, FleetStatus, HeldWork
from routing.backlog.item import BacklogState

#: Seconds without a sweep after which no worker looks after the fleet.
SWEEP_SECONDS = 120.0

#: Pushed jobs that are named.
_MOST_WAITING = 5

#: Characters of a title in a table, of what a program said, and of a reason.
_TITLE, _SAID, _WHY = 32, 60, 240


def status_view(status: FleetStatus) -> Iterator[RenderableType]:
    """All parts, one after the other, with a blank line between."""
    parts = (
        _state(status), _agents(status), _queue(status), _held(status), _accounts(status), _trials(status),
        _cost(status),
    )  # fmt: skip
    for place, part in enumerate(parts):
        lines = list(part)
        if lines and place:
            yield ""
        yield from lines


def _state(status: FleetStatus) -> Iterator[RenderableType]:
    """Whether anything is dispatched, and whether workers look after it."""
    if status.paused is not None:
        yield Prose(f"Dispatch is paused: {status.paused}. `coalmine resume` goes on.", "yellow")
    if status.killed:
        yield Prose("The kill switch is on: nothing is dispatched from any forge.", "yellow")
    for reached in status.reached:
        words = f"The day's limit is reached: {reached}. No job of it begins until midnight UTC."
        yield Prose(words, "yellow")
    if status.swept_at is None:
        yield Prose("No worker has looked after this fleet yet.", "yellow")
    elif status.at - status.swept_at > SWEEP_SECONDS:
        yield Prose(
            f"No worker looks after this fleet: the last one did {when_near(status.swept_at, status.at)}.",
            "yellow",
        )


def _agents(status: FleetStatus) -> Iterator[RenderableType]:
    count = len(status.agents)
    if not count:
        yield text("No agent is at work.")
        return
    yield heading(f"{count} agent{'' if count == 1 else 's'} at work")
    yield table(
        ("!issue", "~title", "?!version", "?!arm", "!>since", "!>USD", "~last line"),
        (
            (
                each.job.request.issue or each.job.id,
                one_line(each.job.request.title or each.job.request.task, _TITLE),
                each.job.version_id,
                word(each.job.arm or "-"),
                duration(status.at - (each.job.claimed_at or status.at), units=1),
                _spent(each),
                one_line(each.last_line or "nothing yet", 60),
            )
            for each in status.agents
        ),
    )


def _spent(each: AgentAtWork) -> str:
    """What the job has cost so far, with the turn that runs; `?` where nobody said."""
    return cost_cell(each.spent) if each.spent.turns else "?"


def _queue(status: FleetStatus) -> Iterator[RenderableType]:
    """How much waits, and the pushed work with what it waits for."""
    age = ""
    if status.oldest_queued_at is not None:
        age = f" (the oldest for {duration(status.at - status.oldest_queued_at, units=1)})"
    counts = [f"{status.queued} queued{age}", f"{status.waiting_count} pushed and watched"]
    if status.dead:
        counts.append(f"{status.dead} failed for good: `coalmine job dead`")
    yield Prose(f"Jobs: {', '.join(counts)}")
    there = ", ".join(
        f"{count} {state.value.replace('_', ' ')}" for state, count in status.issues.items() if count
    )
    yield Prose(f"Issues: {there or 'none is known yet; `coalmine issue list` says where they come from'}")
    if status.waiting:
        yield ""
        yield heading("Pushed")
        yield table(
            ("!issue", "~title", "?!>since", "~waits for"),
            (
                (
                    job.request.issue or job.id,
                    one_line(job.request.title, _TITLE),
                    duration(status.at - (job.pushed_at or job.created_at), units=1),
                    one_line(job.reason or "its CI", 60),
                )
                for job in status.waiting[:_MOST_WAITING]
            ),
        )


def _held(status: FleetStatus) -> Iterator[RenderableType]:
    """What does not go on by itself, with the reason in words."""
    if not status.held:
        return
    yield heading("Held")
    yield table(
        ("!issue", "?~title", "!what", "why"),
        ((each.name, one_line(each.title, _TITLE), each.what, _why_held(each)) for each in status.held),
    )
    more = status.held_count - len(status.held)
    if more:
        yield Prose(f"{more} more: `coalmine issue list`", "dim")
    if any(status.issues.get(state) for state in (BacklogState.ESCALATED, BacklogState.FROZEN)):
        yield Prose("What waits for a person goes on with `coalmine issue resume ISSUE`.", "dim")


def _why_held(each: HeldWork) -> str:
    """What a program said is cut, as it may be long; what a person can do is at the end, and stays."""
    said = one_line(each.said, _SAID).plain
    return "; ".join(filter(None, (said, one_line(each.why, _WHY).plain)))


def _accounts(status: FleetStatus) -> Iterator[RenderableType]:
    """Which accounts are closed, which versions do not start, and what waits for them."""
    accounts = [each for each in status.closed_accounts if not each.version]
    versions = [each for each in status.closed_accounts if each.version]
    if accounts:
        yield heading("Closed accounts")
        yield table(
            ("!account", "!tried again", "why", "?~words"),
            ((each.name, each.countdown, each.why, one_line(each.words, _SAID)) for each in accounts),
        )
    if versions:
        yield heading("Versions that do not start")
        yield table(
            ("!version", "!tried again", "its agents say"),
            ((each.name, each.countdown, one_line(each.words, 2 * _SAID)) for each in versions),
        )
    if status.closed_accounts:
        yield Prose(_waiting_for(status.limited, accounts=bool(accounts), versions=bool(versions)), "dim")


def _waiting_for(count: int, *, accounts: bool, versions: bool) -> str:
    """How many jobs wait for what is closed, and the commands that show it and go on."""
    things = " or ".join(
        [*(["an account"] if accounts else []), *(["a version that does not start"] if versions else [])]
    )
    wait = "1 job waits" if count == 1 else f"{count} jobs wait"
    look = ["`coalmine account list`"] if accounts else []
    look += ["`coalmine resume` once the version is repaired"] if versions else []
    return f"{wait} for {things}: {', '.join(look)}"


def _trials(status: FleetStatus) -> Iterator[RenderableType]:
    for trial in status.trials:
        yield from _trial(trial, status.at)
    for damaged in status.damaged_trials:
        yield damaged_line(damaged)


def _trial(now: TrialStatus, at: float) -> Iterator[RenderableType]:
    """One open trial in three lines: its arms, what is still to count, and how far the evidence is."""
    trial, evidence = now.trial, now.evidence
    yield heading(f"{trial.canary_id} on trial against {trial.champion_id} ({trial.id})")
    arms = [
        f"{name} {arm.settled} settled{f', mean {number(arm.mean)}' if arm.mean is not None else ''}"
        for name, arm in (("canary", evidence.canary), ("champion", evidence.champion))
    ]
    lines = [("settled", "; ".join(arms)), ("open", now.outlook.words(at))]
    lines.append(("difference", difference_cell(now.difference)))
    readings = [
        f"{question}: {value:.1f} of {now.decision.thresholds[name]:g}"
        for name, question in questions(evidence.policy)
        if (value := now.decision.evidence.get(name)) is not None
    ]
    yield facts([*lines, ("evidence", "; ".join(readings))])


def _cost(status: FleetStatus) -> Iterator[RenderableType]:
    spent = cost_words(status.today) or "nothing yet"
    running = status.running_cost
    if running.turns and running.known_usd is not None:
        spent += f"; {usd(running.known_usd)} USD more by turns that run"
    if status.day_limit_usd:
        spent += f"; the day's limit is {usd(status.day_limit_usd)} USD"
    yield Prose(f"Spent today: {spent}")
    for use in status.budgets:
        yield Prose(f"Budget of the day: {use}")
