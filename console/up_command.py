"""`coalmine up`: the whole fleet on this machine, in the foreground."""

import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from console.invocation import examples
from console.local_fleet import DEFAULT_STATE, FleetPlan, LocalFleet, running_variables
from console.rendering import text
from routing.errors import CoalmineError, ConflictError, InvalidInputError
from routing.events import Event
from routing.git import Git
from routing.version import Snapshot
from tasks.composition import Coalmine

#: Events that are shown while the fleet runs, with what is said of them.
SHOWN = {
    "job.queued": "queued",
    "job.claimed": "started",
    "job.waiting": "pushed",
    "job.retried": "queued again",
    "job.lease_expired": "queued again, its worker was lost",
    "job.finished": "ended",
    "job.settled": "scored",
    "candidate.awaiting_promotion": "proposed",
    "candidate.canary_started": "on trial",
    "candidate.auto_promoted": "graduated",
    "candidate.promoted": "promoted",
    "candidate.rolled_back": "rolled back",
    "trial.stopped": "stopped",
    "trial.expired": "expired",
    "trial.contradicted": "contradicted",
}


def up(
    *,
    repo: Annotated[
        Path | None,
        typer.Option(envvar="COALMINE_FORGE__LOCAL__REPOSITORY", metavar="PATH", help="Git repository."),
    ] = None,
    issues: Annotated[
        Path | None,
        typer.Option(
            envvar="COALMINE_FORGE__LOCAL__ISSUES", metavar="DIR", help="Folder of issues as markdown files."
        ),
    ] = None,
    ci: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_FORGE__LOCAL__CI",
            metavar="CMD",
            help="Shell line that is CI; it runs in a clone of each pushed commit.",
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(metavar="CMD", help="Shell line that is the agent; its prompt comes on standard input."),
    ] = None,
    prompt: Annotated[str, typer.Option(help="What every task's prompt begins with.")] = "",
    template: Annotated[
        str,
        typer.Option(
            envvar="COALMINE_FORGE__LOCAL__TEMPLATE",
            metavar="NAME",
            help="Template that works on the issues; made of --agent when it is not there.",
        ),
    ] = "implementer",
    label: Annotated[
        str | None,
        typer.Option(
            envvar="COALMINE_FORGE__LOCAL__LABEL",
            metavar="LABEL",
            help="Work on issues with this label only. [default: every open issue]",
        ),
    ] = None,
    merge: Annotated[
        str,
        typer.Option(
            envvar="COALMINE_FORGE__LOCAL__MERGE",
            metavar="green|never",
            help="Whether a green branch is merged by itself.",
        ),
    ] = "green",
    agents: Annotated[int, typer.Option(min=1, max=256, help="Agents at work at once.")] = 2,
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="Where data, work trees and logs are kept.")
    ] = DEFAULT_STATE,
) -> None:
    """Start the fleet: a private Redis server, workers and beat, until it is interrupted.

    Other `coalmine` commands that are run in the same folder find it by themselves.
    """
    given = _Given(
        repo=repo, issues=issues, ci=ci, label=label, merge=merge, template=template, agents=agents
    )
    if running_variables(state):
        message = f"a fleet runs already with its state in {state}; end it first, or name another --state"
        raise ConflictError(message)
    with LocalFleet(FleetPlan(state=state, variables=given.variables(), agents=agents)) as fleet:
        console = Console(markup=False, highlight=False, emoji=False)
        for line in _prepare(fleet.coalmine, template, agent, prompt):
            console.print(text(line))
        supervisor = fleet.programs()
        stop = threading.Event()
        follower = threading.Thread(
            target=_follow, args=(fleet.coalmine, console, stop), name="events", daemon=True
        )
        console.print(text(f"The fleet is starting; logs are in {fleet.log_folder}, Ctrl-C ends it."))
        follower.start()
        try:
            supervisor.run()
        finally:
            stop.set()
            follower.join(timeout=5)
        console.print(text("The fleet has ended; its data is kept for the next start."))


EXAMPLES = examples(
    "up --repo ../shop --issues ../shop-issues --ci 'make test' --agent \"$PWD/agent.sh\"",
    "up --repo . --issues issues --ci 'pytest -q' --agent 'my-agent' --merge never",
    "up",
)


class _Given:
    """The options as settings of the fleet."""

    def __init__(
        self, *, repo: Path | None, issues: Path | None, ci: str | None, label: str | None, merge: str,
        template: str, agents: int,
    ) -> None:  # fmt: skip
        if (repo is None) != (issues is None):
            message = "--repo and --issues go together: give both, or none for a fleet without issues"
            raise InvalidInputError(message)
        for path, option in ((repo, "--repo"), (issues, "--issues")):
            if path is not None and not path.is_dir():
                message = f"{option} {path} is no folder; create it, or correct the path"
                raise InvalidInputError(message)
        if repo is not None and (asked := Git(repo).attempt("rev-parse", "--verify", "HEAD")).returncode != 0:
            message = (
                f"--repo {repo} is no git repository with a commit that git lets us use; "
                f"git says: {asked.stderr.strip()[:300]}"
            )
            raise InvalidInputError(message)
        if merge not in {"green", "never"}:
            message = f"--merge {merge!r} is neither green nor never"
            raise InvalidInputError(message)
        self._values = {
            "REPOSITORY": str(repo.absolute()) if repo else None,
            "ISSUES": str(issues.absolute()) if issues else None,
            "CI": ci,
            "LABEL": label,
            "MERGE": merge,
            "TEMPLATE": template,
            "AT_ONCE": str(agents),
        }

    def variables(self) -> dict[str, str]:
        """The settings that were given."""
        named = {name: value for name, value in self._values.items() if value is not None}
        return {f"COALMINE_FORGE__LOCAL__{name}": value for name, value in named.items()}


def _prepare(parts: Coalmine, template: str, agent: str | None, prompt: str) -> list[str]:
    """See that the template exists. A changed agent is proposed, not swapped in: trials are for that."""
    known = template in parts.templates.names()
    if agent is None:
        if not known and parts.settings.forge.local.repository is not None:
            message = (
                f"there is no template {template} yet: give --agent 'CMD' with the program that is to work "
                f"on the issues, or make it with `coalmine template add {template}`"
            )
            raise InvalidInputError(message)
        return []
    snapshot = Snapshot(command=agent, prompt=prompt)
    if not known:
        made = parts.templates.add(template, snapshot, note="made by coalmine up").version
        return [f"{made.id} is the champion; it runs: {agent}"]
    step, trial = parts.proposals.propose(template, snapshot, note="given to coalmine up")
    if not step.changed:
        return [f"{step.version.id} ({step.version.state}) has this agent already"]
    if trial is not None:
        return [f"{step.version.id} has the new agent and is on trial ({trial.trial.id})"]
    what = f"{step.version.id} has the new agent and is {step.version.state}; the champion works on."
    return [what, f"Try it with: coalmine trial open {step.version.id}"]


def _follow(parts: Coalmine, console: Console, stop: threading.Event) -> None:
    """Say what happens, until the end."""
    newest = parts.events.newest(1)
    last = newest[0].id if newest else "0-0"
    while not stop.is_set():
        try:
            for event in parts.events.after(last, wait_seconds=0.5):
                last = event.id
                if event.kind in SHOWN:
                    console.print(_line(event), soft_wrap=True)
        except CoalmineError as error:  # the server may be gone for a moment
            console.print(text(str(error)), soft_wrap=True)
            stop.wait(1.0)


def _line(event: Event) -> Text:
    data = event.data
    details = [str(data[name]) for name in ("version", "arm", "reason") if data.get(name)]
    if event.kind == "job.settled":
        score = "left out" if data.get("excluded") else f"{data.get('score')}"
        details = [score, *details]
    return text(f"{event.subject}  {SHOWN[event.kind]}" + (f"  ({', '.join(details)})" if details else ""))
