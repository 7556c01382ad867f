"""What a shell offers for ids and names: jobs, issues, templates, versions, trials and agents of the fleet.

The fleet is found as commands find it. A shell waits, so little is read, and whatever goes wrong offers
nothing: a completion never prints an error.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import typer

from console.invocation import Invocation
from tasks.composition.composition import Coalmine

#: What could mean something to a shell.
_NOT_A_LETTER = re.compile(r"[^\w .,-]")

#: What is offered at most.
MOST = 50

Offer = Iterator[tuple[str, str]]


def _completes(offers: Callable[[Coalmine], Offer]) -> Callable[[Any, list[str], str], list[tuple[str, str]]]:
    """A function for typer's `autocompletion`: the offers that begin as what was typed, with their help."""

    def complete(ctx: typer.Context, args: list[str], incomplete: str) -> list[tuple[str, str]]:
        del args
        invocation = Invocation()
        root: Any = ctx.find_root()
        for option in root.command.shared_options:
            if (value := root.params.get(option.name)) is not None:
                invocation.take(option.name, value)
        try:
            found = [
                (value, _harmless(words))
                for value, words in offers(invocation.coalmine)
                if value.startswith(incomplete)
            ]
            return found[:MOST]
        except Exception:  # noqa: BLE001 - whatever it is, the shell has nothing to offer, and says nothing
            return []
        finally:
            invocation.close()

    return complete


def _harmless(words: str) -> str:
    """The words that stand beside an offer: a shell evaluates its completions, so they are letters alone."""
    return " ".join(_NOT_A_LETTER.sub(" ", words[:200]).split())[:60]


def _jobs(parts: Coalmine) -> Offer:
    for job in parts.jobs.newest(most=MOST):
        yield job.id, f"{job.state} {job.request.title or job.request.task}"


def _issues(parts: Coalmine) -> Offer:
    from routing.backlog.item import BacklogState  # noqa: PLC0415 - every command imports this file

    # What a person may want to name, the likeliest first.
    for state in (
        BacklogState.IN_PROGRESS,
        BacklogState.ESCALATED,
        BacklogState.FROZEN,
        BacklogState.READY,
        BacklogState.BLOCKED,
        BacklogState.PENDING,
        BacklogState.CANCELLED,
    ):
        for item in islice(parts.backlog_store.listed(state), MOST):
            yield str(item.ref), f"{state.value} {item.title}"


def _templates(parts: Coalmine) -> Offer:
    for name in parts.templates.names():
        yield name, "template"


def _versions(parts: Coalmine) -> Offer:
    """Templates, and each of their versions, the newest first."""
    for name in parts.templates.names():
        yield name, "template"
        for version in reversed(parts.templates.versions(name)):
            yield version.id, f"{version.state} {version.note}"


def _trials(parts: Coalmine) -> Offer:
    for name in parts.templates.names():
        for trial in parts.trials.history(name):
            yield trial.id, f"{trial.state} {trial.canary_id}"


def _agents(parts: Coalmine) -> Offer:
    yield from (("@all", "every agent"), ("operator", "people"))
    for agent in parts.agents.live():
        yield agent.name, agent.role.value


complete_job = _completes(_jobs)
complete_issue = _completes(_issues)
complete_template = _completes(_templates)
complete_version = _completes(_versions)
complete_trial = _completes(_trials)
complete_agent = _completes(_agents)
